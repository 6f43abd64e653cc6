//! [`Fill`]: one request to the origin for all who ask for the same, which goes on whoever leaves.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, BoxError};
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use tower_service::Service;

use crate::config::RoutePolicy;
use crate::core::{Core, Key};
use crate::entry::{CACHE_STATUS, Entry, Times};
use crate::flights::{Lead, Manner, Outcome};
use crate::keep::{Answer, body, is_incomplete};
use crate::live::{Live, Written};
use crate::policy::s3_storing::{Refusal, strip_hop_by_hop};
use crate::policy::s4_3_validation;
use crate::status::{CacheStatus, Forward};

/// A request to the origin that others may wait for.
pub(crate) struct Fill<S> {
    pub(crate) core: Arc<Core>,
    pub(crate) policy: Arc<RoutePolicy>,
    /// Ready to be called.
    pub(crate) service: S,
    pub(crate) request: Parts,
    pub(crate) key: Key,
    /// What is stored and stale, or a part.
    pub(crate) stored: Option<Arc<Entry>>,
    pub(crate) why: Forward,
    pub(crate) asked: RequestDirectives,
    /// The number that stood in the second level when it was asked.
    pub(crate) stood: Option<u64>,
}

/// What only the one who began the fill is given.
pub(crate) enum Own<E> {
    /// An answer that is not to be shared.
    Response(Response<Body>),
    /// Fields of an answer that is shared without them.
    Fields(HeaderMap),
    /// The inner service's error.
    Error(E),
}

/// What the origin came to: an answer, or the inner service's error.
type Reply<E> = Result<(Response<Body>, Times), E>;

/// The request for a GET's whole content, whatever part or condition the client asked with.
pub(crate) fn whole_request(parts: &Parts) -> Parts {
    let mut request = Request::new(()).into_parts().0;
    request.method = Method::GET;
    request.uri = parts.uri.clone();
    request.version = parts.version;
    request.headers = parts.headers.clone();
    request.extensions = parts.extensions.clone();
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        request.headers.remove(name);
    }
    request
}

// === impl Fill ===

impl<S, B> Fill<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Makes the fill and tells what it came to: to `own` what is for it alone, to all what is for
    /// all.
    pub(crate) async fn run(mut self, lead: Lead, own: Option<oneshot::Sender<Own<S::Error>>>) {
        if let Some(outcome) = self.recall(lead.since()).await {
            return lead.tell(outcome);
        }
        let reply = self.ask(&lead).await;
        let now = self.core.clock.now();
        match reply {
            Err(error) => match self.stand_in(now, true, None) {
                Some(outcome) => lead.tell(outcome),
                None => {
                    lead.tell(Outcome::Alone);
                    give(own, Own::Error(error));
                }
            },
            Ok((response, times)) => {
                let status = response.status();
                if Core::has_failed(status)
                    && let Some(outcome) = self.stand_in(now, Core::is_unreachable(status), Some(status))
                {
                    return lead.tell(outcome);
                }
                self.answer(response, times, lead, own).await;
            }
        }
    }

    /// Asks the origin; about what is stored, if there is something to ask about.
    async fn ask(&mut self, lead: &Lead) -> Reply<S::Error> {
        let mut request = Request::from_parts(whole_request(&self.request), Body::empty());
        let conditional = match &self.stored {
            Some(stored) if stored.part.is_none() => {
                s4_3_validation::add_conditions(request.headers_mut(), &stored.headers);
                s4_3_validation::can_validate(&stored.headers)
            }
            _ => false,
        };
        let requested = self.core.clock.now();
        let response = call(&mut self.service, request).await?.map(body);
        if response.status() == StatusCode::NOT_MODIFIED && !conditional {
            // It was not asked about anything, so it says nothing of what is stored.
            self.stored = None;
        }
        let since = lead.since();
        Ok((response, Times { requested, received: self.core.clock.now(), since, stood: self.stood }))
    }

    /// What is stored, in place of an answer that failed, where that is allowed (RFC 9111 §4.2.4).
    fn stand_in(&self, now: SystemTime, unreachable: bool, status: Option<StatusCode>) -> Option<Outcome> {
        let stored = self.stored.as_ref().filter(|stored| stored.part.is_none())?;
        let current = self.core.generations.is_current(stored.since, &stored.slots);
        let allowed = stored.may_stand_in(now, &self.asked, unreachable, self.core.disconnected());
        let manner = Manner { forward: Some(self.why), status, stored: false, detail: Some("stale-if-error") };
        (current && allowed).then(|| Outcome::Entry(Arc::clone(stored), manner))
    }

    async fn answer(
        self,
        response: Response<Body>,
        times: Times,
        lead: Lead,
        own: Option<oneshot::Sender<Own<S::Error>>>,
    ) {
        let answer = Answer { key: &self.key, policy: &self.policy, request: &self.request.headers, times };
        let (parts, content) = response.into_parts();
        let manner = |stored| Manner { forward: Some(self.why), status: Some(parts.status), stored, detail: None };
        if let (Some(stored), StatusCode::NOT_MODIFIED) = (&self.stored, parts.status) {
            self.core.counters.validated.add();
            let (entry, kept) = match answer.freshened(&self.core, stored, parts.headers) {
                (entry, true) => answer.keep(&self.core, entry),
                (entry, false) => {
                    self.core.memory.remove(self.key.hash, stored);
                    (Arc::new(entry), false)
                }
            };
            return lead.tell(Outcome::Entry(entry, manner(kept)));
        }
        let length = content.len();
        let head = match answer.head(&self.core, parts.status, &parts.headers) {
            Ok(_) if length.is_some_and(|length| length > self.core.config.max_entry) => Err(Refusal::TooLarge),
            head => head,
        };
        let head = match head {
            Ok(head) => head,
            Err(refusal) => {
                // What is newer is not to be kept: neither is what it replaces.
                if let Some(stored) = &self.stored {
                    self.core.memory.remove(self.key.hash, stored);
                }
                self.core.lonely.add(self.key.hash, times.received);
                lead.tell(Outcome::Alone);
                let response = Response::from_parts(parts, content);
                return give(own, Own::Response(passed(&self.core, response, self.why, Some(refusal.as_str()), false)));
            }
        };
        let unshared = answer.unshared(&self.core, &parts.headers);
        let own = if unshared.is_empty() {
            own
        } else {
            give(own, Own::Fields(unshared));
            None
        };
        match content.try_into_bytes() {
            Ok(bytes) => match answer.entry(head, bytes.clone(), None) {
                Ok(entry) => {
                    let (entry, kept) = answer.keep(&self.core, entry);
                    lead.tell(Outcome::Entry(entry, manner(kept)));
                }
                Err(refusal) => {
                    lead.tell(Outcome::Alone);
                    let response = Response::from_parts(parts, bytes.into());
                    give(own, Own::Response(passed(&self.core, response, self.why, Some(refusal.as_str()), false)));
                }
            },
            Err(content) => {
                let most = usize::try_from(self.core.config.max_entry).unwrap_or(usize::MAX);
                let live = Live::new(head, length, most);
                lead.tell(Outcome::Live(Arc::clone(&live), manner(true)));
                drop(own);
                receive(&self.core, &answer, content, &live).await;
            }
        }
    }
}

/// Reads an answer to its end, for those who read it with us and to keep it.
async fn receive(core: &Core, answer: &Answer<'_>, mut content: Body, live: &Live) {
    let mut kept = Written::Kept;
    let mut trailers = None;
    loop {
        if kept == Written::Windowed && live.room().await.is_err() {
            return;
        }
        match content.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => kept = live.write(chunk),
                Err(frame) => {
                    let came = frame.into_trailers().unwrap_or_default();
                    trailers = answer.trailers(core, &live.head, came);
                    live.trail(trailers.as_deref().cloned().unwrap_or_default());
                }
            },
            Some(Err(_)) => {
                if let Some(entry) = live.whole().and_then(|bytes| answer.broken_off(live.head.clone(), &bytes)) {
                    answer.keep(core, entry);
                }
                return live.end(Err(()));
            }
            None => break,
        }
    }
    if let Some(bytes) = live.whole() {
        if is_incomplete(&live.head.headers, bytes.len()) {
            return live.end(Err(()));
        }
        if let Ok(entry) = answer.entry(live.head.clone(), bytes, None) {
            answer.keep(core, entry.with_trailers(trailers));
        }
    }
    live.end(Ok(()));
}

/// Calls a service, when it is ready.
pub(crate) async fn call<S: Service<Request<Body>>>(
    service: &mut S,
    request: Request<Body>,
) -> Result<S::Response, S::Error> {
    std::future::poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

fn give<E>(own: Option<oneshot::Sender<Own<E>>>, what: Own<E>) {
    if let Some(own) = own {
        // Whoever asked may have left.
        let _ = own.send(what);
    }
}

/// An answer that is passed on as it came, with `Cache-Status`.
pub(crate) fn passed(
    core: &Core,
    mut response: Response<Body>,
    why: Forward,
    detail: Option<&str>,
    stored: bool,
) -> Response<Body> {
    let status = CacheStatus {
        forward: Some(why),
        forward_status: Some(response.status()),
        stored,
        detail,
        ..CacheStatus::default()
    };
    let headers = response.headers_mut();
    if response_may_be_stripped(headers) {
        strip_hop_by_hop(headers);
    }
    let upstream = headers.get(CACHE_STATUS).cloned();
    let value = status.to_value(&core.config.name, upstream.as_ref());
    headers.insert(CACHE_STATUS, value);
    response
}

/// Whether nothing of the connection is meant for the server that sends this on, such as an
/// upgrade.
fn response_may_be_stripped(headers: &HeaderMap) -> bool {
    !headers.contains_key(http::header::UPGRADE)
}
