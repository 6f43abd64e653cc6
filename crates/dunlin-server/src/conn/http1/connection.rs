//! [`Http1`]: a connection from one request to the next.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Reply};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use tower_service::Service;

use super::end::Why;
use super::exchange::{Exchange, Stage};
use super::io::{Io, ROOM};
use super::output::Output;
use super::response::{self, Asked, Content};
use crate::Config;
use crate::conn::Wire;
use crate::conn::call::Call;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::state::{Phase, Signal, State};
use crate::framing::{Framer, Framing, Head};
use crate::reaper::Registered;

/// A connection from one request to the next.
pub(super) struct Http1<'a, S: Service<Request<Body>>> {
    io: Io<'a>,
    service: S,
    /// The request that is under way.
    exchange: Option<Exchange<S::Future>>,
    /// Once nothing more is to be read here.
    left: Option<Left>,
    /// Memory for the fields of the next request, and for its call.
    spare_fields: HeaderMap,
    spare_call: Option<Pin<Box<Call<S::Future>>>>,
    registered: &'a Registered,
    config: &'a Config,
}

/// Why a connection is left.
#[derive(Debug)]
pub(super) enum Left {
    /// It is over, perhaps with a last answer.
    Over(Option<Why>),
    /// It broke, or is to be cut whatever is under way.
    Cut,
    /// The request whose head this is asks for another protocol.
    Upgrade(Bytes),
}

/// Requests that are answered before others have their turn.
const TURN: usize = 64;
/// A map of fields with more room than this is not kept.
const MAX_SPARE: usize = 64;

// === impl Http1 ===

impl<'a, S> Http1<'a, S>
where
    S: Service<Request<Body>>,
    S::Response: Into<Reply>,
    S::Error: Into<BoxError>,
{
    pub(super) fn new(
        wire: Wire,
        framer: Framer,
        service: S,
        state: &'a Arc<State>,
        registered: &'a Registered,
        config: &'a Config,
    ) -> Self {
        let io = Io { wire, framer, output: Output::default(), ended: false, state };
        let spare_fields = HeaderMap::new();
        Self { io, service, exchange: None, left: None, spare_fields, spare_call: None, registered, config }
    }

    pub(super) fn into_parts(self) -> (Wire, Framer) {
        (self.io.wire, self.io.framer)
    }

    /// Serves until there is a reason to leave.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Left> {
        self.io.state.register(cx.waker());
        self.io.state.turn.begin();
        for _ in 0..TURN {
            if self.io.state.signalled() == Signal::Cut {
                return Poll::Ready(Left::Cut);
            }
            let polled = if self.exchange.is_some() { self.poll_exchange(&mut None, cx) } else { self.poll_next(cx) };
            match ready!(polled) {
                Ok(None) => {}
                Ok(Some(left)) => return Poll::Ready(left),
                Err(error) => {
                    tracing::debug!(%error, "a connection broke");
                    return Poll::Ready(Left::Cut);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes up the next request. Answers to those before it go out together once no other has come in full.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Left>>> {
        if self.left.is_some() || !self.io.output.has_room() {
            ready!(self.io.poll_flush(cx))?;
        }
        if self.left.is_some() {
            return Poll::Ready(Ok(self.left.take()));
        }
        if self.io.framer.is_empty() {
            return self.poll_head(cx);
        }
        // A request stays where it is until its service is called with it.
        let mut first = None;
        let request = first.insert(Request::new(Body::empty()));
        std::mem::swap(request.headers_mut(), &mut self.spare_fields);
        match self.io.framer.head(request) {
            Ok(Some(head)) => {
                self.begin(request, head);
                self.poll_exchange(&mut first, cx)
            }
            Ok(None) => {
                std::mem::swap(request.headers_mut(), &mut self.spare_fields);
                self.poll_head(cx)
            }
            Err(reject) => {
                self.left = Some(Left::Over(Some(Why::Rejected(reject))));
                Poll::Ready(Ok(None))
            }
        }
    }

    /// Waits for more of a head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Left>>> {
        ready!(self.io.poll_flush(cx))?;
        let (state, is_idle) = (self.io.state, self.io.framer.is_empty());
        match state.phase() {
            _ if !is_idle => state.set_phase(Phase::Head),
            Phase::New => {}
            _ => state.set_phase(Phase::Between),
        }
        match state.signalled() {
            _ if self.io.ended => return Poll::Ready(Ok(Some(Left::Over(None)))),
            Signal::HeadTimeout if !is_idle => return Poll::Ready(Ok(Some(Left::Over(Some(Why::TimedOut))))),
            Signal::Close | Signal::HeadTimeout => return Poll::Ready(Ok(Some(Left::Over(None)))),
            Signal::Park if is_idle && !state.is_parked() => self.park(),
            _ => {}
        }
        if state.is_parked() {
            ready!(self.io.wire.poll_readable(cx))?;
            state.unpark();
            self.registered.watch();
        }
        self.io.poll_fill(cx, ROOM).map_ok(|_| None)
    }

    /// Lets all memory go that an idle connection does not need.
    fn park(&mut self) {
        self.io.framer.park();
        self.io.output.park();
        self.spare_call = None;
        self.spare_fields = HeaderMap::new();
        self.io.state.park();
    }

    /// Takes up a request.
    #[inline]
    fn begin(&mut self, request: &mut Request<Body>, head: Head) {
        let Head { framing, persists, upgrade, expects, takes_trailers } = head;
        if let Some(head) = upgrade {
            self.left = Some(Left::Upgrade(head));
            return;
        }
        let (state, config) = (self.io.state, self.config);
        state.begin_only();
        state.set_phase(if self.io.framer.in_body() { Phase::Body } else { Phase::Between });
        let is_last = config.keep_alive.is_zero() || state.called() >= config.max_requests_per_connection;
        let asked = Asked {
            to_head: *request.method() == Method::HEAD,
            is_10: request.version() == Version::HTTP_10,
            persists: persists && !is_last,
        };
        let exchange = self.exchange.insert(Exchange::new(asked, expects, takes_trailers));
        match admit(request, framing, expects, config) {
            Ok(awaits_continue) => exchange.awaits_continue = awaits_continue,
            Err(status) => {
                exchange.asked.persists &= status != StatusCode::PAYLOAD_TOO_LARGE;
                return self.respond(refuse(status, ""));
            }
        }
        // RFC 9110 §9.3.7: `*` asks what the server as a whole can do.
        if request.uri().path() == "*" {
            return self.respond(capabilities());
        }
        if framing != Framing::Length(0) {
            *request.body_mut() = exchange.body(framing, &mut self.io, config.max_body);
        }
        exchange.stage = Stage::Answering(match self.spare_call.take() {
            Some(mut call) => {
                call.set(Call::begun());
                call
            }
            None => Box::pin(Call::begun()),
        });
    }

    /// Works at the request that is under way, until it is answered. It comes along when that begins.
    fn poll_exchange(
        &mut self,
        request: &mut Option<Request<Body>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Left>>> {
        while let Some(exchange) = &mut self.exchange {
            exchange.feed(&mut self.io, cx)?;
            match &mut exchange.stage {
                Stage::Answering(call) => match call.as_mut().poll_with(request, &mut self.service, cx) {
                    Poll::Ready(Ok(Ok(reply))) => self.respond(reply),
                    Poll::Ready(Ok(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                    Poll::Ready(Err(panic)) => {
                        exchange.asked.persists = false;
                        self.respond(panicked(&*panic, Some(self.io.state)));
                    }
                    Poll::Pending => {
                        self.io.take_interim();
                        self.io.flush(cx)?;
                        if !exchange.feed_or_listen(&mut self.io, cx)? {
                            return Poll::Pending;
                        }
                    }
                },
                Stage::Sending { .. } => ready!(exchange.poll_send(&mut self.io, cx))?,
                Stage::Answered => {
                    if !ready!(exchange.poll_rest(&mut self.io, cx))? {
                        self.left = Some(Left::Over(None));
                    }
                    self.exchange = None;
                    self.io.state.end_only();
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Answers the request that is under way.
    fn respond(&mut self, reply: impl Into<Reply>) {
        let Some(exchange) = &mut self.exchange else { return };
        if let Stage::Answering(call) = std::mem::replace(&mut exchange.stage, Stage::Answered) {
            self.spare_call = Some(call);
        }
        let (state, io) = (self.io.state, &mut self.io);
        if state.interim.is_open() {
            state.interim.close();
            io.take_interim();
        }
        let mut reply = reply.into();
        if reply.status().is_informational() {
            tracing::error!(status = reply.status().as_u16(), "a service answered with an interim status");
            exchange.asked.persists = false;
            reply = refuse(StatusCode::INTERNAL_SERVER_ERROR, "").into();
        }
        exchange.asked.persists &= state.signalled() < Signal::Drain && exchange.reads_on(&mut io.framer);
        if exchange.asked.to_head {
            reply = reply.into_response().into();
        }
        let (out, asked, seconds) = (io.output.gathered(), exchange.asked, state.ticks.seconds());
        let written = match &reply {
            Reply::Stored(ready) => response::write_ready(out, ready, asked, seconds),
            Reply::Response(made) => {
                response::write(out, made.status(), made.headers(), made.body().len(), asked, seconds)
            }
        };
        if !written.persists {
            exchange.asked.persists = false;
            self.left = Some(Left::Over(None));
        }
        exchange.stage = match written.content {
            Content::None => Stage::Answered,
            Content::Length(_) if io.output.push_body(reply.body_mut()) => Stage::Answered,
            content => Stage::Sending { body: std::mem::take(reply.body_mut()), content },
        };
        if let Reply::Response(made) = &mut reply
            && made.headers().capacity() <= MAX_SPARE
        {
            self.spare_fields = std::mem::take(made.headers_mut());
            self.spare_fields.clear();
        }
    }
}

/// What is to be known of a request before its service is called: whether its client awaits a 100 (Continue), or the
/// status that it is refused with.
fn admit<B>(request: &mut Request<B>, framing: Framing, expects: bool, config: &Config) -> Result<bool, StatusCode> {
    normalise(request)?;
    let awaits_continue = expects && awaits_continue(request)?;
    match framing {
        Framing::Length(length) if length > config.max_body => Err(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Ok(awaits_continue),
    }
}
