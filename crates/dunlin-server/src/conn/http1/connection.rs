//! [`Http1`]: a connection from one request to the next.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, Reply};
use http::{HeaderMap, Method, Request, StatusCode, Version};

use super::close::TIMED_OUT;
use super::io::{Io, ROOM};
use super::output::Output;
use super::response::{self, Content, RequestFacts};
use super::transaction::{Stage, Transaction};
use crate::Config;
use crate::conn::call::Call;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::report::{Incident, report};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::{Connection, Exchange, Transport};
use crate::context::Loop;
use crate::framing::{Framer, Framing, Head, Reject};
use crate::ledger::{Phase, Signal};
use crate::reaper::Registered;

/// A connection of HTTP/1.1, from one request to the next.
pub(super) struct Http1<'a, H: Handler<Exchange>> {
    io: Io<'a>,
    handler: H,
    /// The exchange as the handler sees it.
    exchange: Exchange,
    /// The request in flight.
    transaction: Option<Transaction<H::Future>>,
    /// The exit, once no more requests are read.
    exit: Option<Exit>,
    /// Memory that is used again for the fields of the next request, and for its call.
    spare_fields: HeaderMap,
    spare_call: Option<Pin<Box<Call<H::Future>>>>,
    registered: &'a Registered,
    owner: &'a Loop,
}

/// The way that a connection leaves the loop of requests.
#[derive(Debug)]
pub(super) enum Exit {
    /// Every request is answered, and no more is taken.
    Done,
    /// The next bytes are not a request, or did not come in time.
    Reject(Reject),
    /// The socket failed, or the reaper cuts the connection.
    Cut,
    /// A request for another protocol has this head.
    Upgrade(Bytes),
}

/// The limit of requests that are answered before other tasks run.
const MAX_REQUESTS_PER_POLL: usize = 64;
/// The largest capacity of a field map that is kept for the next request.
const MAX_SPARE_FIELDS: usize = 64;

// === impl Http1 ===

impl<'a, H> Http1<'a, H>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    pub(super) fn new(
        transport: Transport,
        framer: Framer,
        handler: H,
        connection: &'a Arc<Connection>,
        registered: &'a Registered,
        owner: &'a Loop,
    ) -> Self {
        let io = Io {
            transport,
            framer,
            output: Output::default(),
            ended: false,
            ledger: &connection.ledger,
            interim: &connection.interim,
        };
        Self {
            io,
            handler,
            exchange: Exchange::without_interim(connection.clone()),
            transaction: None,
            exit: None,
            spare_fields: HeaderMap::new(),
            spare_call: None,
            registered,
            owner,
        }
    }

    pub(super) fn into_parts(self) -> (Transport, Framer) {
        (self.io.transport, self.io.framer)
    }

    /// Serves requests until there is an exit.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Exit> {
        self.io.ledger.register(cx.waker());
        self.io.ledger.budget().reset();
        for _ in 0..MAX_REQUESTS_PER_POLL {
            if self.io.ledger.signalled() == Signal::Cut {
                return Poll::Ready(Exit::Cut);
            }
            let polled = if self.transaction.is_some() { self.poll_transaction(cx) } else { self.poll_next(cx) };
            match ready!(polled) {
                Ok(None) => {}
                Ok(Some(exit)) => return Poll::Ready(exit),
                Err(error) => {
                    tracing::debug!(%error, "a connection failed");
                    return Poll::Ready(Exit::Cut);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Begins the next request. Responses to earlier ones go out together, once no further
    /// request is complete.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Exit>>> {
        if self.exit.is_some() || !self.io.output.has_room() {
            ready!(self.io.poll_flush(cx))?;
        }
        if self.exit.is_some() {
            return Poll::Ready(Ok(self.exit.take()));
        }
        if self.io.framer.is_empty() {
            return self.poll_head(cx);
        }
        let mut request = Request::new(Body::empty());
        std::mem::swap(request.headers_mut(), &mut self.spare_fields);
        match self.io.framer.head(&mut request) {
            Ok(Some(head)) => {
                if self.begin(&mut request, head) {
                    self.call(request);
                }
                self.poll_transaction(cx)
            }
            Ok(None) => {
                std::mem::swap(request.headers_mut(), &mut self.spare_fields);
                self.poll_head(cx)
            }
            Err(reject) => {
                self.exit = Some(Exit::Reject(reject));
                Poll::Ready(Ok(None))
            }
        }
    }

    /// Waits for more of a head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Exit>>> {
        ready!(self.io.poll_flush(cx))?;
        let (ledger, is_idle) = (self.io.ledger, self.io.framer.is_empty());
        match ledger.phase() {
            _ if !is_idle => ledger.set_phase(Phase::Head),
            Phase::New => {}
            _ => ledger.set_phase(Phase::Between),
        }
        match ledger.signalled() {
            _ if self.io.ended => return Poll::Ready(Ok(Some(Exit::Done))),
            Signal::HeadTimeout if !is_idle => return Poll::Ready(Ok(Some(Exit::Reject(TIMED_OUT)))),
            Signal::Close | Signal::HeadTimeout => return Poll::Ready(Ok(Some(Exit::Done))),
            Signal::Park if is_idle && !ledger.is_parked() => self.park(),
            _ => {}
        }
        if ledger.is_parked() {
            ready!(self.io.transport.poll_readable(cx))?;
            ledger.unpark();
            self.registered.watch();
        }
        self.io.poll_fill(cx, ROOM).map_ok(|_| None)
    }

    /// Frees all memory that an idle connection does not need.
    fn park(&mut self) {
        self.free();
        self.io.ledger.park();
    }

    /// Frees the memory that is not in use at the moment.
    fn free(&mut self) {
        self.io.framer.park();
        self.io.output.park();
        self.spare_call = None;
        self.spare_fields = HeaderMap::new();
    }

    /// Begins a request. Returns `true` if it is for the handler.
    #[inline]
    fn begin(&mut self, request: &mut Request<Body>, head: Head) -> bool {
        let Head { framing, persists, upgrade, expects, takes_trailers } = head;
        if let Some(head) = upgrade {
            self.exit = Some(Exit::Upgrade(head));
            return false;
        }
        let (ledger, config) = (self.io.ledger, &self.owner.shared().config);
        ledger.begin_single();
        ledger.set_phase(if self.io.framer.in_body() { Phase::Body } else { Phase::Between });
        let is_last = config.keep_alive.is_zero() || ledger.requests() >= config.max_requests_per_connection;
        let facts = RequestFacts {
            to_head: *request.method() == Method::HEAD,
            is_10: request.version() == Version::HTTP_10,
            persists: persists && !is_last,
        };
        let transaction = self.transaction.insert(Transaction::new(facts, expects, takes_trailers));
        let max_body = self.owner.shared().max_body();
        match admit(request, framing, expects, config, max_body) {
            Ok(awaits_continue) => transaction.awaits_continue = awaits_continue,
            Err(status) => {
                transaction.facts.persists &= status != StatusCode::PAYLOAD_TOO_LARGE;
                let remote = self.exchange.connection().remote();
                report(self.owner, remote, Incident::Rejected { status, reason: "" });
                self.respond(refuse(status, ""));
                return false;
            }
        }
        // RFC 9110 §9.3.7: `*` is the server as a whole.
        if request.uri().path() == "*" {
            self.respond(capabilities());
            return false;
        }
        if framing != Framing::Length(0) {
            *request.body_mut() = transaction.body(framing, &mut self.io, max_body);
        }
        self.exchange.set_request((!facts.is_10).then(|| ledger.requests()));
        true
    }

    /// Calls the handler.
    #[inline(always)]
    fn call(&mut self, request: Request<Body>) {
        let Some(transaction) = &mut self.transaction else { return };
        let mut call = self.spare_call.take().unwrap_or_default();
        let begun = call.as_mut().begin(&self.handler, request, &self.exchange);
        transaction.stage = Stage::Answering(call);
        if let Err(panic) = begun {
            transaction.facts.persists = false;
            self.respond(panicked(&*panic, Some(self.io.ledger)));
        }
    }

    /// Polls the request in flight, until it is answered.
    fn poll_transaction(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Exit>>> {
        while let Some(transaction) = &mut self.transaction {
            transaction.feed(&mut self.io, cx)?;
            match &mut transaction.stage {
                Stage::Answering(call) => match call.as_mut().poll(cx) {
                    Poll::Ready(Ok(Ok(reply))) => self.respond(reply),
                    Poll::Ready(Ok(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                    Poll::Ready(Err(panic)) => {
                        transaction.facts.persists = false;
                        self.respond(panicked(&*panic, Some(self.io.ledger)));
                    }
                    Poll::Pending => {
                        self.io.take_interim();
                        self.io.flush(cx)?;
                        if !transaction.feed_or_read_ahead(&mut self.io, cx)? {
                            return Poll::Pending;
                        }
                    }
                },
                Stage::Sending { .. } => match transaction.poll_send(&mut self.io, cx) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => {
                        // A stream of events waits most of the time.
                        self.free();
                        return Poll::Pending;
                    }
                },
                Stage::Answered => {
                    if !ready!(transaction.poll_rest(&mut self.io, cx))? {
                        self.exit = Some(Exit::Done);
                    }
                    self.transaction = None;
                    self.io.ledger.end_single();
                }
            }
        }
        Poll::Ready(Ok(None))
    }

    /// Writes the head of the response to the request in flight.
    fn respond(&mut self, reply: impl Into<Reply>) {
        let Some(transaction) = &mut self.transaction else { return };
        if let Stage::Answering(call) = std::mem::replace(&mut transaction.stage, Stage::Answered) {
            self.spare_call = Some(call);
        }
        let (ledger, io) = (self.io.ledger, &mut self.io);
        if io.interim.is_open() {
            io.interim.close();
            io.take_interim();
        }
        let mut reply = reply.into();
        if reply.status().is_informational() {
            let status = reply.status().as_u16();
            tracing::error!(status, "a handler's final response has an interim status; answering 500");
            transaction.facts.persists = false;
            reply = refuse(StatusCode::INTERNAL_SERVER_ERROR, "").into();
        }
        transaction.facts.persists &= ledger.signalled() < Signal::Drain && transaction.reads_rest(&mut io.framer);
        if transaction.facts.to_head {
            reply = reply.into_response().into();
        }
        let (out, facts, seconds) = (io.output.gathered(), transaction.facts, ledger.ticks().seconds());
        let written = match &reply {
            Reply::Stored(ready) => response::write_ready(out, ready, facts, seconds),
            Reply::Response(made) => {
                response::write(out, made.status(), made.headers(), made.body().len(), facts, seconds)
            }
        };
        if !written.persists {
            transaction.facts.persists = false;
            self.exit = Some(Exit::Done);
        }
        transaction.stage = match written.content {
            Content::None => Stage::Answered,
            Content::Length(_) if io.output.push_body(reply.body_mut()) => Stage::Answered,
            content => Stage::Sending { body: std::mem::take(reply.body_mut()), content },
        };
        if let Reply::Response(made) = &mut reply
            && made.headers().capacity() <= MAX_SPARE_FIELDS
        {
            self.spare_fields = std::mem::take(made.headers_mut());
            self.spare_fields.clear();
        }
    }
}

/// Checks a request before its handler is called. Returns `true` if the client waits for a 100
/// (Continue). An error is the status of the response.
fn admit<B>(
    request: &mut Request<B>,
    framing: Framing,
    expects: bool,
    config: &Config,
    max_body: u64,
) -> Result<bool, StatusCode> {
    normalise(request, config.normalise_paths)?;
    let awaits_continue = expects && awaits_continue(request)?;
    match framing {
        Framing::Length(length) if length > max_body => Err(StatusCode::PAYLOAD_TOO_LARGE),
        _ => Ok(awaits_continue),
    }
}
