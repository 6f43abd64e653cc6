//! [`CollapsedFetch`]: requests for the same that share one fill.

use std::sync::Arc;

use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, Handler};
use http::request::Parts;
use http::{HeaderMap, Method, Response};
use tokio::sync::{oneshot, watch};

use crate::config::RoutePolicy;
use crate::core::Core;
use crate::entry::Entry;
use crate::fill::{Fill, LeaderOnly};
use crate::flights::{Leader, Outcome, Provenance, Role};
use crate::forward::whole_request;
use crate::head::Head;
use crate::key::Key;
use crate::lookup::{Miss, Revalidation};
use crate::memory::Found;
use crate::origin_call::OriginCall;
use crate::policy::s5_2_request::{Verdict, judge};
use crate::policy::{s3_4_partial, s4_1_key};
use crate::serve::{self, RequestContext};
use crate::status::{CacheStatus, ForwardReason};

/// A request that is forwarded, collapsed with other requests for the same where that is possible.
pub(crate) struct CollapsedFetch<H, C>(pub(crate) OriginCall<H, C>);

/// The parts of a fill that the look-up has decided.
struct FillPlan {
    key: Key,
    stored: Option<Arc<Entry>>,
    reason: ForwardReason,
    directives: RequestDirectives,
}

/// The outcome of a fill for its leader.
enum LeaderOutcome<E> {
    /// An outcome for all, with the fields that only the leader gets.
    Shared(Outcome, HeaderMap),
    /// An outcome for the leader alone.
    Unshared(Result<Response<Body>, E>),
}

/// The reply to one request from the outcome of a fill.
enum SharedReply {
    Response(Response<Body>),
    /// The fill brought another variant. This hash distinguishes the request's own variant.
    OtherVariant(u64),
    /// The fill brought nothing that this request may get.
    None,
}

// === impl CollapsedFetch ===

impl<H, C> CollapsedFetch<H, C>
where
    H: Handler<C, Error: Send> + Clone + Send + 'static,
    C: Clone + Send + 'static,
{
    pub(crate) async fn revalidate(self, parts: Parts, revalidation: Revalidation) -> Result<Response<Body>, H::Error> {
        let Revalidation { key, stored, reason, directives } = revalidation;
        if parts.method == Method::HEAD {
            // RFC 9111 §4.3.5: the fields show whether the stored response to a GET is still valid.
            return self.0.head(parts, key, Some(stored), reason, directives).await;
        }
        self.collapsed(parts, FillPlan { key, stored: Some(stored), reason, directives }).await
    }

    pub(crate) async fn miss(self, parts: Parts, miss: Miss) -> Result<Response<Body>, H::Error> {
        let Miss { key, reason, part, directives } = miss;
        if parts.method == Method::HEAD {
            return self.0.head(parts, key, None, reason, directives).await;
        }
        if parts.method == Method::GET && s3_4_partial::requested(&parts.headers).is_some() {
            return self.0.part(parts, key, part, reason).await;
        }
        if let Some(part) = part {
            return self.0.complete(parts, key, part, reason).await;
        }
        let now = self.0.core.clock.now();
        if self.0.core.hit_for_miss.contains(key.hash, now) {
            return self.0.alone(parts, &key, reason, None).await;
        }
        self.collapsed(parts, FillPlan { key, stored: None, reason, directives }).await
    }

    /// Leads a fill or follows one.
    async fn collapsed(self, parts: Parts, plan: FillPlan) -> Result<Response<Body>, H::Error> {
        let FillPlan { mut key, stored, reason, directives } = plan;
        let core = Arc::clone(&self.0.core);
        // The second attempt follows a fill that brought another variant: only then is it known
        // which fields the responses vary by.
        for _ in 0..2 {
            let mut leader_fields = HeaderMap::new();
            let overtaken =
                |since| core.prefix_purges.overtook(since, || key.place.target(&self.0.policy.query).text());
            let role = core.flights.join(key.flight, &key.slots, &core.generations, overtaken);
            let (outcome, collapsed) = match role {
                Role::Leader(leader) => {
                    // Another fill may have ended between the look-up and the join.
                    let meanwhile = stored_meanwhile(&core, &self.0.policy, &parts, &key, &directives);
                    if let Some(entry) = meanwhile {
                        let outcome = Outcome::Entry(entry, Provenance::HIT);
                        leader.publish(outcome.clone());
                        (outcome, false)
                    } else {
                        let fill = Fill {
                            origin: self.0.clone(),
                            request: whole_request(&parts),
                            key: key.clone(),
                            stored: stored.clone(),
                            reason,
                            directives,
                            store_generation: None,
                        };
                        match lead(fill, leader).await {
                            LeaderOutcome::Shared(outcome, fields) => {
                                leader_fields = fields;
                                (outcome, false)
                            }
                            LeaderOutcome::Unshared(response) => return response,
                        }
                    }
                }
                Role::Follower(outcome) => {
                    match tokio::time::timeout(core.config.lock_timeout, published(outcome)).await {
                        Ok(outcome) => (outcome, true),
                        Err(_) => return self.0.alone(parts, &key, reason, Some("lock-timeout")).await,
                    }
                }
            };
            match shared_reply(&core, &parts, &key, &outcome, collapsed) {
                SharedReply::Response(mut response) => {
                    response.headers_mut().extend(leader_fields);
                    return Ok(response);
                }
                SharedReply::OtherVariant(variant) => key.flight = key.hash.0 ^ u128::from(variant),
                SharedReply::None => break,
            }
        }
        self.0.alone(parts, &key, reason, None).await
    }
}

/// The fresh entry that another fill has stored since the look-up, if the request may get it.
fn stored_meanwhile(
    core: &Core,
    policy: &RoutePolicy,
    parts: &Parts,
    key: &Key,
    directives: &RequestDirectives,
) -> Option<Arc<Entry>> {
    let text = core.key_text(key, policy);
    let hash = core.seeds.hash(text.as_bytes());
    let Found::Entry(entry) = core.memory.find(hash, text.as_bytes(), &parts.headers, &core.generations) else {
        return None;
    };
    let is_fresh = judge(entry.reuse(core.clock.now()), directives) == Verdict::Fresh;
    let allowed = !key.identified || entry.rules.for_all_clients;
    (is_fresh && allowed && entry.part.is_none()).then_some(entry)
}

/// Runs a fill in a task of its own, so that it goes on when the client leaves, and waits for its
/// outcome.
async fn lead<H, C>(fill: Fill<H, C>, leader: Leader) -> LeaderOutcome<H::Error>
where
    H: Handler<C, Error: Send> + Clone + Send + 'static,
    C: Clone + Send + 'static,
{
    let outcome = leader.subscribe();
    let (sender, leader_only) = oneshot::channel();
    tokio::spawn(fill.run(leader, Some(sender)));
    match leader_only.await {
        Ok(LeaderOnly::Response(response)) => LeaderOutcome::Unshared(Ok(response)),
        Ok(LeaderOnly::Error(error)) => LeaderOutcome::Unshared(Err(error)),
        Ok(LeaderOnly::Fields(fields)) => LeaderOutcome::Shared(published(outcome).await, fields),
        Err(_) => LeaderOutcome::Shared(published(outcome).await, HeaderMap::new()),
    }
}

/// Waits for the outcome of a fill.
async fn published(mut receiver: watch::Receiver<Option<Outcome>>) -> Outcome {
    let outcome = receiver.wait_for(Option::is_some).await;
    outcome.ok().and_then(|outcome| outcome.clone()).unwrap_or(Outcome::Unshared)
}

/// Makes the reply to one request from the outcome of a fill. `collapsed` is `true` for a follower.
fn shared_reply(core: &Core, parts: &Parts, key: &Key, outcome: &Outcome, collapsed: bool) -> SharedReply {
    let (head, provenance): (&Head, Provenance) = match outcome {
        Outcome::Entry(entry, provenance) => (&entry.head, *provenance),
        Outcome::Streaming(entry, provenance) => (&entry.head, *provenance),
        Outcome::Unshared => return SharedReply::None,
    };
    if collapsed {
        // RFC 9111 §3.5, for an identity that no field of the request shows.
        if key.identified && !head.rules.for_all_clients {
            return SharedReply::None;
        }
        if !s4_1_key::selects(&head.selecting, &head.headers, &parts.headers) {
            return SharedReply::OtherVariant(core.variant_hash(&head.selecting, &parts.headers));
        }
    }
    let context = RequestContext {
        method: &parts.method,
        headers: &parts.headers,
        plain: false,
        now: core.clock.now(),
        cache_name: &core.config.name,
    };
    let Provenance { forward, forward_status, stored, detail } = provenance;
    // A response of the second level was not forwarded, so it is a hit.
    let hit = forward.is_none();
    let collapsed = collapsed && !hit;
    let status = CacheStatus { hit, forward, forward_status, stored, collapsed, detail, ..CacheStatus::default() };
    let response = match outcome {
        Outcome::Entry(entry, _) => serve::stored(entry, context, status),
        Outcome::Streaming(entry, _) => serve::streaming(entry, context, status),
        Outcome::Unshared => None,
    };
    if collapsed && response.is_some() {
        core.counters.collapsed.increment();
    }
    response.map_or(SharedReply::None, SharedReply::Response)
}
