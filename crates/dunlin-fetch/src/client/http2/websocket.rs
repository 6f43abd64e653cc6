//! WebSocket over HTTP/2 (RFC 8441): an extended CONNECT instead of an `Upgrade`.

use std::future::poll_fn;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dunlin_http::Body;
use h2::ext::Protocol;
use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use sha1::{Digest, Sha1};

use super::body::Http2Body;
use super::connection::Slot;
use super::head;
use super::tunnel::Http2Tunnel;
use crate::Error;
use crate::client::options::RequestOptions;
use crate::client::pending::Pending;
use crate::client::send::{Failed, Fate, Received, Upgraded};

/// The text behind a key (RFC 6455 §4.2.2).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns `true` if the request can go over this connection: it asks for WebSocket alone, and the
/// origin has announced extended CONNECT.
pub(super) fn is_possible(slot: &Slot, request: &Request<Body>) -> bool {
    let asks = |name: &HeaderValue| name.as_bytes().eq_ignore_ascii_case(b"websocket");
    *request.method() == Method::GET
        && request.headers().get(UPGRADE).is_some_and(asks)
        && request.headers().contains_key(SEC_WEBSOCKET_KEY)
        && slot.connection.sender.is_extended_connect_protocol_enabled()
}

/// Opens a tunnel. The response is the one that a client of HTTP/1.1 expects.
pub(super) async fn open(
    slot: Slot,
    request: Request<Body>,
    scheme: Scheme,
    options: RequestOptions,
    pending: Option<Pending>,
) -> Result<Received, Failed> {
    let invalid = || Failed::sent(Error::Protocol("the Host of the request is no authority".into()));
    let mut head = head::of(&request, scheme).ok_or_else(invalid)?;
    *head.method_mut() = Method::CONNECT;
    head.extensions_mut().insert(Protocol::from_static("websocket"));
    head.headers_mut().remove(CONTENT_LENGTH);
    let key = head.headers_mut().remove(SEC_WEBSOCKET_KEY);
    let mut sender = slot.connection.sender.clone();
    let exchange = async {
        if let Err(error) = poll_fn(|cx| sender.poll_ready(cx)).await {
            slot.connection.retire();
            let error = Error::Protocol(error.into());
            return Err(Failed { error, fate: Fate::Unsent(Box::new(request)) });
        }
        let failed = |error: h2::Error| Failed::sent(Error::Protocol(error.into()));
        let (response, stream) = sender.send_request(head, false).map_err(failed)?;
        Ok((response.await.map_err(failed)?, stream))
    };
    let late = |_| Failed::sent(Error::Timeout(options.response_timeout));
    let (response, stream) = tokio::time::timeout(options.response_timeout, exchange).await.map_err(late)??;
    let (mut parts, incoming) = response.into_parts();
    parts.version = Version::HTTP_2;
    if !parts.status.is_success() {
        let body = Http2Body::new(incoming, &parts.headers, None, slot, pending, options.read_timeout);
        let response = Response::from_parts(parts, Body::new(body));
        return Ok(Received { response, upgraded: None });
    }
    parts.status = StatusCode::SWITCHING_PROTOCOLS;
    parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Some(accept) = key.and_then(|key| HeaderValue::try_from(accept(key.as_bytes())).ok()) {
        parts.headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let tunnel = Http2Tunnel::new(stream, incoming, slot);
    let response = Response::from_parts(parts, Body::empty());
    Ok(Received { response, upgraded: Some(Upgraded::http2(tunnel, pending)) })
}

/// The answer to a key (RFC 6455 §4.2.2).
fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_to_the_key_of_the_rfc() {
        // RFC 6455 §1.3.
        assert_eq!(super::accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
