//! What is told of a request: counted always, written to the log when that is wanted, at the end of its body.
//!
//! An answer that is complete in memory ends with its head: it is counted at once, and its body stays as it is. Only a
//! stream is wrapped, to see its end, or that it never came to it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Reply};
use http::header::HeaderName;
use http::{HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;

use super::LoopState;
use super::access::{Access, Line};
use super::stack::StackFuture;

pin_project! {
    /// A request on its way.
    pub(crate) struct Observe {
        #[pin]
        answer: Answer,
        watch: Option<Watch>,
    }
}

pin_project! {
    #[project = AnswerProject]
    pub(crate) enum Answer {
        /// No route has it: the router answers.
        Own { response: Option<Response<Body>> },
        Route { #[pin] future: StackFuture },
    }
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The eye on one request. Dropped before it was told of an end, it tells of an abort.
pub(crate) struct Watch {
    state: Arc<LoopState>,
    route: usize,
    started: Instant,
    access: Option<Box<Access>>,
    told: bool,
}

/// A stream whose end is waited for.
struct Observed {
    inner: Body,
    watch: Watch,
    head: Head,
    bytes: u64,
    /// Its length, when that is known.
    length: Option<u64>,
}

/// What is remembered of an answer's head.
struct Head {
    status: StatusCode,
    ttfb: Duration,
    cache: Option<HeaderValue>,
}

// === impl Observe ===

impl Observe {
    pub(crate) const fn new(answer: Answer, watch: Watch) -> Self {
        Self { answer, watch: Some(watch) }
    }
}

impl Future for Observe {
    type Output = Result<Reply, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut reply = match this.answer.project() {
            AnswerProject::Own { response } => Reply::Response(response.take().unwrap_or_default()),
            AnswerProject::Route { future } => ready!(future.poll(cx))?,
        };
        if let Some(watch) = this.watch.take() {
            watch.head(&mut reply);
        }
        Poll::Ready(Ok(reply))
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn new(state: Arc<LoopState>, route: usize, access: Option<Box<Access>>) -> Self {
        Self { state, route, started: Instant::now(), access, told: false }
    }

    /// The head of the answer is there.
    fn head(mut self, reply: &mut Reply) {
        let ttfb = self.started.elapsed();
        let cache = self.access.as_ref().and_then(|_| reply.changing(&CACHE_STATUS).cloned());
        let head = Head { status: reply.status(), ttfb, cache };
        let body = reply.body_mut();
        if let Some(bytes) = body.as_bytes() {
            return self.end(&head, bytes.len() as u64, ttfb, None);
        }
        let (length, inner) = (body.len(), std::mem::take(body));
        *body = Body::new(Observed { inner, watch: self, head, bytes: 0, length });
    }

    fn end(&mut self, head: &Head, bytes: u64, duration: Duration, aborted: Option<&str>) {
        self.told = true;
        let counters = self.state.counters.route(self.route);
        match aborted {
            None => counters.answered(head.status, bytes, head.ttfb, duration),
            Some(_) => counters.aborted(bytes),
        }
        if let Some(access) = &self.access {
            let route = self.state.path(self.route);
            let Head { status, ttfb, cache } = head;
            let (status, ttfb, cache) = (Some(*status), Some(*ttfb), cache.as_ref());
            access.write(&Line { route, status, bytes, ttfb, duration, cache, aborted });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        self.state.counters.route(self.route).aborted(0);
        if let Some(access) = &self.access {
            let (route, duration) = (self.state.path(self.route), self.started.elapsed());
            let aborted = Some("given up before an answer");
            access.write(&Line { route, status: None, bytes: 0, ttfb: None, duration, cache: None, aborted });
        }
    }
}

// === impl Observed ===

impl Observed {
    fn end(&mut self, aborted: Option<&str>) {
        if !self.watch.told {
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
                // Who knows the length need not ask again.
                if self.inner.is_end_stream() || self.length == Some(self.bytes) {
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
