//! [`Decision`]: the look-up that decides how a request is answered.

use std::sync::Arc;
use std::time::SystemTime;

use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, Problem, Reply};
use http::{Response, StatusCode};

use crate::config::RoutePolicy;
use crate::core::Core;
use crate::entry::Entry;
use crate::field_names::CACHE_STATUS;
use crate::key::Key;
use crate::memory::Found;
use crate::policy::client::Client;
use crate::policy::key::{KeyHash, Query, Target};
use crate::policy::s4_request::{self, BypassReason};
use crate::policy::s5_2_request::{Verdict, judge};
use crate::request::RequestHead;
use crate::serve::{self, RequestContext};
use crate::status::{CacheStatus, ForwardReason};

/// The way in which a request is answered.
pub(crate) enum Decision {
    /// From the cache.
    Hit(Reply),
    /// From the cache with a stale response, which is revalidated in the background (RFC 5861 §3).
    StaleHit(Reply, Box<Revalidation>),
    /// By the origin, with a condition that the stored response allows.
    Revalidate(Box<Revalidation>),
    /// By the origin.
    Miss(Box<Miss>),
    /// By the origin, because the cache does not handle such requests.
    Bypass(BypassReason),
    /// With 504, because the request has `only-if-cached` (RFC 9111 §5.2.1.7).
    OnlyIfCached(Response<Body>),
}

pub(crate) struct Revalidation {
    pub(crate) key: Key,
    pub(crate) stored: Arc<Entry>,
    pub(crate) reason: ForwardReason,
    pub(crate) directives: RequestDirectives,
}

pub(crate) struct Miss {
    pub(crate) key: Key,
    pub(crate) reason: ForwardReason,
    /// A stored part of the content.
    pub(crate) part: Option<Arc<Entry>>,
    pub(crate) directives: RequestDirectives,
}

/// A request with what the look-up has worked out about it.
struct Lookup<'a> {
    request: &'a RequestHead<'a>,
    /// `true` if the request has no field that the policy looks for.
    plain: bool,
    directives: &'a RequestDirectives,
    target: &'a Target<'a>,
    hash: KeyHash,
    policy: &'a RoutePolicy,
}

// === impl Core ===

impl Core {
    /// Decides how a request is answered. `empty` is `true` if it has no content.
    pub(crate) fn look_up(&self, request: &RequestHead<'_>, empty: bool, policy: &RoutePolicy) -> Decision {
        let plain = s4_request::is_plain(request.headers);
        if let Some(reason) = BypassReason::of(request, plain, empty) {
            return Decision::Bypass(reason);
        }
        if policy.is_paused() {
            return Decision::Bypass(BypassReason::Paused);
        }
        let directives = if policy.request_directives && !plain {
            RequestDirectives::of(request.headers)
        } else {
            RequestDirectives::default()
        };
        if directives.no_store {
            return Decision::Bypass(BypassReason::NoStore);
        }
        let mut target = Target::of(request, policy);
        let reduced = self.reduced_query(&target);
        if let Some(reduced) = &reduced {
            target.query = Query::Reduced(reduced);
        }
        let key = target.bytes();
        let hash = self.seeds.hash(&key);
        let found = self.memory.find(hash, &key, request.headers, &self.generations);
        self.decide(&Lookup { request, plain, directives: &directives, target: &target, hash, policy }, found)
    }

    fn decide(&self, lookup: &Lookup<'_>, found: Found) -> Decision {
        let Lookup { request, plain, directives, target, .. } = *lookup;
        let stored = match found {
            Found::Entry(stored) => stored,
            Found::Nothing => return self.miss(lookup, None, ForwardReason::UriMiss),
            Found::OtherVariants(other) => return self.miss(lookup, Some(&other), ForwardReason::VaryMiss),
        };
        // RFC 9111 §3.5, for an identity that no field of the request shows.
        if request.client == Client::Identified && !stored.rules.for_all_clients {
            return self.miss(lookup, Some(&stored), ForwardReason::Request);
        }
        let now = self.clock.now();
        let verdict = judge(stored.reuse(now), directives);
        let reason = match verdict {
            Verdict::Requested => ForwardReason::Request,
            Verdict::Expired => ForwardReason::Stale,
            Verdict::Fresh | Verdict::Stale | Verdict::StaleWhileRevalidate => {
                let text = self.config.tell_key.then(|| target.text());
                let status = CacheStatus { hit: true, key: text.as_deref(), ..CacheStatus::default() };
                if let Some(reply) = serve::reply(&stored, self.request_context(request, plain, now), status) {
                    if verdict != Verdict::StaleWhileRevalidate || stored.part.is_some() {
                        return Decision::Hit(reply);
                    }
                    let revalidation = self.revalidation(lookup, stored, ForwardReason::Stale);
                    return Decision::StaleHit(reply, Box::new(revalidation));
                }
                ForwardReason::Partial
            }
        };
        if directives.only_if_cached {
            return Decision::OnlyIfCached(self.only_if_cached());
        }
        if stored.part.is_some() {
            let key = self.lookup_key(lookup, Some(&stored));
            let reason = ForwardReason::Partial;
            return Decision::Miss(Box::new(Miss { key, reason, part: Some(stored), directives: *directives }));
        }
        Decision::Revalidate(Box::new(self.revalidation(lookup, stored, reason)))
    }

    fn miss(&self, lookup: &Lookup<'_>, stored: Option<&Entry>, reason: ForwardReason) -> Decision {
        if lookup.directives.only_if_cached {
            return Decision::OnlyIfCached(self.only_if_cached());
        }
        let key = self.lookup_key(lookup, stored);
        Decision::Miss(Box::new(Miss { key, reason, part: None, directives: *lookup.directives }))
    }

    fn revalidation(&self, lookup: &Lookup<'_>, stored: Arc<Entry>, reason: ForwardReason) -> Revalidation {
        let key = self.lookup_key(lookup, Some(&stored));
        Revalidation { key, stored, reason, directives: *lookup.directives }
    }

    fn lookup_key(&self, lookup: &Lookup<'_>, stored: Option<&Entry>) -> Key {
        self.key(lookup.request, lookup.target, lookup.hash, stored, lookup.policy)
    }

    fn request_context<'a>(&'a self, request: &RequestHead<'a>, plain: bool, now: SystemTime) -> RequestContext<'a> {
        RequestContext { method: request.method, headers: request.headers, plain, now, cache_name: &self.config.name }
    }

    fn only_if_cached(&self) -> Response<Body> {
        let mut response = Problem::new(StatusCode::GATEWAY_TIMEOUT)
            .detail("The cache has no response for this request, and only-if-cached forbids to forward it.")
            .into_response();
        let status = CacheStatus { detail: Some("only-if-cached"), ..CacheStatus::default() };
        response.headers_mut().insert(CACHE_STATUS, status.to_value(&self.config.name, None));
        response
    }
}
