//! [`UpgradeService`]: what hyper calls for a request that asks for an upgrade, with what the server itself answers before its
//! service.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, Reply};
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::conn::call::Call;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::{Connection, Exchange};
use crate::ledger::{InFlight, Phase};

/// The service of a connection as hyper calls it.
#[derive(Debug)]
pub(crate) struct UpgradeService<H> {
    handler: H,
    connection: Arc<Connection>,
    /// Bytes of a body, at most.
    max_body: u64,
}

pin_project! {
    /// An answer under way.
    pub(crate) struct Answer<F> {
        #[pin]
        step: Step<F>,
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F> {
        /// By the server itself.
        Answered { response: Option<Response<Body>> },
        Calling { #[pin] call: Call<F> },
    }
}

/// The body of an answer. One that streams keeps its request under way until it ends.
#[derive(Debug)]
pub(crate) struct Outbound {
    body: Body,
    _under_way: Option<InFlight>,
}

// === impl UpgradeService ===

impl<H> UpgradeService<H> {
    pub(crate) const fn new(handler: H, connection: Arc<Connection>, max_body: u64) -> Self {
        Self { handler, connection, max_body }
    }

    /// What the server itself answers, if it is for it to do.
    fn answer(&self, request: &mut Request<Incoming>) -> Option<Response<Body>> {
        if let Err(status) = normalise(request).and_then(|()| awaits_continue(request)) {
            return Some(refuse(status, ""));
        }
        if request.body().size_hint().lower() > self.max_body {
            return Some(refuse(StatusCode::PAYLOAD_TOO_LARGE, ""));
        }
        // RFC 9110 §9.3.7: `*` asks what the server as a whole can do.
        (request.uri().path() == "*").then(capabilities)
    }
}

impl<H> hyper::service::Service<Request<Incoming>> for UpgradeService<H>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    type Response = Response<Outbound>;
    type Error = BoxError;
    type Future = Answer<H::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let ledger = &self.connection.ledger;
        let in_flight = Some(ledger.begin_request());
        let step = match self.answer(&mut request) {
            Some(response) => Step::Answered { response: Some(response) },
            None => {
                // A request that asks for an upgrade has no body.
                let request = request.map(|_| Body::empty());
                let exchange = Exchange::without_interim(self.connection.clone());
                match Call::begun(&self.handler, request, &exchange) {
                    Ok(call) => Step::Calling { call },
                    Err(panic) => Step::Answered { response: Some(panicked(&*panic, Some(ledger))) },
                }
            }
        };
        Answer { step, in_flight }
    }
}

// === impl Answer ===

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Reply, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Outbound>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.step.project() {
            StepProj::Answered { response } => response.take().unwrap_or_default(),
            StepProj::Calling { call } => match ready!(call.poll(cx)) {
                Ok(reply) => reply?.into_response(),
                Err(panic) => panicked(&*panic, this.in_flight.as_ref().map(|in_flight| &**in_flight.ledger())),
            },
        };
        let in_flight = this.in_flight.take();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(in_flight) = &in_flight
        {
            in_flight.ledger().set_phase(Phase::Tunnel);
        }
        Poll::Ready(Ok(response.map(|body| {
            // Complete bytes are as good as written: the rest is the socket's, and has its own deadline.
            let in_flight = if body.as_bytes().is_some() { None } else { in_flight };
            Outbound { body, _under_way: in_flight }
        })))
    }
}

// === impl Outbound ===

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
