//! The observation of a request: it is counted, and gets its access line, when its response ends.
//!
//! A response that is complete in memory ends with its head: it is counted at once, and its body
//! stays as it is. Only a stream is wrapped, to see its end, or that it never came to it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Reply, ReplyFuture};
use dunlin_server::{Connection, TunnelEnd};
use http::header::HeaderName;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::optional::OptionalFuture;
use super::{LayersFuture, LoopState};
use crate::fields::IdentitySlot;
use crate::finish::Begun;
use crate::log::{Access, Line};

pin_project! {
    /// A request whose response is awaited.
    pub(crate) struct Observe {
        #[pin]
        future: LayersFuture,
        watch: Option<Watch>,
    }
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The observer of one request. If it is dropped before the end of the response, it reports an
/// abort.
pub(crate) struct Watch {
    state: Arc<LoopState>,
    /// The route; `None` if the router answers.
    route: Option<usize>,
    started: Instant,
    access: Option<Box<Access>>,
    /// The connection, if it may become a tunnel.
    connection: Option<Arc<Connection>>,
    /// The facts for the edits of the response, if the route has edits.
    begun: Option<Box<Begun>>,
    /// The client's identity, if the route verifies it.
    identity: Option<IdentitySlot>,
    is_over: bool,
}

/// A body whose end is awaited.
struct Observed {
    inner: Body,
    watch: Watch,
    head: Head,
    bytes: u64,
    /// The length, if it is known.
    length: Option<u64>,
}

/// The parts of a response's head that its end needs.
struct Head {
    status: StatusCode,
    ttfb: Duration,
    cache: Option<HeaderValue>,
}

// === impl Observe ===

impl Observe {
    #[inline]
    pub(super) const fn new(future: LayersFuture, watch: Watch) -> Self {
        Self { future, watch: Some(watch) }
    }

    /// A request that is answered without its route's layers.
    #[cold]
    pub(crate) fn answered(response: Response<Body>, watch: Watch) -> Self {
        Self::boxed(ReplyFuture::ready(Reply::Response(response)), watch)
    }

    /// A request whose route's layers are called later, if at all.
    pub(super) fn boxed(future: ReplyFuture, watch: Watch) -> Self {
        Self::new(OptionalFuture::Without { future: OptionalFuture::Without { future } }, watch)
    }
}

impl Future for Observe {
    type Output = Result<Reply, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut reply = ready!(this.future.poll(cx))?;
        if let Some(watch) = this.watch.take() {
            watch.head(&mut reply);
        }
        Poll::Ready(Ok(reply))
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(
        state: Arc<LoopState>,
        route: Option<usize>,
        access: Option<Box<Access>>,
        connection: Option<Arc<Connection>>,
        begun: Option<Begun>,
        identity: Option<IdentitySlot>,
    ) -> Self {
        let begun = begun.map(Box::new);
        Self { state, route, started: Instant::now(), access, connection, begun, identity, is_over: false }
    }

    /// The parts that the request began with.
    pub(super) const fn state(&self) -> &Arc<LoopState> {
        &self.state
    }

    /// Takes the head of the response, and edits it if the route has edits.
    fn head(mut self, reply: &mut Reply) {
        let ttfb = self.started.elapsed();
        let cache = self.access.as_ref().and_then(|_| reply.volatile_field(&CACHE_STATUS).cloned());
        if let Some(begun) = self.begun.take()
            && let Some(finish) = &self.state.route(self.route).finish
        {
            *reply = finish.apply(*begun, std::mem::take(reply));
        }
        let head = Head { status: reply.status(), ttfb, cache };
        if head.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(connection) = self.connection.take()
        {
            return self.switch(&head, &connection);
        }
        let body = reply.body_mut();
        if let Some(bytes) = body.as_bytes() {
            return self.end(&head, bytes.len() as u64, ttfb, None);
        }
        if let Some(access) = &mut self.access {
            access.detach();
        }
        let (length, inner) = (body.len(), std::mem::take(body));
        *body = Body::new(Observed { inner, watch: self, head, bytes: 0, length });
    }

    /// Counts a connection that becomes a tunnel. Its access line comes at the end of the tunnel.
    fn switch(mut self, head: &Head, connection: &Connection) {
        self.is_over = true;
        let route = self.state.route(self.route);
        self.state.counters.route(route.counters).answered(head.status, 0, head.ttfb, head.ttfb);
        let Some(access) = self.access.take() else { return };
        let (state, route, started) = (self.state.clone(), self.route, self.started);
        let identity = self.identity.take();
        let (status, ttfb) = (Some(head.status), Some(head.ttfb));
        connection.on_tunnel_end(move |end: TunnelEnd| {
            let line = Line {
                route: &state.route(route).path,
                user: user(identity.as_ref()),
                status,
                bytes: end.sent,
                received: Some(end.received),
                ttfb,
                duration: started.elapsed(),
                cache: None,
                aborted: end.cut.then_some("cut: it was idle for too long, or the service stops"),
            };
            access.write(&line, &state.access);
        });
    }

    fn end(&mut self, head: &Head, bytes: u64, duration: Duration, aborted: Option<&str>) {
        self.is_over = true;
        let route = self.state.route(self.route);
        let counters = self.state.counters.route(route.counters);
        match aborted {
            None => counters.answered(head.status, bytes, head.ttfb, duration),
            Some(_) => counters.aborted(bytes),
        }
        if let Some(access) = &self.access {
            let route = &*route.path;
            let Head { status, ttfb, cache } = head;
            let (status, ttfb, cache) = (Some(*status), Some(*ttfb), cache.as_ref());
            let user = user(self.identity.as_ref());
            let line = Line { route, user, status, bytes, received: None, ttfb, duration, cache, aborted };
            access.write(&line, &self.state.access);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let route = self.state.route(self.route);
        self.state.counters.route(route.counters).aborted(0);
        if let Some(access) = &self.access {
            let (route, duration) = (&*route.path, self.started.elapsed());
            let aborted = Some("given up before an answer");
            let line = Line {
                route,
                user: user(self.identity.as_ref()),
                status: None,
                bytes: 0,
                received: None,
                ttfb: None,
                duration,
                cache: None,
                aborted,
            };
            access.write(&line, &self.state.access);
        }
    }
}

/// The name of a verified client.
fn user(identity: Option<&IdentitySlot>) -> Option<&str> {
    identity?.get()?.subject()
}

// === impl Observed ===

impl Observed {
    fn end(&mut self, aborted: Option<&str>) {
        if !self.watch.is_over {
            let duration = self.watch.started.elapsed();
            self.watch.end(&self.head, self.bytes, duration, aborted);
        }
    }
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                // A reader that knows the length, or has the trailers, does not ask again.
                if frame.is_trailers() || self.inner.is_end_stream() || self.length == Some(self.bytes) {
                    self.end(None);
                }
            }
            Some(Err(error)) => {
                let reason = error.to_string();
                self.end(Some(&reason));
            }
            None => self.end(None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.end(Some("given up by the client, or cut"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_flight_is_small() {
        // It is moved a few times on its way to the connection that polls it.
        let sizes = [size_of::<ReplyFuture>(), size_of::<LayersFuture>(), size_of::<Observe>()];
        assert!(sizes[1] <= 256, "{sizes:?}");
    }
}
