//! [`Ask`]: requests that the origin is asked for, together with all others who ask for the same
//! where that can be.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, BoxError};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use tokio::sync::{oneshot, watch};
use tower_service::Service;

use crate::core::{Core, Key, Miss, Revalidate};
use crate::entry::Entry;
use crate::fill::{self, Fill, Own};
use crate::flights::{Lead, Manner, Outcome, Role};
use crate::pass::Pass;
use crate::policy::s4_1_key;
use crate::serve::{self, For};
use crate::status::{CacheStatus, Forward};

/// A request for which the origin is asked.
pub(crate) struct Ask<S>(pub(crate) Pass<S>);

// === impl Ask ===

impl<S, R> Ask<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    pub(crate) async fn revalidate(self, parts: Parts, stale: Revalidate) -> Result<Response<Body>, S::Error> {
        if parts.method == Method::HEAD {
            // §4.3.5: what comes tells whether the stored answer to a GET is still good.
            return self.0.head(parts, stale.key, Some(stale.stored), stale.why, stale.asked).await;
        }
        let fill = (stale.key, Some(stale.stored), stale.why, stale.asked);
        self.collapsed(parts, fill).await
    }

    pub(crate) async fn miss(self, parts: Parts, miss: Miss) -> Result<Response<Body>, S::Error> {
        if parts.method == Method::HEAD {
            return self.0.head(parts, miss.key, None, miss.why, miss.asked).await;
        }
        if Core::asks_for_part(&parts) {
            return self.0.part(parts, miss.key, miss.part, miss.why).await;
        }
        if let Some(part) = miss.part {
            return self.0.complete(parts, miss.key, part, miss.why).await;
        }
        let now = self.0.core.clock.now();
        if self.0.core.lonely.has(miss.key.hash, now) {
            return self.0.alone(parts, &miss.key, miss.why, None).await;
        }
        self.collapsed(parts, (miss.key, None, miss.why, miss.asked)).await
    }

    /// Asks together with all others who ask for the same.
    async fn collapsed(self, parts: Parts, fill: FillOf) -> Result<Response<Body>, S::Error> {
        let (mut key, stored, why, asked) = fill;
        let core = Arc::clone(&self.0.core);
        // What is waited for may turn out to be another variant; then it is known what they vary
        // by.
        for _ in 0..2 {
            let mut unshared = None;
            let (outcome, collapsed) = match core.flights.join(key.flight, &key.slots, &core.generations) {
                Role::Leader(lead) => {
                    let fill = Fill {
                        core: Arc::clone(&core),
                        policy: Arc::clone(&self.0.policy),
                        service: self.0.service.clone(),
                        request: fill::whole_request(&parts),
                        key: key.clone(),
                        stored: stored.clone(),
                        why,
                        asked,
                        stood: None,
                    };
                    match lead_fill(fill, lead).await {
                        Led::Shared(outcome, fields) => {
                            unshared = fields;
                            (outcome, false)
                        }
                        Led::Own(response) => return response,
                    }
                }
                Role::Waiter(waiter) => match tokio::time::timeout(core.config.lock_timeout, told(waiter)).await {
                    Ok(outcome) => (outcome, true),
                    Err(_) => return self.0.alone(parts, &key, why, Some("lock-timeout")).await,
                },
            };
            match answer(&core, &parts, &outcome, collapsed) {
                Ok(mut response) => {
                    response.headers_mut().extend(unshared.unwrap_or_default());
                    return Ok(response);
                }
                Err(Some(variant)) => key.flight = key.hash.0 ^ u128::from(variant),
                Err(None) => break,
            }
        }
        self.0.alone(parts, &key, why, None).await
    }
}

type FillOf = (Key, Option<Arc<Entry>>, Forward, RequestDirectives);

/// What a fill came to for the one who began it.
enum Led<E> {
    /// What is for all, with the fields that are for this one alone.
    Shared(Outcome, Option<HeaderMap>),
    /// What is for this one alone.
    Own(Result<Response<Body>, E>),
}

/// Makes a fill in a task of its own, so that it goes on if we leave, and waits for what it comes
/// to.
async fn lead_fill<S, R>(fill: Fill<S>, lead: Lead) -> Led<S::Error>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let outcome = lead.watch();
    let (own, mine) = oneshot::channel();
    tokio::spawn(fill.run(lead, Some(own)));
    match mine.await {
        Ok(Own::Response(response)) => Led::Own(Ok(response)),
        Ok(Own::Error(error)) => Led::Own(Err(error)),
        Ok(Own::Fields(fields)) => Led::Shared(told(outcome).await, Some(fields)),
        Err(_) => Led::Shared(told(outcome).await, None),
    }
}

/// What a fill comes to.
async fn told(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    let told = outcome.wait_for(Option::is_some).await;
    told.ok().and_then(|told| told.clone()).unwrap_or(Outcome::Alone)
}

/// The answer to one request from what a fill came to. `Err` when there is none: with what the
/// variants are told by, or alone.
fn answer(core: &Core, parts: &Parts, outcome: &Outcome, collapsed: bool) -> Result<Response<Body>, Option<u64>> {
    let (head, manner) = match outcome {
        Outcome::Entry(entry, manner) => (&entry.head, *manner),
        Outcome::Live(live, manner) => (&live.head, *manner),
        Outcome::Alone => return Err(None),
    };
    if collapsed {
        let allowed = s4_1_key::selects(&head.selecting, &head.headers, &parts.headers);
        if !allowed {
            return Err(Some(core.variant(&head.selecting, &parts.headers)));
        }
    }
    let request = For {
        method: &parts.method,
        headers: &parts.headers,
        plain: false,
        now: core.clock.now(),
        name: &core.config.name,
    };
    let Manner { forward, status, stored, detail } = manner;
    // What came from the second level was not asked of the origin by anybody.
    let hit = forward.is_none();
    let collapsed = collapsed && !hit;
    let status =
        CacheStatus { hit, forward, forward_status: status, stored, collapsed, detail, ..CacheStatus::default() };
    let response = match outcome {
        Outcome::Entry(entry, _) => serve::entry(entry, request, status),
        Outcome::Live(live, _) => serve::live(live, request, status),
        Outcome::Alone => None,
    };
    if collapsed && response.is_some() {
        core.counters.collapsed.add();
    }
    response.ok_or(None)
}
