//! What hyper calls: the service of a connection, with what the server itself answers before and after it.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError};
use http::header::{CONNECTION, EXPECT, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::inbound::Inbound;
use super::state::{Phase, Signal, State, UnderWay};
use super::streams::Awaited;
use crate::Config;
use crate::framing::is_host;

/// The service of a connection as hyper calls it.
#[derive(Debug)]
pub(crate) struct Front<S> {
    service: S,
    state: Arc<State>,
    /// Bytes of a body, at most.
    max_body: u64,
    /// Requests of this connection, at most.
    max_requests: u64,
}

/// From so many bytes on the kernel is told to send a file rather than given a copy.
const MAPPED: u64 = 16 << 10;

pin_project! {
    /// An answer under way.
    pub(crate) struct Answer<S, F> {
        #[pin]
        step: Step<S, F>,
        under_way: Option<UnderWay>,
        last: bool,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<S, F> {
        /// The response is there: the server's own, or one that interim responses still go before.
        Answered { response: Option<Response<Body>> },
        /// The service is not ready yet.
        Waiting { service: S, request: Option<Request<Body>> },
        Running { #[pin] future: F },
    }
}

/// The body of an answer. One that streams keeps its request under way until it ends.
#[derive(Debug)]
pub(crate) struct Outbound {
    body: Body,
    under_way: Option<UnderWay>,
    /// Bytes that were handed to HTTP/2, which has not asked for more yet: the client's window is closed, perhaps.
    owed: Option<usize>,
    /// Once there were any.
    paced: Option<Arc<Awaited>>,
}

// === impl Front ===

impl<S> Front<S> {
    pub(crate) const fn new(service: S, state: Arc<State>, config: &Config) -> Self {
        let (max_body, max_requests) = (config.max_body, config.max_requests_per_connection);
        Self { service, state, max_body, max_requests }
    }

    /// Brings a request into the one form that services see: a target in origin form (or `*`), and exactly one Host.
    fn normalise(&self, request: &mut Request<Incoming>) -> Result<(), StatusCode> {
        if request.uri().authority().is_some() {
            normalise_target(request)?;
        } else if request.version() == Version::HTTP_2 {
            // RFC 9113 §8.3.1: without :authority there may be a Host; without both there is no target.
            let mut hosts = request.headers().get_all(HOST).iter();
            match (hosts.next(), hosts.next()) {
                (Some(host), None) if is_host(host.as_bytes()) => {}
                _ => return Err(StatusCode::BAD_REQUEST),
            }
        }
        if request.version() == Version::HTTP_2 {
            check_http2(request)?;
        }
        if (self.state.expects.load(Relaxed) || request.version() == Version::HTTP_2) && !expectation_is_met(request) {
            return Err(StatusCode::EXPECTATION_FAILED);
        }
        let announced = http_body::Body::size_hint(request.body()).lower();
        if announced > self.max_body { Err(StatusCode::PAYLOAD_TOO_LARGE) } else { Ok(()) }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Outbound>;
    type Error = BoxError;
    type Future = Answer<S, S::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let under_way = Some(self.state.begin_request());
        let last = self.state.called() >= self.max_requests;
        let asks = self.state.expects.load(Relaxed) && request.headers().contains_key(EXPECT);
        if let Err(status) = self.normalise(&mut request) {
            drop(Inbound::wrap(request.into_body(), self.max_body, asks, &self.state));
            return Answer {
                step: Step::Answered { response: Some(super::refuse(status, "")) },
                under_way,
                last: last || status == StatusCode::PAYLOAD_TOO_LARGE,
            };
        }
        // RFC 9110 §9.3.7: `*` asks what the server as a whole can do.
        if request.uri().path() == "*" {
            drop(Inbound::wrap(request.into_body(), self.max_body, asks, &self.state));
            return Answer { step: Step::Answered { response: Some(super::capabilities()) }, under_way, last };
        }
        let request = request.map(|body| Inbound::wrap(body, self.max_body, asks, &self.state));
        Answer { step: Step::Waiting { service: self.service.clone(), request: Some(request) }, under_way, last }
    }
}

/// RFC 9112 §3.2.2 and RFC 9113 §8.3.1: the target's authority replaces Host.
fn normalise_target(request: &mut Request<Incoming>) -> Result<(), StatusCode> {
    let uri = std::mem::take(request.uri_mut());
    let mut parts = uri.into_parts();
    let authority = parts.authority.take().ok_or(StatusCode::BAD_REQUEST)?;
    if !is_host(authority.as_str().as_bytes()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    if request.version() == Version::HTTP_2 {
        let differs = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes());
        if request.headers().get_all(HOST).iter().any(differs) {
            return Err(StatusCode::BAD_REQUEST);
        }
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
    request.headers_mut().insert(HOST, host);
    parts.scheme = None;
    let path = parts.path_and_query.filter(|path| !path.as_str().is_empty());
    let path = path.unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    *request.uri_mut() = http::Uri::from(path);
    Ok(())
}

/// What the framing sees to in HTTP/1.1.
fn check_http2(request: &Request<Incoming>) -> Result<(), StatusCode> {
    if request.method() == Method::CONNECT {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    // RFC 9113 §8.3.1: `*` is for OPTIONS alone.
    if request.uri().path() == "*" && request.method() != Method::OPTIONS {
        return Err(StatusCode::BAD_REQUEST);
    }
    // RFC 9113 §8.2.1: "A field value MUST NOT start or end with an ASCII whitespace character".
    let is_padded = |value: &HeaderValue| {
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        blank(value.as_bytes().first()) || blank(value.as_bytes().last())
    };
    if request.headers().values().any(is_padded) { Err(StatusCode::BAD_REQUEST) } else { Ok(()) }
}

/// RFC 9110 §10.1.1: an expectation other than 100-continue may be answered 417. HTTP/1.0 has none, and neither has an
/// empty list (RFC 9110 §5.6.1).
fn expectation_is_met(request: &Request<Incoming>) -> bool {
    let met = |value: &[u8]| value.is_empty() || value.eq_ignore_ascii_case(b"100-continue");
    let all_met = |value: &HeaderValue| value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii).all(met);
    request.version() == Version::HTTP_10 || request.headers().get_all(EXPECT).iter().all(all_met)
}

// === impl Step ===

impl<S, B> Step<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Response<Body>, BoxError>> {
        loop {
            match self.as_mut().project() {
                StepProj::Answered { response } => return Poll::Ready(Ok(response.take().unwrap_or_default())),
                StepProj::Running { future } => {
                    return future.poll(cx).map_ok(|response| response.map(Body::new)).map_err(Into::into);
                }
                StepProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let future = service.call(request.take().unwrap_or_default());
                    self.set(Step::Running { future });
                }
            }
        }
    }
}

// === impl Answer ===

impl<S, B> Future for Answer<S, S::Future>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Outbound>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // What panics is dropped at once and not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| this.step.as_mut().poll(cx)));
        let response = match polled {
            Ok(response) => ready!(response)?,
            Err(panic) => {
                *this.last = true;
                this.step.set(Step::Answered { response: None });
                super::panicked(&*panic, this.under_way.as_ref().map(UnderWay::state))
            }
        };
        let interim = this.under_way.as_ref().map(|under_way| &under_way.state().interim);
        if interim.is_some_and(|interim| (interim.is_open() || interim.is_waiting()) && interim.close()) {
            // The gate polls this again when it has written them.
            this.step.set(Step::Answered { response: Some(response) });
            return Poll::Pending;
        }
        Poll::Ready(Ok(finish(response, this.under_way.take(), *this.last)))
    }
}

fn finish(mut response: Response<Body>, under_way: Option<UnderWay>, last: bool) -> Response<Outbound> {
    if let Some(state) = under_way.as_ref().map(UnderWay::state) {
        // HTTP/2 has GOAWAY instead (RFC 9113 §8.2.2).
        let is_http1 = state.phase() != Phase::Opaque;
        if is_http1 && (last || state.signalled() >= Signal::Drain || state.body_broke_off()) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            state.tunnel.store(true, Relaxed);
        }
        if is_http1
            && let Some(mapping) = response.body().mapping()
            && response.body().len() >= Some(MAPPED)
        {
            state.outgoing.offer(Arc::clone(mapping));
        }
    }
    response.map(|body| {
        // Complete bytes are as good as written: the rest is the socket's, and has its own deadline.
        let under_way = if body.as_bytes().is_some() { None } else { under_way };
        Outbound { body, under_way, owed: None, paced: None }
    })
}

// === impl Outbound ===

impl Outbound {
    /// Counts this among the streams that HTTP/2 has data of, so many bytes, or no more.
    fn owe(&mut self, bytes: Option<usize>) {
        let Some(state) = self.under_way.as_ref().map(UnderWay::state) else { return };
        if bytes.is_some() == self.owed.is_some() || state.phase() != Phase::Opaque {
            return;
        }
        let paced = self.paced.get_or_insert_with(|| state.answers.watch_answer());
        match bytes {
            Some(_) => {
                paced.begin();
                state.owed.fetch_add(1, Relaxed);
            }
            None => {
                paced.came(self.owed.unwrap_or(0));
                state.owed.fetch_sub(1, Relaxed);
            }
        }
        self.owed = bytes;
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        self.owe(None);
        if let (Some(paced), Some(under_way)) = (&self.paced, &self.under_way) {
            under_way.state().answers.forget(paced);
        }
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.owe(None);
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            this.owe(Some(frame.data_ref().map_or(0, Bytes::len)));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
