//! [`Events`]: the stream of one watcher.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, BoxError, ContentHash};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::topic::Newest;
use crate::topics::Membership;

/// The stream of one watcher: the result, and each change of it. Its watcher leaves when it is
/// dropped.
///
/// A client that reads slowly gets the newest result and none of those before it. The memory of a
/// stream does not grow.
#[must_use]
pub struct Events(Body);

/// The state of a stream between two frames.
pub(crate) struct Stream<E> {
    newest: watch::Receiver<Newest>,
    membership: Membership<E>,
    /// The id and the number of the last event that was sent or is known.
    sent: Option<(ContentHash, Option<u64>)>,
    begun: bool,
    ends: Option<Instant>,
}

/// The first lines of a stream: the time after which a client reconnects, in milliseconds. It
/// differs, so that clients do not all come back at once.
const RETRY: [&str; 8] = [
    "retry: 1000\n\n",
    "retry: 1300\n\n",
    "retry: 1600\n\n",
    "retry: 1900\n\n",
    "retry: 2200\n\n",
    "retry: 2500\n\n",
    "retry: 2800\n\n",
    "retry: 3100\n\n",
];

/// A comment, which clients ignore.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

// === impl Events ===

impl Events {
    pub(crate) fn new<E: Send + Sync + 'static>(stream: Stream<E>) -> Self {
        let frames = stream::unfold(stream, async |mut stream| {
            let frame = stream.next().await?;
            Some((Ok::<_, BoxError>(Frame::data(frame)), stream))
        });
        Self(Body::new(StreamBody::new(frames)))
    }

    /// The bytes of the stream.
    #[must_use]
    pub fn into_body(self) -> Body {
        self.0
    }

    /// Makes the response. No cache may store it, and no proxy should collect it.
    #[must_use]
    pub fn into_response(self) -> Response<Body> {
        const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
        let mut response = Response::new(self.0);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").finish()
    }
}

// === impl Stream ===

impl<E> Stream<E> {
    /// `last_event_id` is the id of the last event that the client has seen.
    pub(crate) fn new(membership: Membership<E>, last_event_id: Option<&str>, ends: Option<Instant>) -> Self {
        let mut newest = membership.topic().newest.subscribe();
        // The first result is there already.
        newest.mark_changed();
        let sent = newest.borrow().event.as_ref().and_then(|(event, _)| {
            let id = event.id();
            (Some(id.to_string().as_str()) == last_event_id).then_some((id, None))
        });
        membership.hub().counters.opened.increment();
        Self { newest, membership, sent, begun: false, ends }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.begun {
            self.begun = true;
            return fastrand::choice(RETRY).map(|line| Bytes::from_static(line.as_bytes()));
        }
        loop {
            let beat = Instant::now() + beat(self.membership.hub().config.heartbeat);
            let until = self.ends.map_or(beat, |ends| ends.min(beat));
            match tokio::time::timeout_at(until, self.newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) if self.ends.is_some_and(|ends| ends <= until) => return None,
                Err(_) => return Some(HEARTBEAT),
            }
            let newest = self.newest.borrow_and_update();
            if newest.is_closed {
                return None;
            }
            let Some((event, version)) = newest.event.clone() else { continue };
            drop(newest);
            let counters = &self.membership.hub().counters;
            let last = self.sent.replace((event.id(), Some(version)));
            if let Some((_, Some(last))) = last {
                counters.skipped.add(version.saturating_sub(last + 1));
            }
            if last.is_none_or(|(id, _)| id != event.id()) {
                counters.events.increment();
                return Some(event.frame().clone());
            }
        }
    }
}

impl<E> Drop for Stream<E> {
    fn drop(&mut self) {
        self.membership.hub().counters.closed.increment();
    }
}

/// The time to the next comment. It differs, so that not all streams send theirs at once.
fn beat(limit: Duration) -> Duration {
    limit.mul_f64(0.75 + fastrand::f64() / 4.0)
}
