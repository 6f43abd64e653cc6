//! One stream, from its request to the last byte of its answer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use dunlin_http::{Body, BoxError, Handler, date};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, EXPECT, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::interim::Voice;
use super::received::{Received, Unread};
use super::sender;
use crate::conn::call::Call;
use crate::conn::http1::may_have_content;
use crate::conn::inbound::Inbound;
use crate::conn::refusal::{capabilities, panicked, refuse};
use crate::conn::request::{awaits_continue, normalise};
use crate::conn::state::UnderWay;
use crate::conn::{Connection, Exchange};
use crate::framing::length;

/// A request, and what it is answered by.
pub(super) type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// What concerns one connection of HTTP/1.1 (RFC 9113 §8.2.2), and is none of HTTP/2's.
static HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How much, and for how long, what a client sends that nobody reads is thrown away before it has its answer: what is
/// right behind the head is most often all of it.
const BEFORE: (usize, Duration) = (64 << 10, Duration::from_millis(5));
/// And when it has it. RFC 9113 §8.1 has a server reset the stream for the client to stop, but common clients take that
/// for a failure, and throw the answer away; so it is the last resort.
const AFTER: (usize, Duration) = (4 << 20, Duration::from_secs(1));

/// Answers `request`. Whoever drops this resets the stream.
pub(super) async fn run<H>(
    mut request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    handler: H,
    connection: Arc<Connection>,
    under_way: UnderWay,
    max_body: u64,
) where
    H: Handler<Exchange, Error: Into<BoxError>>,
{
    let to_head = request.method() == Method::HEAD;
    let expects = request.headers().contains_key(EXPECT);
    let unread = Unread::of(request.body());
    let response = match admit(&mut request, max_body) {
        Err(response) => {
            unread.leave(Some(request.into_body()));
            *response
        }
        Ok(Admitted { length, awaits_continue }) => {
            let sender = awaits_continue.then(Arc::<Voice>::default);
            let state = under_way.state();
            let request = request.map(|stream| match stream.is_end_stream() {
                true => Body::empty(),
                false => Inbound::wrap(Received::new(stream, length, sender.clone(), unread.clone()), max_body, state),
            });
            let exchange = Exchange::on_stream(connection, sender);
            let mut call = pin!(Call::default());
            let begun = call.as_mut().begin(&handler, request, &exchange);
            let voice = exchange.into_sender();
            drop(handler);
            let called = poll_fn(|cx| {
                let polled = call.as_mut().poll(cx);
                if let Some(voice) = &voice {
                    voice.speak(&mut respond, polled.is_ready(), cx);
                }
                match polled {
                    Poll::Ready(done) => Poll::Ready(Some(done)),
                    Poll::Pending => given_up(&mut respond, cx).map(|()| None),
                }
            });
            let outcome = match begun {
                Ok(()) => called.await,
                Err(panic) => Some(Err(panic)),
            };
            match outcome {
                None => return,
                Some(Ok(Ok(reply))) => reply.into_response(),
                Some(Ok(Err(_))) => return respond.send_reset(Reason::INTERNAL_ERROR),
                Some(Err(panic)) => panicked(&*panic, Some(state)),
            }
        }
    };
    if !expects {
        unread.discard(BEFORE).await;
    }
    answer(response, respond, to_head, &under_way).await;
    drop(under_way);
    unread.discard(AFTER).await;
}

/// Whether the client has reset the stream.
fn given_up(respond: &mut SendResponse<Bytes>, cx: &mut Context<'_>) -> Poll<()> {
    respond.poll_reset(cx).map(drop)
}

/// What is known of a request that a service is called with.
struct Admitted {
    length: Option<u64>,
    awaits_continue: bool,
}

/// What the server itself answers, if it is for it to do.
fn admit(request: &mut Request<RecvStream>, max_body: u64) -> Result<Admitted, Box<Response<Body>>> {
    let refused = |status| Box::new(refuse(status, ""));
    normalise(request).map_err(refused)?;
    let awaits_continue = awaits_continue(request).map_err(refused)?;
    let length = content_length(request.headers()).map_err(refused)?;
    if length.is_some_and(|length| length > max_body) {
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE));
    }
    // RFC 9110 §9.3.7: `*` asks what the server as a whole can do.
    if request.uri().path() == "*" {
        return Err(Box::new(capabilities()));
    }
    Ok(Admitted { length, awaits_continue: awaits_continue && !request.body().is_end_stream() })
}

/// RFC 9110 §8.6: there is one length, or none. h2 sees to it that so much comes.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, StatusCode> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(told), None) => length(told.as_bytes()).map(Some).ok_or(StatusCode::BAD_REQUEST),
        (Some(_), Some(_)) => Err(StatusCode::BAD_REQUEST),
    }
}

async fn answer(mut response: Response<Body>, mut respond: SendResponse<Bytes>, to_head: bool, under_way: &UnderWay) {
    if response.status().is_informational() {
        tracing::error!(status = response.status().as_u16(), "a service answered with an interim status");
        response = refuse(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    let (mut parts, body) = response.into_parts();
    let state = under_way.state();
    let has_content = !to_head && may_have_content(parts.status);
    strip(&mut parts.headers);
    say_length(&mut parts.headers, parts.status, body.len(), has_content);
    let dated = parts.headers.entry(DATE);
    dated.or_insert_with(|| date_of(state.ticks.seconds()));
    let ends = !has_content || body.is_end_stream();
    match respond.send_response(Response::from_parts(parts, ()), ends) {
        Ok(stream) if !ends => sender::send(body, stream, state).await,
        Ok(_) => {}
        // It has been reset, or a field is none that HTTP/2 has.
        Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
    }
}

/// Takes away what concerns one connection of HTTP/1.1.
pub(super) fn strip(headers: &mut HeaderMap) {
    if let Some(named) = headers.remove(CONNECTION) {
        for name in named.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// RFC 9110 §8.6: where the length is known it is said, and as it is.
fn say_length(headers: &mut HeaderMap, status: StatusCode, length: Option<u64>, has_content: bool) {
    match length {
        _ if status == StatusCode::NO_CONTENT => {
            headers.remove(CONTENT_LENGTH);
        }
        Some(length) if has_content => {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        // What GET would be answered with: a 304 does not say what is not known, and of HEAD the maker may know more.
        Some(length) if length > 0 && status != StatusCode::NOT_MODIFIED => {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        _ => {}
    }
}

/// The date of this second since 1970; it is made once a second.
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
