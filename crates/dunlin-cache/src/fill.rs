//! [`Fill`]: one request to the origin that all requests for the same share. It goes on when
//! clients leave.

use std::sync::Arc;
use std::time::SystemTime;

use dunlin_http::cache_control::RequestDirectives;
use dunlin_http::{Body, Handler};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::entry::Entry;
use crate::flights::{Leader, Outcome, Provenance};
use crate::forward::{forwarded, whole_request};
use crate::key::Key;
use crate::origin_call::{OriginCall, OriginResponse};
use crate::policy::failure;
use crate::policy::s3_storing::Refusal;
use crate::policy::s4_3_validation;
use crate::status::ForwardReason;
use crate::storing::{Freshened, ResponseContext, StoredEntry, is_incomplete};
use crate::streaming_entry::{BrokenOff, StreamingEntry, Written};

/// A request to the origin that other requests can wait for.
pub(crate) struct Fill<H, C> {
    pub(crate) origin: OriginCall<H, C>,
    pub(crate) request: Parts,
    pub(crate) key: Key,
    /// A stored response that is stale, or a part.
    pub(crate) stored: Option<Arc<Entry>>,
    pub(crate) reason: ForwardReason,
    pub(crate) directives: RequestDirectives,
    /// The generation of the second level, if it answered.
    pub(crate) store_generation: Option<u64>,
}

/// The part of an outcome that only the leader gets.
pub(crate) enum LeaderOnly<E> {
    /// A response that is not shared.
    Response(Response<Body>),
    /// The fields of a shared response that are not shared.
    Fields(HeaderMap),
    /// The handler's error.
    Error(E),
}

/// The sender of a leader's part. It is `None` where no client waits.
type ToLeader<E> = Option<oneshot::Sender<LeaderOnly<E>>>;

// === impl Fill ===

impl<H, C> Fill<H, C>
where
    H: Handler<C>,
{
    /// Makes the fill, publishes its outcome to all, and sends `to_leader` the rest.
    pub(crate) async fn run(mut self, leader: Leader, to_leader: ToLeader<H::Error>) {
        if let Some(outcome) = self.recall(leader.since()).await {
            return leader.publish(outcome);
        }
        let response = self.send(&leader).await;
        let now = self.origin.core.clock.now();
        match response {
            Err(error) => match self.stand_in(now, true, None) {
                Some(outcome) => leader.publish(outcome),
                None => {
                    leader.publish(Outcome::Unshared);
                    send_to(to_leader, LeaderOnly::Error(error));
                }
            },
            Ok(origin) => {
                let status = origin.response.status();
                if failure::is_failure(status)
                    && let Some(outcome) = self.stand_in(now, failure::is_unreachable(status), Some(status))
                {
                    return leader.publish(outcome);
                }
                self.receive(origin, leader, to_leader).await;
            }
        }
    }

    /// Sends the request, with a condition if a stored response allows one.
    async fn send(&mut self, leader: &Leader) -> Result<OriginResponse, H::Error> {
        let mut request = Request::from_parts(whole_request(&self.request), Body::empty());
        let conditional = match &self.stored {
            Some(stored) if stored.part.is_none() => {
                s4_3_validation::add_conditions(request.headers_mut(), &stored.headers);
                s4_3_validation::can_validate(&stored.headers)
            }
            _ => false,
        };
        let mut origin = self.origin.send(request).await?;
        if origin.response.status() == StatusCode::NOT_MODIFIED && !conditional {
            // The request had no condition, so a 304 says nothing about the stored response.
            self.stored = None;
        }
        origin.times.since = leader.since();
        origin.times.store_generation = self.store_generation;
        Ok(origin)
    }

    /// The stored response in place of a failure, where that is allowed (RFC 9111 §4.2.4).
    fn stand_in(&self, now: SystemTime, unreachable: bool, status: Option<StatusCode>) -> Option<Outcome> {
        let stored = self.stored.as_ref().filter(|stored| stored.part.is_none())?;
        let disconnected = unreachable.then_some(self.origin.core.config.disconnected);
        let allowed = stored.may_stand_in(now, &self.directives, disconnected);
        let provenance = Provenance {
            forward: Some(self.reason),
            forward_status: status,
            stored: false,
            detail: Some("stale-if-error"),
        };
        (allowed && self.origin.core.is_current(stored)).then(|| Outcome::Entry(Arc::clone(stored), provenance))
    }

    /// Stores the response and publishes it, or gives it to the leader alone.
    async fn receive(self, origin: OriginResponse, leader: Leader, to_leader: ToLeader<H::Error>) {
        let core = &self.origin.core;
        let OriginResponse { response, times } = origin;
        let context =
            ResponseContext { key: &self.key, policy: &self.origin.policy, request: &self.request.headers, times };
        let (parts, content) = response.into_parts();
        let provenance = |stored| Provenance {
            forward: Some(self.reason),
            forward_status: Some(parts.status),
            stored,
            detail: None,
        };
        if let (Some(stored), StatusCode::NOT_MODIFIED) = (&self.stored, parts.status) {
            let StoredEntry { entry, stored } = freshen(core, &context, stored, parts.headers);
            return leader.publish(Outcome::Entry(entry, provenance(stored)));
        }
        let length = content.len();
        let head = match context.head(core, parts.status, &parts.headers) {
            Ok(_) if length.is_some_and(|length| length > core.config.max_entry) => Err(Refusal::TooLarge),
            head => head,
        };
        let refused = |response, refusal: Refusal| {
            LeaderOnly::Response(forwarded(core, response, self.reason, Some(refusal.as_str()), false))
        };
        let head = match head {
            Ok(head) => head,
            Err(refusal) => {
                // A newer response exists, so the stored one must not be used again.
                if let Some(stored) = &self.stored {
                    core.memory.remove(self.key.hash, stored);
                }
                core.hit_for_miss.add(self.key.hash, times.received);
                leader.publish(Outcome::Unshared);
                return send_to(to_leader, refused(Response::from_parts(parts, content), refusal));
            }
        };
        let unshared = context.unshared_fields(core, &parts.headers);
        let to_leader = if unshared.is_empty() {
            to_leader
        } else {
            send_to(to_leader, LeaderOnly::Fields(unshared));
            None
        };
        match content.try_into_bytes() {
            Ok(bytes) => match context.entry(head, bytes.clone(), None) {
                Ok(entry) => {
                    let StoredEntry { entry, stored } = context.store(core, entry);
                    leader.publish(Outcome::Entry(entry, provenance(stored)));
                }
                Err(refusal) => {
                    leader.publish(Outcome::Unshared);
                    send_to(to_leader, refused(Response::from_parts(parts, bytes.into()), refusal));
                }
            },
            Err(content) => {
                let entry = StreamingEntry::new(head, length, core.max_body());
                leader.publish(Outcome::Streaming(Arc::clone(&entry), provenance(true)));
                drop(to_leader);
                stream(core, &context, content, &entry).await;
            }
        }
    }
}

/// Freshens the stored response by the fields of a 304. If it may no longer be stored, it answers
/// this once.
fn freshen(core: &Core, context: &ResponseContext<'_>, stored: &Arc<Entry>, fresh: HeaderMap) -> StoredEntry {
    core.counters.validated.increment();
    let Freshened { entry, storable } = context.freshened(core, stored, fresh);
    if storable {
        return context.store(core, entry);
    }
    core.memory.remove(context.key.hash, stored);
    StoredEntry { entry: Arc::new(entry), stored: false }
}

/// Reads a body to its end, for the clients that read it meanwhile and to store it.
async fn stream(core: &Core, context: &ResponseContext<'_>, mut content: Body, entry: &StreamingEntry) {
    let mut written = Written::Buffered;
    let mut trailers = None;
    loop {
        if written == Written::TooLarge && entry.room().await.is_err() {
            return;
        }
        match content.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(chunk) => written = entry.write(chunk),
                Err(frame) => {
                    let received = frame.into_trailers().unwrap_or_default();
                    trailers = context.shared_trailers(core, &entry.head, received);
                    entry.set_trailers(trailers.as_deref().cloned().unwrap_or_default());
                }
            },
            Some(Err(_)) => {
                let broken_off = entry.whole().and_then(|bytes| context.broken_off(entry.head.clone(), &bytes));
                if let Some(part) = broken_off {
                    context.store(core, part);
                }
                return entry.end(Err(BrokenOff));
            }
            None => break,
        }
    }
    if let Some(bytes) = entry.whole() {
        if is_incomplete(&entry.head.headers, bytes.len()) {
            return entry.end(Err(BrokenOff));
        }
        if let Ok(complete) = context.entry(entry.head.clone(), bytes, None) {
            context.store(core, complete.with_trailers(trailers));
        }
    }
    entry.end(Ok(()));
}

fn send_to<E>(to_leader: ToLeader<E>, part: LeaderOnly<E>) {
    if let Some(sender) = to_leader {
        // The client may have left.
        let _ = sender.send(part);
    }
}
