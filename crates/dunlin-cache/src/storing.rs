//! [`ResponseContext`]: the steps from a response's head to an entry in memory.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::conditional::ETag;
use dunlin_http::date;
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, DATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sfv::{BareItem, List, ListEntry, Parser};

use crate::client_freshness::ClientFreshness;
use crate::config::RoutePolicy;
use crate::core::Core;
use crate::entry::{Entry, Part};
use crate::field_names::{CACHE_GROUPS, CACHE_STATUS};
use crate::head::{Head, Times};
use crate::key::Key;
use crate::policy::s3_storing::{self, Refusal, StorageRequest};
use crate::policy::s5_2_response::Effective;
use crate::policy::{s3_4_partial, s4_1_key, s4_3_validation};

/// The limit of groups of one response (RFC 9875 §2 requires at least 32).
const MAX_GROUPS: usize = 128;

/// The circumstances of a response: all that storing it depends on, besides the response itself.
pub(crate) struct ResponseContext<'a> {
    pub(crate) key: &'a Key,
    pub(crate) policy: &'a RoutePolicy,
    /// The header of the request.
    pub(crate) request: &'a HeaderMap,
    pub(crate) times: Times,
}

/// The result of storing an entry.
pub(crate) struct StoredEntry {
    pub(crate) entry: Arc<Entry>,
    /// `false` if an invalidation overtook the fill.
    pub(crate) stored: bool,
}

/// A stored response, freshened by a 304 or by the response to a HEAD.
pub(crate) struct Freshened {
    pub(crate) entry: Entry,
    /// `false` if the entry may answer this request but must not be stored.
    pub(crate) storable: bool,
}

/// The key of an entry that was put into memory.
pub(crate) struct StoredKey {
    pub(crate) text: String,
    /// `true` if a URL alone does not determine the key, so that it belongs to its path.
    pub(crate) is_partial: bool,
}

// === impl ResponseContext ===

impl ResponseContext<'_> {
    /// The stored head of a response, if it may be stored (RFC 9111 §3).
    pub(crate) fn head(&self, core: &Core, status: StatusCode, headers: &HeaderMap) -> Result<Head, Refusal> {
        let directives = Effective::of(headers, &core.config.targets);
        self.check(status, headers, &directives)?;
        self.head_with(core, status, headers.clone(), &directives)
    }

    /// The fields of a response that only its own client gets.
    pub(crate) fn unshared_fields(&self, core: &Core, headers: &HeaderMap) -> HeaderMap {
        s3_storing::unshared_fields(headers, &Effective::of(headers, &core.config.targets))
    }

    fn check(&self, status: StatusCode, headers: &HeaderMap, directives: &Effective) -> Result<(), Refusal> {
        let request = StorageRequest {
            headers: self.request,
            identified: self.key.identified,
            separate: self.key.place.has_subject(),
        };
        s3_storing::may_store(request, status, headers, directives, self.policy)
    }

    fn head_with(
        &self,
        core: &Core,
        status: StatusCode,
        headers: HeaderMap,
        directives: &Effective,
    ) -> Result<Head, Refusal> {
        let selecting = s4_1_key::selecting(&headers, self.request, &self.policy.vary).ok_or(Refusal::VaryAny)?;
        let own_groups = groups(&headers, &CACHE_GROUPS);
        let mut head = Head::new(status, headers, selecting, directives, self.policy, self.times);
        if !head.rules.is_useful(&head.headers) {
            return Err(Refusal::NoFreshness);
        }
        head.slots.clone_from(&self.key.slots);
        if !own_groups.is_empty() {
            let origin = self.key.place.target(&self.policy.query).origin();
            head.slots.extend(own_groups.iter().flat_map(|group| core.group_slots(&origin, group)));
        }
        head.groups = self.policy.groups.iter().map(|group| group.as_str().into()).chain(own_groups).collect();
        Ok(head)
    }

    /// Freshens a stored response by the fields of a 304 or of the response to a HEAD (RFC 9111
    /// §3.2).
    pub(crate) fn freshened(&self, core: &Core, stored: &Entry, mut fresh: HeaderMap) -> Freshened {
        // RFC 9110 §6.6.1: a response without a date gets the time at which it was received.
        fresh.entry(DATE).or_insert_with(|| date::format(self.times.received));
        let mut headers = stored.headers.clone();
        headers.remove(AGE);
        headers.remove(CACHE_STATUS);
        if stored.client_freshness == ClientFreshness::Inserted {
            headers.remove(CACHE_CONTROL);
        }
        let fresh_directives = Effective::of(&fresh, &core.config.targets);
        s4_3_validation::update(&mut headers, fresh, &fresh_directives);
        let directives = Effective::of(&headers, &core.config.targets);
        let with_body = |head: Head| {
            let entry = Entry::with_stored_body(head, stored.body.clone(), stored.id, stored.part);
            entry.with_trailers(stored.trailers.clone())
        };
        let head = self
            .check(stored.status, &headers, &directives)
            .and_then(|()| self.head_with(core, stored.status, headers.clone(), &directives));
        match head {
            Ok(head) => Freshened { entry: with_body(head), storable: true },
            Err(_) => {
                let selecting = stored.selecting.clone();
                let head = Head::new(stored.status, headers, selecting, &directives, self.policy, self.times);
                Freshened { entry: with_body(head), storable: false }
            }
        }
    }

    /// The trailers of a response with this head that all clients may get, if there are any.
    pub(crate) fn shared_trailers(&self, core: &Core, head: &Head, trailers: HeaderMap) -> Option<Arc<HeaderMap>> {
        let directives = Effective::of(&head.headers, &core.config.targets);
        let shared = s3_storing::shared_trailers(trailers, &directives, self.policy);
        (!shared.is_empty()).then(|| Arc::new(shared))
    }

    /// The entry of a complete response. A 206 is joined to the stored part if the two fit.
    pub(crate) fn entry(&self, head: Head, body: Bytes, stored: Option<&Entry>) -> Result<Entry, Refusal> {
        if is_incomplete(&head.headers, body.len()) {
            return Err(Refusal::Incomplete);
        }
        if head.status != StatusCode::PARTIAL_CONTENT {
            return Ok(Entry::new(head, &body, None));
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

    /// The entry of a response that broke off: the beginning of a content with a strong validator
    /// (RFC 9111 §3.3).
    pub(crate) fn broken_off(&self, mut head: Head, body: &Bytes) -> Option<Entry> {
        let whole: u64 = head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()?;
        let strong = ETag::of(&head.headers).is_some_and(|etag| !etag.is_weak());
        if head.status != StatusCode::OK || !strong || body.is_empty() || body.len() as u64 >= whole {
            return None;
        }
        let part = Part { first: 0, whole: Some(whole) };
        head.headers.insert(CONTENT_RANGE, s3_4_partial::content_range(0, body.len() as u64, part.whole));
        head.status = StatusCode::PARTIAL_CONTENT;
        Some(Entry::new(head, body, Some(part)))
    }

    /// Stores an entry here and in the second level, unless an invalidation overtook its fill.
    pub(crate) fn store(&self, core: &Core, entry: Entry) -> StoredEntry {
        let (entry, key) = self.store_in_memory(core, entry);
        let Some(key) = key else {
            core.counters.overtaken.increment();
            return StoredEntry { entry, stored: false };
        };
        core.hit_for_miss.remove(self.key.hash);
        core.counters.stored.increment();
        self.save(core, &entry, &key);
        StoredEntry { entry, stored: true }
    }

    /// Puts an entry into memory. Returns no key if an invalidation overtook its fill.
    pub(crate) fn store_in_memory(&self, core: &Core, mut entry: Entry) -> (Arc<Entry>, Option<StoredKey>) {
        let key = core.storage_key(self.key, &entry.headers, self.policy);
        if let Some(first) = entry.head.slots.first_mut() {
            *first = key.slot;
        }
        if !core.generations.is_current(entry.since, &entry.slots) {
            return (Arc::new(entry), None);
        }
        let entry = Arc::new(entry.stored_as(&key.text));
        let put = || core.memory.put(key.hash, &entry, &core.generations);
        if !core.prefix_purges.put_unless_overtaken(entry.since, &key.text, put) {
            return (entry, None);
        }
        let is_partial = key.slot != key.hash.into();
        (entry, Some(StoredKey { text: key.text, is_partial }))
    }
}

/// Returns `true` if the body does not have the announced length (RFC 9112 §8, RFC 9111 §3.3).
pub(crate) fn is_incomplete(headers: &HeaderMap, received: usize) -> bool {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    announced.is_some_and(|announced| announced != received)
}

/// The entry of a part as a 206, or of the whole content as a 200 (RFC 9111 §3.4).
fn part_or_whole(mut head: Head, part: Part, body: &Bytes) -> Entry {
    let length = body.len() as u64;
    if part.first == 0 && part.whole == Some(length) {
        head.status = StatusCode::OK;
        head.headers.remove(CONTENT_RANGE);
        return Entry::new(head, body, None);
    }
    head.headers.insert(CONTENT_RANGE, s3_4_partial::content_range(part.first, length, part.whole));
    Entry::new(head, body, Some(part))
}

/// The strings of a list (RFC 9875 §2 and §3). A field that is no list counts as missing.
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
    list.into_iter().filter_map(text).take(MAX_GROUPS).collect()
}
