//! One stream, from its request to the last byte of its response.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, Reply, date, hop_by_hop};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, DATE, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::inbound::Inbound;
use super::interim::InterimSender;
use super::received::{DiscardLimit, Received, Unread};
use super::sender;
use crate::Config;
use crate::conn::call::Call;
use crate::conn::http1::may_have_content;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::report::{Incident, report};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::{Connection, Exchange};
use crate::context::Loop;
use crate::framing::length;
use crate::ledger::{InFlight, StreamLedger};

/// A request as h2 returns it, and the handle of its response.
pub(super) type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// The stream of one request. It is reset if this is dropped before its end.
pub(super) struct Stream<H> {
    pub(super) handler: H,
    pub(super) connection: Arc<Connection>,
    pub(super) ledger: Arc<StreamLedger>,
    pub(super) in_flight: InFlight,
    pub(super) owner: Arc<Loop>,
}

/// The bytes of an unread body that are discarded before the response. In most cases that is all of
/// it.
const BEFORE_RESPONSE: DiscardLimit = DiscardLimit { bytes: 64 << 10, time: Duration::from_millis(5) };
/// The bytes that are discarded after it. RFC 9113 §8.1: a server may reset the stream to stop the
/// client. Common clients treat a reset as a failure and drop the response, so it is the last
/// resort.
const AFTER_RESPONSE: DiscardLimit = DiscardLimit { bytes: 4 << 20, time: Duration::from_secs(1) };

/// The outcome of a stream's handler.
enum Outcome {
    Response(Box<Response<Body>>),
    /// The handler failed.
    Failed,
    /// The client has reset the stream.
    Reset,
}

/// The facts about a request that goes to its handler.
struct Admitted {
    length: Option<u64>,
    awaits_continue: bool,
}

// === impl Stream ===

impl<H> Stream<H>
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    /// Answers `request`.
    pub(super) async fn run(self, mut request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let to_head = request.method() == Method::HEAD;
        let expects = request.headers().contains_key(EXPECT);
        let unread = Unread::of(request.body());
        let Self { handler, connection, ledger, owner, in_flight } = self;
        let config = &owner.shared().config;
        let max_body = owner.shared().max_body();
        let response = match admit(&mut request, config, max_body) {
            Err(response) => {
                if !response.status().is_success() {
                    let incident = Incident::Rejected { status: response.status(), reason: "" };
                    report(&owner, connection.remote(), incident);
                }
                unread.leave(Some(request.into_body()));
                response
            }
            Ok(Admitted { length, awaits_continue }) => {
                let sender = awaits_continue.then(Arc::<InterimSender>::default);
                let request = request.map(|stream| match stream.is_end_stream() {
                    true => Body::empty(),
                    false => {
                        let body = Received::new(stream, length, sender.clone(), unread.clone());
                        Inbound::wrap(body, max_body, &ledger)
                    }
                });
                match call(handler, request, Exchange::on_stream(connection, sender), &mut respond, &in_flight).await {
                    Outcome::Response(response) => response,
                    Outcome::Failed => return respond.send_reset(Reason::INTERNAL_ERROR),
                    Outcome::Reset => return,
                }
            }
        };
        if !expects {
            unread.discard(BEFORE_RESPONSE).await;
        }
        send(*response, respond, to_head, &in_flight, &ledger).await;
        drop(in_flight);
        unread.discard(AFTER_RESPONSE).await;
    }
}

/// Calls the handler, and sends interim responses meanwhile.
async fn call<H>(
    handler: H,
    request: Request<Body>,
    exchange: Exchange,
    respond: &mut SendResponse<Bytes>,
    in_flight: &InFlight,
) -> Outcome
where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    let mut call = pin!(Call::default());
    let begun = call.as_mut().begin(&handler, request, &exchange);
    // Clones of the exchange share its sender, so no other one is made later.
    let sender = exchange.into_sender();
    drop(handler);
    let called = poll_fn(|cx| {
        let polled = call.as_mut().poll(cx);
        if let Some(sender) = &sender {
            sender.flush(respond, polled.is_ready(), cx);
        }
        match polled {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        }
    });
    let outcome = match begun {
        Ok(()) => called.await,
        Err(panic) => Some(Err(panic)),
    };
    match outcome {
        None => Outcome::Reset,
        Some(Ok(Ok(reply))) => Outcome::Response(Box::new(Reply::into_response(reply))),
        Some(Ok(Err(_))) => Outcome::Failed,
        Some(Err(panic)) => Outcome::Response(Box::new(panicked(&*panic, Some(in_flight.ledger())))),
    }
}

/// Checks a request. An error is the server's own response.
fn admit(request: &mut Request<RecvStream>, config: &Config, max_body: u64) -> Result<Admitted, Box<Response<Body>>> {
    let refused = |status| Box::new(refuse(status, ""));
    normalise(request, config.normalise_paths).map_err(refused)?;
    let awaits_continue = awaits_continue(request).map_err(refused)?;
    let length = content_length(request.headers()).map_err(refused)?;
    if length.is_some_and(|length| length > max_body) {
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE));
    }
    // RFC 9110 §9.3.7: `*` is the server as a whole.
    if request.uri().path() == "*" {
        return Err(Box::new(capabilities()));
    }
    Ok(Admitted { length, awaits_continue: awaits_continue && !request.body().is_end_stream() })
}

/// Checks that there is at most one length (RFC 9110 §8.6). h2 compares it with the body.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, StatusCode> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => length(value.as_bytes()).map(Some).ok_or(StatusCode::BAD_REQUEST),
        (Some(_), Some(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

async fn send(
    mut response: Response<Body>,
    mut respond: SendResponse<Bytes>,
    to_head: bool,
    in_flight: &InFlight,
    ledger: &StreamLedger,
) {
    if response.status().is_informational() {
        let status = response.status().as_u16();
        tracing::error!(status, "a handler's final response has an interim status; answering 500");
        response = refuse(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    let (mut parts, body) = response.into_parts();
    let has_content = !to_head && may_have_content(parts.status);
    // RFC 9113 §8.2.2: HTTP/2 has no fields of one connection.
    hop_by_hop::remove(&mut parts.headers);
    set_length(&mut parts.headers, parts.status, body.len(), has_content);
    let seconds = in_flight.ledger().ticks().seconds();
    parts.headers.entry(DATE).or_insert_with(|| date_of(seconds));
    let ends = !has_content || body.is_end_stream();
    match respond.send_response(Response::from_parts(parts, ()), ends) {
        Ok(stream) if !ends => sender::send(body, stream, ledger).await,
        Ok(_) => {}
        // The stream was reset, or HTTP/2 does not allow one of the fields.
        Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
    }
}

/// Sets the length if it is known (RFC 9110 §8.6).
fn set_length(headers: &mut HeaderMap, status: StatusCode, length: Option<u64>, has_content: bool) {
    match length {
        _ if status == StatusCode::NO_CONTENT => {
            headers.remove(CONTENT_LENGTH);
        }
        Some(length) if has_content => {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        // The length that GET would have. A 304 has it only from the handler. For HEAD, the
        // handler's length has precedence.
        Some(length) if length > 0 && status != StatusCode::NOT_MODIFIED => {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        _ => {}
    }
}

/// Returns the `Date` of a second since 1970. It is formatted once per second.
fn date_of(seconds: u64) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    LAST.with_borrow_mut(|(second, value)| {
        if *second != seconds || value.is_empty() {
            (*second, *value) = (seconds, date::format(UNIX_EPOCH + Duration::from_secs(seconds)));
        }
        value.clone()
    })
}
