//! [`Head`]: the head of a stored response, with the policy that follows from it.

use std::time::{Duration, SystemTime};

use dunlin_http::cache_control::{RequestDirectives, Scope};
use dunlin_http::date;
use http::header::{AGE, DATE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use smallvec::SmallVec;

use crate::RoutePolicy;
use crate::client_freshness::ClientFreshness;
use crate::field_names::CACHE_STATUS;
use crate::generations::Slot;
use crate::policy::s3_storing;
use crate::policy::s4_1_key::Selecting;
use crate::policy::s4_2_freshness::{self, Source};
use crate::policy::s4_3_validation;
use crate::policy::s5_2_request::Reuse;
use crate::policy::s5_2_response::Effective;
use crate::stored_fields;

/// The head of a stored response, with the policy that follows from it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The fields of replies. `Age` and `Cache-Status` are placeholders; in an entry they come
    /// first.
    pub(crate) headers: HeaderMap,
    /// The `Cache-Status` of caches nearer to the origin.
    pub(crate) upstream_status: Option<HeaderValue>,
    pub(crate) client_freshness: ClientFreshness,
    pub(crate) selecting: Selecting,
    pub(crate) received: SystemTime,
    pub(crate) initial_age: Duration,
    pub(crate) rules: Rules,
    /// The names of its groups, for the second level.
    pub(crate) groups: Box<[Box<str>]>,
    /// The slots of its key and its groups.
    pub(crate) slots: SmallVec<[Slot; 8]>,
    /// The generation in which its fill began.
    pub(crate) since: u64,
}

/// The rules for the reuse of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) lifetime: Duration,
    pub(crate) validate_always: bool,
    pub(crate) never_stale: bool,
    /// `true` if the response is explicitly for all clients (RFC 9111 §3.5).
    pub(crate) for_all_clients: bool,
    pub(crate) while_revalidate: Duration,
    /// `None` if neither the response nor the route says.
    pub(crate) if_error: Option<Duration>,
}

/// The times of a request to the origin, and the generations from before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) requested: SystemTime,
    pub(crate) received: SystemTime,
    pub(crate) since: u64,
    /// The generation of the second level, if it answered.
    pub(crate) store_generation: Option<u64>,
}

// === impl Rules ===

impl Rules {
    /// The rules of a response with the fields of the origin.
    fn of(
        status: StatusCode,
        headers: &HeaderMap,
        directives: &Effective,
        policy: &RoutePolicy,
        received: SystemTime,
    ) -> Self {
        let lifetime = s4_2_freshness::lifetime(status, headers, directives, policy, received);
        // RFC 9111 §5.2.2.10: s-maxage implies proxy-revalidate, unless the route's age replaces
        // it.
        let s_maxage = directives.s_maxage.is_some() && lifetime.source != Source::Route;
        Self {
            lifetime: lifetime.duration,
            validate_always: directives.no_cache.as_ref().is_some_and(Scope::is_response),
            never_stale: directives.must_revalidate || directives.proxy_revalidate || s_maxage,
            for_all_clients: s3_storing::is_for_all_clients(directives),
            while_revalidate: directives.stale_while_revalidate.or(policy.stale_while_revalidate).unwrap_or_default(),
            if_error: directives.stale_if_error.or(policy.stale_if_error),
        }
    }

    /// Returns `true` if a response with these rules can ever be reused.
    pub(crate) fn is_useful(&self, headers: &HeaderMap) -> bool {
        let fresh = !self.lifetime.is_zero() && !self.validate_always;
        fresh
            || s4_3_validation::can_validate(headers)
            || !self.while_revalidate.is_zero()
            || self.if_error.is_some_and(|limit| !limit.is_zero())
    }
}

// === impl Head ===

impl Head {
    /// Makes the stored head of a response, with the fields as clients get them.
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
        let client_freshness = ClientFreshness::of(status, &headers, policy);
        for name in &policy.vary {
            add_vary(&mut headers, name);
        }
        // RFC 9110 §6.6.1: a stored response has a Date; one that cannot be parsed is replaced.
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
            client_freshness,
            groups: Box::default(),
            slots: SmallVec::new(),
            since: times.since,
        }
    }

    /// The `current_age` (RFC 9111 §4.2.3).
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        self.initial_age.saturating_add(now.duration_since(self.received).unwrap_or_default())
    }

    /// The facts that decide whether it may be reused now.
    pub(crate) fn reuse(&self, now: SystemTime) -> Reuse {
        Reuse {
            age: self.age(now),
            lifetime: self.rules.lifetime,
            validate_always: self.rules.validate_always,
            never_stale: self.rules.never_stale,
            while_revalidate: self.rules.while_revalidate,
        }
    }

    /// Returns `true` if it may replace an error of the origin (RFC 9111 §4.2.4, RFC 5861 §4).
    /// `disconnected` is the time allowed where nothing else says, if the origin is unreachable.
    pub(crate) fn may_stand_in(
        &self,
        now: SystemTime,
        directives: &RequestDirectives,
        disconnected: Option<Duration>,
    ) -> bool {
        if self.rules.never_stale || self.rules.validate_always {
            return false;
        }
        let staleness = self.age(now).saturating_sub(self.rules.lifetime);
        let allowed = self.rules.if_error.or(directives.stale_if_error).or(disconnected);
        allowed.is_some_and(|allowed| staleness < allowed)
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let names: usize = self
            .selecting
            .iter()
            .map(|(name, value)| 48 + name.as_str().len() + value.as_deref().map_or(0, str::len))
            .sum();
        let groups: usize = self.groups.iter().map(|group| 32 + group.len()).sum();
        names + stored_fields::weight(&self.headers) + groups
    }
}

fn add_vary(headers: &mut HeaderMap, name: &HeaderName) {
    let named = dunlin_http::list::elements(headers, &VARY)
        .any(|element| element == "*" || element.eq_ignore_ascii_case(name.as_str()));
    if !named {
        headers.append(VARY, HeaderValue::from_name(name.clone()));
    }
}

/// All lines of a field as one value.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let lines: Vec<_> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() { None } else { HeaderValue::from_bytes(&lines.join(&b", "[..])).ok() }
}
