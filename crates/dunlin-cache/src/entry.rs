//! [`Entry`]: one stored response, with all that was worked out when it was stored.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use dunlin_http::cache_control::{RequestDirectives, Scope};
use dunlin_http::{BodyId, Lines, StoredHead, date};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, DATE, EXPIRES};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use crate::RoutePolicy;
use crate::fields;
use crate::generations::Slot;
use crate::policy::s4_1_key::Selecting;
use crate::policy::s4_2_freshness::{self, Source};
use crate::policy::s5_2_request::Reuse;
use crate::policy::s5_2_response::Effective;
use crate::policy::{s3_storing, s4_3_validation};
use crate::prefetch::prefetch;

/// The field that says how caches handled a response (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The groups of a response (RFC 9875 §2).
pub(crate) const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// What a field takes in a header besides its value, about.
const FIELD: usize = 104;

/// One stored response. It never changes: what freshens it makes another with the same body.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    /// What comes after the body, if anything.
    pub(crate) trailers: Option<Arc<HeaderMap>>,
    pub(crate) id: BodyId,
    /// Which part of the content the body is, if it is not the whole.
    pub(crate) part: Option<Part>,
    /// Its key as a text, once it is stored.
    pub(crate) key: Bytes,
    /// What it takes in memory in bytes, once it is stored.
    pub(crate) weight: usize,
    /// Its lasting fields as they are sent, once it is stored, if it can be sent so.
    pub(crate) lines: Option<Lines>,
    /// Whether the body is kept by an entry already, and so in an allocation of just its size.
    body_is_kept: bool,
    /// Where the first of its fields lies, as far as it is known, and how many bytes their lines
    /// take: only to fetch them ahead.
    fields_at: usize,
    text: usize,
}

/// For how long an entry may be used, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) lifetime: Duration,
    pub(crate) validate_always: bool,
    pub(crate) never_stale: bool,
    pub(crate) while_revalidate: Duration,
    /// `None` when nobody says.
    pub(crate) if_error: Option<Duration>,
}

/// What clients are told of freshness, where the route says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// What the response says.
    Own,
    /// This `Cache-Control`, and no `Expires`.
    Fixed(HeaderValue),
    /// The same, where the response said nothing itself: the stored header has it already, and only
    /// until it is freshened.
    Placed,
    /// To keep it for so long from now on. As caches count from its age, `max-age` grows with that.
    FromNow(Duration),
}

/// A part of a content: where it begins, and how long the whole is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) whole: Option<u64>,
}

/// The head of a stored response, and what was worked out from it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// As it is answered, with places for `Age` and `Cache-Status`: the first two when it is an
    /// entry's.
    pub(crate) headers: HeaderMap,
    /// What caches before this one said in `Cache-Status`.
    pub(crate) upstream_status: Option<HeaderValue>,
    pub(crate) told: Told,
    pub(crate) selecting: Selecting,
    pub(crate) received: SystemTime,
    pub(crate) initial_age: Duration,
    pub(crate) rules: Rules,
    /// The names of its groups, as they are told to a second level.
    pub(crate) groups: Box<[Box<str>]>,
    /// Its key and its groups.
    pub(crate) slots: SmallVec<[Slot; 8]>,
    /// The generation that its fill began in.
    pub(crate) since: u64,
}

/// When a response was asked for and came, and the generation that stood before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) requested: SystemTime,
    pub(crate) received: SystemTime,
    pub(crate) since: u64,
    /// The number that stood in the second level before, if it could be asked.
    pub(crate) stood: Option<u64>,
}

// === impl Rules ===

impl Rules {
    /// The rules of a response whose header is not yet changed for clients.
    pub(crate) fn of(
        status: StatusCode,
        headers: &HeaderMap,
        directives: &Effective,
        policy: &RoutePolicy,
        received: SystemTime,
    ) -> Self {
        let lifetime = s4_2_freshness::lifetime(status, headers, directives, policy, received);
        // §5.2.2.10: s-maxage has the meaning of proxy-revalidate; unless it is not s-maxage that
        // counts.
        let s_maxage = directives.s_maxage.is_some() && lifetime.source != Source::Route;
        Self {
            lifetime: lifetime.duration,
            validate_always: directives.no_cache.as_ref().is_some_and(Scope::is_response),
            never_stale: directives.must_revalidate || directives.proxy_revalidate || s_maxage,
            while_revalidate: directives.stale_while_revalidate.or(policy.stale_while_revalidate).unwrap_or_default(),
            if_error: directives.stale_if_error.or(policy.stale_if_error),
        }
    }

    /// Whether an answer with these rules could ever be used again.
    pub(crate) fn is_useful(&self, headers: &HeaderMap) -> bool {
        let fresh = !self.lifetime.is_zero() && !self.validate_always;
        fresh
            || s4_3_validation::can_validate(headers)
            || !self.while_revalidate.is_zero()
            || self.if_error.is_some_and(|most| !most.is_zero())
    }
}

// === impl Told ===

impl Told {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, policy: &RoutePolicy) -> Self {
        if !s4_2_freshness::route_age_applies(status) {
            return Self::Own;
        }
        match (policy.browser, policy.age) {
            (Some(browser), _) if !browser.is_zero() => Self::FromNow(browser),
            (Some(_), _) => Self::Fixed(max_age(Duration::ZERO)),
            (None, Some(_)) if headers.contains_key(CACHE_CONTROL) => Self::Own,
            (None, Some(_)) if !policy.groups.is_empty() => Self::Fixed(max_age(Duration::ZERO)),
            (None, Some(age)) => Self::Fixed(max_age(age)),
            (None, None) => Self::Own,
        }
    }

    /// Whether it is another from answer to answer, or not yet in the stored header.
    pub(crate) const fn changes(&self) -> bool {
        matches!(self, Self::Fixed(_) | Self::FromNow(_))
    }

    /// Writes it into the header of a response of this age.
    pub(crate) fn write(&self, headers: &mut HeaderMap, age: Duration) {
        let value = match self {
            Self::Own | Self::Placed => return,
            Self::Fixed(value) => value.clone(),
            Self::FromNow(left) => max_age(age.saturating_add(*left)),
        };
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
    }
}

// === impl Head ===

impl Head {
    /// Works out what is stored of a response's head, and how. `headers` is changed to what is
    /// stored and answered.
    pub(crate) fn new(
        status: StatusCode,
        mut headers: HeaderMap,
        selecting: Selecting,
        directives: &Effective,
        policy: &RoutePolicy,
        times: Times,
    ) -> Self {
        let rules = Rules::of(status, &headers, directives, policy, times.received);
        let initial_age = s4_2_freshness::initial_age(&headers, times.requested, times.received);
        let upstream_status = joined(&headers, &CACHE_STATUS);
        s3_storing::strip(&mut headers, directives);
        let told = Told::of(status, &headers, policy);
        for name in &policy.vary {
            add_vary(&mut headers, name);
        }
        // RFC 9110 §6.6.1: a response that is stored has a Date, and one that cannot be read may be
        // replaced.
        if headers.get(DATE).and_then(date::parse).is_none() {
            headers.insert(DATE, date::format(times.received));
        }
        headers.insert(AGE, HeaderValue::from_static("0"));
        headers.insert(CACHE_STATUS, HeaderValue::from_static(""));
        Self {
            status,
            headers,
            upstream_status,
            selecting,
            received: times.received,
            initial_age,
            rules,
            told,
            groups: Box::default(),
            slots: SmallVec::new(),
            since: times.since,
        }
    }

    /// The stored response with this content.
    pub(crate) fn with_body(self, body: &Bytes, part: Option<Part>) -> Entry {
        Entry { body_is_kept: false, ..self.with_kept_body(body.clone(), BodyId::new(), part) }
    }

    /// The stored response with content that is kept already.
    pub(crate) fn with_kept_body(mut self, body: Bytes, id: BodyId, part: Option<Part>) -> Entry {
        let bodiless = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
        if !bodiless {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if let Told::Fixed(value) = &self.told
            && !self.headers.contains_key(CACHE_CONTROL)
            && !self.headers.contains_key(EXPIRES)
        {
            self.headers.insert(CACHE_CONTROL, value.clone());
            self.told = Told::Placed;
        }
        let (key, trailers, lines) = (Bytes::new(), None, None);
        let (weight, fields_at, text) = (0, 0, 0);
        Entry { head: self, body, trailers, id, part, key, weight, lines, body_is_kept: true, fields_at, text }
    }

    /// How old it is (RFC 9111 §4.2.3): `current_age`.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        self.initial_age.saturating_add(now.duration_since(self.received).unwrap_or_default())
    }

    /// What decides whether it may be used now.
    pub(crate) fn reuse(&self, now: SystemTime) -> Reuse {
        Reuse {
            age: self.age(now),
            lifetime: self.rules.lifetime,
            validate_always: self.rules.validate_always,
            never_stale: self.rules.never_stale,
            while_revalidate: self.rules.while_revalidate,
        }
    }

    /// Whether it may be used although the origin failed (RFC 9111 §4.2.4, RFC 5861 §4).
    /// `unreachable` tells that nothing came from the origin at all, when `most` is allowed where
    /// nobody says.
    pub(crate) fn may_stand_in(
        &self,
        now: SystemTime,
        asked: &RequestDirectives,
        unreachable: bool,
        most: Duration,
    ) -> bool {
        if self.rules.never_stale || self.rules.validate_always {
            return false;
        }
        let staleness = self.age(now).saturating_sub(self.rules.lifetime);
        let allowed = self.rules.if_error.or(asked.stale_if_error).or(unreachable.then_some(most));
        allowed.is_some_and(|allowed| staleness < allowed)
    }

    fn weight(&self) -> usize {
        let names: usize = self
            .selecting
            .iter()
            .map(|(name, value)| 48 + name.as_str().len() + value.as_deref().map_or(0, str::len))
            .sum();
        let groups: usize = self.groups.iter().map(|group| 32 + group.len()).sum();
        names + fields::weight(&self.headers) + groups
    }
}

// === impl Entry ===

impl Entry {
    /// The entry with what came after its body. No length is told then: a connection on which it is
    /// has no place for trailers (RFC 9112 §6.3, §7.1.2).
    pub(crate) fn with_trailers(mut self, trailers: Option<Arc<HeaderMap>>) -> Self {
        if trailers.is_some() {
            self.head.headers.remove(CONTENT_LENGTH);
        }
        Self { trailers, ..self }
    }

    /// Has what a plain answer is made of fetched: the fields; the key, the values and the body,
    /// which lie side by side.
    pub(crate) fn prefetch(&self) {
        prefetch(std::ptr::without_provenance(self.fields_at), self.headers.len() * FIELD);
        prefetch(self.key.as_ptr(), self.key.len() + self.text + self.body.len());
    }

    /// The entry as it is stored under a key: in as few allocations as can be, each of just its
    /// size. The body as it came may be a slice of a larger read buffer, which it would keep; and
    /// what an answer is made of is read fastest where it lies side by side.
    pub(crate) fn stored_as(mut self, key: &str) -> Self {
        let body = if self.body_is_kept { &[] } else { &self.body[..] };
        let headers = &self.head.headers;
        let length = headers.get(CONTENT_LENGTH).map_or(&[][..], HeaderValue::as_bytes);
        self.text = fields::lasting(headers).map(|(name, value)| fields::line(name, value)).sum();
        let mut record = BytesMut::with_capacity(key.len() + self.text + length.len() + body.len());
        record.extend_from_slice(key.as_bytes());
        fields::lasting(headers).for_each(|(name, value)| Lines::push(&mut record, name, value));
        record.extend_from_slice(length);
        record.extend_from_slice(body);
        let mut record = record.freeze();
        self.key = record.split_to(key.len());
        let text = record.split_to(self.text);
        self.head.headers = fields::compact(headers, text.clone(), record.split_to(length.len()));
        self.lines = Lines::parse(text);
        self.fields_at = self.head.headers.keys().next().map_or(0, |name| std::ptr::from_ref(name).addr());
        if !self.body_is_kept {
            self.body = record;
        }
        let trailers = self.trailers.as_deref().map_or(0, fields::weight);
        let kept = self.key.len() + self.text + self.body.len();
        self.weight = size_of::<Self>() + 64 + self.head.weight() + kept + trailers + 96;
        self
    }
}

impl Deref for Entry {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl StoredHead for Entry {
    fn status(&self) -> StatusCode {
        self.head.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    fn lines(&self) -> Option<&Lines> {
        self.lines.as_ref()
    }
}

/// `max-age` of so long.
pub(crate) fn max_age(told: Duration) -> HeaderValue {
    let mut value = BytesMut::with_capacity(20);
    value.extend_from_slice(b"max-age=");
    value.extend_from_slice(itoa::Buffer::new().format(told.as_secs()).as_bytes());
    HeaderValue::from_maybe_shared(value.freeze()).unwrap_or(HeaderValue::from_static("max-age=0"))
}

fn add_vary(headers: &mut HeaderMap, name: &HeaderName) {
    let said = dunlin_http::list::elements(headers, &http::header::VARY)
        .any(|element| element == "*" || element.eq_ignore_ascii_case(name.as_str()));
    if !said {
        headers.append(http::header::VARY, HeaderValue::from_name(name.clone()));
    }
}

/// All lines of a field as one value.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() { None } else { HeaderValue::from_bytes(&lines.join(&b", "[..])).ok() }
}
