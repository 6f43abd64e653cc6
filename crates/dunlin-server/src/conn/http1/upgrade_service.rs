//! [`UpgradeService`]: the service that hyper calls for a request for another protocol.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, Reply};
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use crate::conn::call::Call;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::{Connection, Exchange};
use crate::context::Loop;
use crate::ledger::{InFlight, Phase};
use crate::stats::Stats;
use crate::tunnels::{TunnelPermit, Tunnels};

/// The permit of a tunnel, on its way from the request to the connection.
pub(super) type PermitSlot = Arc<Mutex<Option<TunnelPermit>>>;

/// The handler of a connection as hyper calls it, with the server's own responses ahead of it.
#[derive(Debug)]
pub(crate) struct UpgradeService<H> {
    handler: H,
    connection: Arc<Connection>,
    tunnels: Arc<Tunnels>,
    stats: Arc<Stats>,
    permit: PermitSlot,
    normalises_paths: bool,
}

pin_project! {
    /// A response that is on its way.
    pub(crate) struct ResponseFuture<F> {
        #[pin]
        step: Step<F>,
        in_flight: Option<InFlight>,
        permit: Option<TunnelPermit>,
        slot: PermitSlot,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        // By the server itself.
        Answered { response: Option<Response<Body>> },
        Calling { #[pin] call: Call<F> },
    }
}

/// The body of a response. Its request is in flight until the body ends.
#[derive(Debug)]
pub(crate) struct Outbound {
    body: Body,
    _in_flight: Option<InFlight>,
}

// === impl UpgradeService ===

impl<H> UpgradeService<H> {
    pub(super) fn new(handler: H, connection: Arc<Connection>, owner: &Loop, permit: PermitSlot) -> Self {
        let shared = owner.shared();
        Self {
            handler,
            connection,
            tunnels: shared.tunnels.clone(),
            stats: owner.stats.clone(),
            permit,
            normalises_paths: shared.config.normalise_paths,
        }
    }

    /// Checks a request, and takes a permit for its tunnel. An error is the server's own response.
    fn admit(&self, request: &mut Request<Incoming>) -> Result<TunnelPermit, Box<Response<Body>>> {
        if let Err(status) = normalise(request, self.normalises_paths).and_then(|()| awaits_continue(request)) {
            return Err(Box::new(refuse(status, "")));
        }
        // RFC 9110 §9.3.7: `*` is the server as a whole.
        if request.uri().path() == "*" {
            return Err(Box::new(capabilities()));
        }
        let client = self.connection.remote().map(|remote| remote.ip());
        self.tunnels.take(client).ok_or_else(|| {
            self.stats.tunnel_refused();
            let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "there are too many upgraded connections");
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
            Box::new(response)
        })
    }
}

impl<H> hyper::service::Service<Request<Incoming>> for UpgradeService<H>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    type Response = Response<Outbound>;
    type Error = BoxError;
    type Future = ResponseFuture<H::Future>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let ledger = &self.connection.ledger;
        let in_flight = Some(ledger.begin_request());
        let respond = |response| Step::Answered { response: Some(response) };
        let (step, permit) = match self.admit(&mut request) {
            Err(response) => (respond(*response), None),
            Ok(permit) => {
                // A request for an upgrade has no body.
                let request = request.map(|_| Body::empty());
                let exchange = Exchange::without_interim(self.connection.clone());
                match Call::begun(&self.handler, request, &exchange) {
                    Ok(call) => (Step::Calling { call }, Some(permit)),
                    Err(panic) => (respond(panicked(&*panic, Some(ledger))), None),
                }
            }
        };
        ResponseFuture { step, in_flight, permit, slot: self.permit.clone() }
    }
}

// === impl ResponseFuture ===

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Reply, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<Outbound>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.step.project() {
            StepProjection::Answered { response } => response.take().unwrap_or_default(),
            StepProjection::Calling { call } => match ready!(call.poll(cx)) {
                Ok(reply) => reply?.into_response(),
                Err(panic) => panicked(&*panic, this.in_flight.as_ref().map(|in_flight| &**in_flight.ledger())),
            },
        };
        let in_flight = this.in_flight.take();
        let permit = this.permit.take();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(in_flight) = &in_flight
        {
            *this.slot.lock().unwrap_or_else(PoisonError::into_inner) = permit;
            in_flight.ledger().set_phase(Phase::Tunnel);
        }
        Poll::Ready(Ok(response.map(|body| {
            // The request ends with a complete body. The socket, which still writes it, has its own
            // deadline.
            let in_flight = if body.as_bytes().is_some() { None } else { in_flight };
            Outbound { body, _in_flight: in_flight }
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
