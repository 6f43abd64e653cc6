//! [`Core`]: all that the clones of a cache share, and the look-up that decides what happens to a
//! request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, Clock, Problem, Reply};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use quick_cache::sync::Cache as Index;
use smallvec::SmallVec;

use crate::config::{Config, QueryKey, RoutePolicy};
use crate::entry::{CACHE_STATUS, Entry};
use crate::flights::Flights;
use crate::generations::{Generations, Slot};
use crate::lonely::Lonely;
use crate::memory::{Found, Memory};
use crate::policy::key::{KeyHash, Query, Seeds, Target};
use crate::policy::no_vary_search::NoVarySearch;
use crate::policy::s4_request::{self, Reason};
use crate::policy::s5_2_request::{Verdict, judge};
use crate::policy::{s3_4_partial, s4_1_key};
use crate::serve::{self, For};
use crate::stats::Counters;
use crate::status::{CacheStatus, Forward};
use crate::store::Invalidation;
use crate::store::second::Second;

/// What the clones of a cache share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) seeds: Seeds,
    pub(crate) memory: Memory,
    pub(crate) generations: Generations,
    pub(crate) flights: Arc<Flights>,
    pub(crate) lonely: Lonely,
    pub(crate) counters: Counters,
    /// What is shared with other instances.
    pub(crate) second: Option<Second>,
    /// What `No-Vary-Search` said last, by path.
    search: Index<KeyHash, Arc<NoVarySearch>>,
    any_search: AtomicBool,
}

/// What happens to a request.
pub(crate) enum Phase {
    /// It is answered from what is stored.
    Hit(Reply),
    /// It is answered from what is stored and stale, to be validated meanwhile (RFC 5861 §3).
    Stale(Reply, Box<Revalidate>),
    /// What is stored may not be used without asking the origin about it.
    Revalidate(Box<Revalidate>),
    /// Nothing stored answers it.
    Miss(Box<Miss>),
    /// The cache is not to handle it.
    Bypass(Reason),
    /// Nothing stored answers it, and it wants nothing else (RFC 9111 §5.2.1.7).
    OnlyIfCached(Response<Body>),
}

pub(crate) struct Revalidate {
    pub(crate) key: Key,
    pub(crate) stored: Arc<Entry>,
    pub(crate) why: Forward,
    pub(crate) asked: RequestDirectives,
}

pub(crate) struct Miss {
    pub(crate) key: Key,
    pub(crate) why: Forward,
    /// A part of what is asked for.
    pub(crate) part: Option<Arc<Entry>>,
    pub(crate) asked: RequestDirectives,
}

/// Where a request's answer belongs, in all that is needed to store it later.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) hash: KeyHash,
    /// The key of the fill: the same for requests that what is known of the answer's variants does
    /// not tell apart.
    pub(crate) flight: u128,
    pub(crate) place: Place,
    /// The slots of the key and of the route's groups.
    pub(crate) slots: SmallVec<[Slot; 8]>,
}

/// The owned parts of a target.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    secure: bool,
    authority: String,
    path: String,
    query: Option<String>,
}

// === impl Core ===

impl Core {
    pub(crate) fn new(mut config: Config, clock: Clock, second: Option<Second>) -> Self {
        let memory = Memory::new(config.memory, config.max_entry, config.max_variants.max(1));
        // What memory has no room for is not said to be stored.
        config.max_entry = config.max_entry.min(memory.largest());
        let index = (config.memory / 64).clamp(1 << 10, 4 << 20);
        Self {
            memory,
            config,
            clock,
            seeds: Seeds::random(),
            generations: Generations::new(),
            flights: Arc::new(Flights::new()),
            lonely: Lonely::new(),
            counters: Counters::default(),
            second,
            search: Index::new((index / 256) as usize),
            any_search: AtomicBool::new(false),
        }
    }

    /// Decides what happens to a request. `empty` tells that it has no content.
    pub(crate) fn begin(&self, parts: &Parts, empty: bool, policy: &RoutePolicy) -> Phase {
        let plain = s4_request::is_plain(&parts.headers);
        if let Some(reason) = Reason::of(parts, plain, empty) {
            return Phase::Bypass(reason);
        }
        if policy.is_paused() {
            return Phase::Bypass(Reason::Paused);
        }
        let asked = if policy.request_directives && !plain {
            RequestDirectives::of(&parts.headers)
        } else {
            RequestDirectives::default()
        };
        if asked.no_store {
            return Phase::Bypass(Reason::NoStore);
        }
        let mut target = Target::of(parts, policy);
        let reduced = self.reduced(&target);
        if let Some(reduced) = &reduced {
            target.query = Query::Reduced(reduced);
        }
        let key = target.bytes();
        let hash = self.seeds.hash(&key);
        let found = self.memory.find(hash, &key, &parts.headers, &self.generations);
        let phase = self.judge(parts, &target, hash, found, (asked, plain), policy);
        match phase {
            Phase::Revalidate(_) | Phase::Miss(_) if asked.only_if_cached => Phase::OnlyIfCached(self.only_if_cached()),
            phase => phase,
        }
    }

    fn judge(
        &self,
        parts: &Parts,
        target: &Target<'_>,
        hash: KeyHash,
        found: Found,
        (asked, plain): (RequestDirectives, bool),
        policy: &RoutePolicy,
    ) -> Phase {
        let key = |stored: Option<&Entry>| self.key(parts, target, hash, stored, policy);
        let stored = match found {
            Found::Entry(stored) => stored,
            Found::Nothing => {
                return Phase::Miss(Box::new(Miss { key: key(None), why: Forward::UriMiss, part: None, asked }));
            }
            Found::OtherVariants(other) => {
                let (key, why) = (key(Some(&other)), Forward::VaryMiss);
                return Phase::Miss(Box::new(Miss { key, why, part: None, asked }));
            }
        };
        let now = self.clock.now();
        let verdict = judge(stored.reuse(now), &asked);
        let why = match verdict {
            Verdict::Requested => Forward::Request,
            Verdict::Expired => Forward::Stale,
            Verdict::Fresh | Verdict::Stale | Verdict::StaleWhileRevalidate => {
                let text = self.config.tell_key.then(|| target.text());
                let status = CacheStatus { hit: true, key: text.as_deref(), ..CacheStatus::default() };
                if let Some(reply) = serve::reply(&stored, self.request(parts, plain, now), status) {
                    if verdict != Verdict::StaleWhileRevalidate || stored.part.is_some() {
                        return Phase::Hit(reply);
                    }
                    let (key, why) = (key(Some(&stored)), Forward::Stale);
                    return Phase::Stale(reply, Box::new(Revalidate { key, stored, why, asked }));
                }
                Forward::Partial
            }
        };
        if stored.part.is_some() {
            let (key, why) = (key(Some(&stored)), Forward::Partial);
            return Phase::Miss(Box::new(Miss { key, why, part: Some(stored), asked }));
        }
        Phase::Revalidate(Box::new(Revalidate { key: key(Some(&stored)), stored, why, asked }))
    }

    fn request<'a>(&'a self, parts: &'a Parts, plain: bool, now: SystemTime) -> For<'a> {
        For { method: &parts.method, headers: &parts.headers, plain, now, name: &self.config.name }
    }

    /// The key of a request of which nothing is known.
    pub(crate) fn plain_key(&self, parts: &Parts, policy: &RoutePolicy) -> Key {
        let target = Target::of(parts, policy);
        self.key(parts, &target, target.hash(&self.seeds), None, policy)
    }

    /// The key of a request, with all that storing its answer takes. `stored` is an answer of the
    /// same key, if there is one.
    fn key(
        &self,
        parts: &Parts,
        target: &Target<'_>,
        hash: KeyHash,
        stored: Option<&Entry>,
        policy: &RoutePolicy,
    ) -> Key {
        let flight = stored.map_or(0, |stored| self.variant(&stored.head.selecting, &parts.headers));
        let place = Place {
            secure: target.secure,
            authority: target.authority.to_owned(),
            path: [target.prefix, target.path].concat(),
            query: parts.uri.query().map(str::to_owned),
        };
        let mut slots = SmallVec::new();
        slots.push(if target.is_partial() { target.path_hash(&self.seeds).into() } else { hash.into() });
        slots.push(self.seeds.name(&Self::path_anywhere(target.prefix, target.path)).into());
        if !policy.groups.is_empty() {
            let origin = target.origin();
            slots.extend(policy.groups.iter().flat_map(|group| self.group_slots(&origin, group)));
        }
        Key { hash, flight: hash.0 ^ u128::from(flight), place, slots }
    }

    /// The hash of the request fields that a known variant is selected by.
    pub(crate) fn variant(&self, selecting: &s4_1_key::Selecting, request: &HeaderMap) -> u64 {
        let mut text = String::new();
        for (name, _) in selecting {
            text.push_str(name.as_str());
            if let Some(value) = s4_1_key::normalised(name, request) {
                text.push(':');
                text.push_str(&value);
            }
            text.push('\n');
        }
        if text.is_empty() { 0 } else { self.seeds.name(&text) }
    }

    /// The slots of a group: one for its name anywhere, one for its name at this origin (RFC 9875
    /// §2).
    pub(crate) fn group_slots(&self, origin: &str, group: &str) -> [Slot; 2] {
        [self.seeds.name(group).into(), self.seeds.name(&Self::group_at(origin, group)).into()]
    }

    /// The name of the group of all that is stored for a path, whatever the host and the query.
    pub(crate) fn path_anywhere(prefix: &str, path: &str) -> String {
        format!("*{prefix}{path}#path")
    }

    /// The name of a group at one origin.
    pub(crate) fn group_at(origin: &str, group: &str) -> String {
        format!("{origin}\n{group}")
    }

    /// The key as a text, as far as it is known before the answer.
    pub(crate) fn key_text(&self, key: &Key, policy: &RoutePolicy) -> String {
        let mut target = key.place.target(&policy.query);
        let reduced = self.reduced(&target);
        if let Some(reduced) = &reduced {
            target.query = Query::Reduced(reduced);
        }
        target.text()
    }

    /// What is left of the query by the last `No-Vary-Search` of this path.
    fn reduced(&self, target: &Target<'_>) -> Option<String> {
        let Query::Whole(query) = target.query else { return None };
        if !self.any_search.load(Relaxed) {
            return None;
        }
        let rule = self.search.get(&target.path_hash(&self.seeds))?;
        Some(rule.canonical(query.unwrap_or_default()))
    }

    /// Notes what an answer said of the query, and gives the key that it is to be stored under.
    pub(crate) fn storage_key(&self, key: &Key, headers: &HeaderMap, policy: &RoutePolicy) -> (KeyHash, String, Slot) {
        let rule = NoVarySearch::of(headers).filter(|_| policy.query == QueryKey::Whole);
        let mut target = key.place.target(&policy.query);
        let path = target.path_hash(&self.seeds);
        let reduced = rule.as_ref().map(|rule| rule.canonical(key.place.query.as_deref().unwrap_or_default()));
        match (rule, &reduced) {
            (Some(rule), Some(reduced)) => {
                target.query = Query::Reduced(reduced);
                self.search.insert(path, Arc::new(rule));
                self.any_search.store(true, Relaxed);
            }
            _ if self.any_search.load(Relaxed) => drop(self.search.remove(&path)),
            _ => {}
        }
        let hash = target.hash(&self.seeds);
        let slot = if target.is_partial() { path.into() } else { hash.into() };
        (hash, target.text(), slot)
    }

    /// Invalidates here and in the second level, for all who share it.
    pub(crate) fn invalidate(&self, what: &Invalidation) {
        self.counters.invalidations.add();
        self.forget(what);
        if let Some(second) = &self.second {
            second.invalidate(what);
        }
    }

    /// Invalidates here.
    pub(crate) fn forget(&self, what: &Invalidation) {
        if what.all {
            self.generations.flush();
            self.memory.clear();
        }
        self.generations.invalidate(what.groups.iter().map(|group| self.seeds.name(group).into()));
        for key in &what.keys {
            // A key that one URL tells is that URL.
            let (scheme, rest) = key.split_once("://").unwrap_or(("http", key));
            let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            self.forget_url(scheme == "https", authority, target);
        }
    }

    /// What there is to invalidate for a path and query on an origin (RFC 9111 §4.4): every
    /// variant, and what its parameters lead to.
    pub(crate) fn url(what: &mut Invalidation, secure: bool, authority: &str, target: &str) {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let target = Target { secure, authority, prefix: "", path, query: Query::Whole(query) };
        what.keys.push(target.text());
        what.groups.push(target.path_text());
    }

    fn forget_url(&self, secure: bool, authority: &str, target: &str) {
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let target = Target { secure, authority, prefix: "", path, query: Query::Whole(query) };
        let hash = target.hash(&self.seeds);
        self.generations.invalidate([hash.into(), target.path_hash(&self.seeds).into()]);
        self.memory.remove_key(hash);
    }

    /// Whether the origin has failed: it may be down, or what stands between is.
    pub(crate) fn has_failed(status: StatusCode) -> bool {
        // RFC 5861 §4.
        matches!(status.as_u16(), 500 | 502 | 503 | 504)
    }

    /// Whether a status tells that the origin could not be reached at all, as far as a gateway can
    /// tell.
    pub(crate) fn is_unreachable(status: StatusCode) -> bool {
        matches!(status.as_u16(), 502 | 504)
    }

    /// The most that an answer of unknown staleness stands in for an origin that cannot be reached.
    pub(crate) fn disconnected(&self) -> Duration {
        self.config.disconnected
    }

    fn only_if_cached(&self) -> Response<Body> {
        let mut response = Problem::new(StatusCode::GATEWAY_TIMEOUT)
            .detail("No stored answer is good for this request, and it asks for nothing else.")
            .into_response();
        response.headers_mut().insert(CACHE_STATUS, self.plain_status("only-if-cached"));
        response
    }

    /// A `Cache-Status` that tells only that nothing was done, and why.
    pub(crate) fn plain_status(&self, detail: &str) -> HeaderValue {
        CacheStatus { detail: Some(detail), ..CacheStatus::default() }.to_value(&self.config.name, None)
    }

    /// Whether a request asks for a part of which the cache can know no more than the origin.
    pub(crate) fn asks_for_part(parts: &Parts) -> bool {
        parts.method == http::Method::GET && s3_4_partial::asked(&parts.headers).is_some()
    }
}

// === impl Place ===

impl Place {
    pub(crate) fn target<'a>(&'a self, rule: &'a QueryKey) -> Target<'a> {
        let query = match rule {
            QueryKey::Whole => Query::Whole(self.query.as_deref()),
            QueryKey::Only(names) => Query::Declared(self.query.as_deref().unwrap_or_default(), names),
        };
        Target { secure: self.secure, authority: &self.authority, prefix: "", path: &self.path, query }
    }
}
