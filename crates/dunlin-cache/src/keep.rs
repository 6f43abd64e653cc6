//! Keeping an answer: from its head to its place in memory.

use std::sync::Arc;

use dunlin_http::{Body, BoxError, date};
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, DATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::config::RoutePolicy;
use crate::core::{Core, Key};
use crate::entry::{CACHE_GROUPS, CACHE_STATUS, Entry, Head, Part, Times, Told};
use crate::policy::s3_storing::{self, Refusal};
use crate::policy::s5_2_response::Effective;
use crate::policy::{s3_4_partial, s4_1_key, s4_3_validation};

/// The most groups of one response that count (RFC 9875 §2 asks for 32 at least).
const MOST_GROUPS: usize = 128;

/// A response's head and what storing it takes.
pub(crate) struct Answer<'a> {
    pub(crate) key: &'a Key,
    pub(crate) policy: &'a RoutePolicy,
    /// The header of the request that it answers.
    pub(crate) request: &'a HeaderMap,
    pub(crate) times: Times,
}

/// Where an entry was stored.
pub(crate) struct Kept {
    pub(crate) key: String,
    /// Whether one URL does not tell the key, so that it belongs to its path.
    pub(crate) of_path: bool,
}

// === impl Answer ===

impl Answer<'_> {
    /// What is stored of a head, if it may be (RFC 9111 §3).
    pub(crate) fn head(&self, core: &Core, status: StatusCode, headers: &HeaderMap) -> Result<Head, Refusal> {
        let directives = Effective::of(headers, &core.config.targets);
        s3_storing::may_store(self.request, status, headers, &directives, self.policy)?;
        self.head_with(core, status, headers.clone(), &directives)
    }

    /// The fields that only who asked for this answer may be given.
    pub(crate) fn unshared(&self, core: &Core, headers: &HeaderMap) -> HeaderMap {
        s3_storing::unshared(headers, &Effective::of(headers, &core.config.targets))
    }

    fn head_with(
        &self,
        core: &Core,
        status: StatusCode,
        headers: HeaderMap,
        directives: &Effective,
    ) -> Result<Head, Refusal> {
        let selecting = s4_1_key::selecting(&headers, self.request, &self.policy.vary).ok_or(Refusal::VaryAny)?;
        let told = groups(&headers, &CACHE_GROUPS);
        let mut head = Head::new(status, headers, selecting, directives, self.policy, self.times);
        if !head.rules.is_useful(&head.headers) {
            return Err(Refusal::NoFreshness);
        }
        head.slots.clone_from(&self.key.slots);
        if !told.is_empty() {
            let origin = self.key.place.target(&self.policy.query).origin();
            head.slots.extend(told.iter().flat_map(|group| core.group_slots(&origin, group)));
        }
        head.groups = self.policy.groups.iter().map(|group| group.as_str().into()).chain(told).collect();
        Ok(head)
    }

    /// What is stored, freshened by a 304 or a HEAD's response (RFC 9111 §3.2), and whether it may
    /// be stored any longer or only be answered this once.
    pub(crate) fn freshened(&self, core: &Core, stored: &Entry, mut fresh: HeaderMap) -> (Entry, bool) {
        // RFC 9110 §6.6.1: what came without a date is of when it came.
        fresh.entry(DATE).or_insert_with(|| date::format(self.times.received));
        let mut headers = stored.headers.clone();
        headers.remove(AGE);
        headers.remove(CACHE_STATUS);
        if stored.told == Told::Placed {
            headers.remove(CACHE_CONTROL);
        }
        let told = Effective::of(&fresh, &core.config.targets);
        s4_3_validation::update(&mut headers, fresh, &told);
        let directives = Effective::of(&headers, &core.config.targets);
        let allowed = s3_storing::may_store(self.request, stored.status, &headers, &directives, self.policy);
        let with_body = |head: Head| {
            head.with_kept_body(stored.body.clone(), stored.id, stored.part).with_trailers(stored.trailers.clone())
        };
        match allowed.and_then(|()| self.head_with(core, stored.status, headers.clone(), &directives)) {
            Ok(head) => (with_body(head), true),
            Err(_) => {
                let selecting = stored.selecting.clone();
                let head = Head::new(stored.status, headers, selecting, &directives, self.policy, self.times);
                (with_body(head), false)
            }
        }
    }

    /// The trailers of an answer with this head, as far as all may have them; `None` when there are
    /// none.
    pub(crate) fn trailers(&self, core: &Core, head: &Head, trailers: HeaderMap) -> Option<Arc<HeaderMap>> {
        let directives = Effective::of(&head.headers, &core.config.targets);
        let shared = s3_storing::shared_trailers(trailers, &directives, self.policy);
        (!shared.is_empty()).then(|| Arc::new(shared))
    }

    /// The entry of a complete answer; of a 206 the part it says it is, joined to the stored one
    /// where they fit.
    pub(crate) fn entry(&self, head: Head, body: bytes::Bytes, stored: Option<&Entry>) -> Result<Entry, Refusal> {
        if is_incomplete(&head.headers, body.len()) {
            return Err(Refusal::Incomplete);
        }
        if head.status != StatusCode::PARTIAL_CONTENT {
            return Ok(head.with_body(&body, None));
        }
        let part = s3_4_partial::received(&head.headers, body.len() as u64).ok_or(Refusal::Part)?;
        let joined = stored.and_then(|stored| {
            let old = stored.part?;
            s3_4_partial::combinable(&stored.headers, &head.headers).then_some(())?;
            s3_4_partial::combine((part, &body), (old, &stored.body))
        });
        let (part, body) = joined.unwrap_or((part, body));
        Ok(part_or_whole(head, part, &body))
    }

    /// What came of an answer that broke off, if it is good for anything: the beginning of a
    /// content that a strong validator tells (RFC 9111 §3.3).
    pub(crate) fn broken_off(&self, mut head: Head, body: &bytes::Bytes) -> Option<Entry> {
        let whole: u64 = head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
        let strong = dunlin_http::conditional::ETag::of(&head.headers).is_some_and(|etag| !etag.is_weak());
        if head.status != StatusCode::OK || !strong || body.is_empty() || body.len() as u64 >= whole {
            return None;
        }
        let part = Part { first: 0, whole: Some(whole) };
        head.headers.insert(CONTENT_RANGE, s3_4_partial::content_range(0, body.len() as u64, part.whole));
        head.status = StatusCode::PARTIAL_CONTENT;
        Some(head.with_body(body, Some(part)))
    }

    /// Stores an entry, unless what it belongs to was invalidated since its fill began. Tells
    /// whether it is stored.
    pub(crate) fn keep(&self, core: &Core, entry: Entry) -> (Arc<Entry>, bool) {
        let (entry, kept) = self.keep_here(core, entry);
        let Some(kept) = kept else {
            core.counters.overtaken.add();
            return (entry, false);
        };
        core.lonely.remove(self.key.hash);
        core.counters.stored.add();
        self.share(core, &entry, &kept);
        (entry, true)
    }

    /// Stores an entry in memory, and tells where.
    pub(crate) fn keep_here(&self, core: &Core, mut entry: Entry) -> (Arc<Entry>, Option<Kept>) {
        let (hash, text, slot) = core.storage_key(self.key, &entry.headers, self.policy);
        if let Some(own) = entry.head.slots.first_mut() {
            *own = slot;
        }
        if !core.generations.is_current(entry.since, &entry.slots) {
            return (Arc::new(entry), None);
        }
        let entry = Arc::new(entry.stored_as(&text));
        core.memory.put(hash, &entry, &core.generations);
        (entry, Some(Kept { key: text, of_path: slot != hash.into() }))
    }
}

/// Whether another number of bytes came than was announced (RFC 9112 §8, RFC 9111 §3.3).
pub(crate) fn is_incomplete(headers: &HeaderMap, came: usize) -> bool {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    announced.is_some_and(|announced| announced != came)
}

/// A part as a 206; all of it as a 200 (RFC 9111 §3.4).
fn part_or_whole(mut head: Head, part: Part, body: &bytes::Bytes) -> Entry {
    let length = body.len() as u64;
    if part.first == 0 && part.whole == Some(length) {
        head.status = StatusCode::OK;
        head.headers.remove(CONTENT_RANGE);
        return head.with_body(body, None);
    }
    head.headers.insert(CONTENT_RANGE, s3_4_partial::content_range(part.first, length, part.whole));
    head.with_body(body, Some(part))
}

/// The members of a list of strings (RFC 9875 §2 and §3). A field that is none counts as not there.
pub(crate) fn groups(headers: &HeaderMap, name: &http::HeaderName) -> Vec<Box<str>> {
    if !headers.contains_key(name) {
        return Vec::new();
    }
    let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let Ok(list) = Parser::new(&lines.join(&b", "[..])).parse::<List>() else { return Vec::new() };
    let text = |member: ListEntry| match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(text.as_str().into()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    list.into_iter().filter_map(text).take(MOST_GROUPS).collect()
}

/// Any response's body as ours.
pub(crate) fn body<B>(body: B) -> Body
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    Body::new(body)
}
