//! Requests that the proxy itself responds to: `Max-Forwards: 0` (RFC 9110 §7.6.2), and CONNECT.

use dunlin_http::{Body, Problem};
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, COOKIE, MAX_FORWARDS, PROXY_AUTHORIZATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};

/// Responds to a TRACE or OPTIONS that may go no further, and decrements `Max-Forwards` of others.
///
/// Other methods ignore the field.
pub(super) fn decrement<B>(request: &mut Request<B>) -> Option<Response<Body>> {
    if *request.method() != Method::TRACE && *request.method() != Method::OPTIONS {
        return None;
    }
    let left: u64 = request.headers().get(MAX_FORWARDS)?.to_str().ok()?.trim().parse().ok()?;
    if let Some(remaining) = left.checked_sub(1) {
        request.headers_mut().insert(MAX_FORWARDS, remaining.into());
        return None;
    }
    Some(if *request.method() == Method::TRACE { trace(request) } else { options() })
}

/// Refuses CONNECT, which a gateway cannot forward.
pub(super) fn refuse_connect() -> Response<Body> {
    Problem::new(StatusCode::NOT_IMPLEMENTED).detail("this gateway opens no tunnels").into_response()
}

/// The methods. TRACE is not among them, because a server may refuse it before the proxy.
fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(ALLOW, methods);
    response
}

/// The request as it was received (RFC 9110 §9.3.8), without credentials and cookies.
fn trace<B>(request: &Request<B>) -> Response<Body> {
    let mut echo = format!("{} {} {:?}\r\n", request.method(), request.uri(), request.version()).into_bytes();
    let secret = [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE];
    for (name, value) in request.headers().iter().filter(|(name, _)| !secret.contains(name)) {
        echo.extend_from_slice(name.as_str().as_bytes());
        echo.extend_from_slice(b": ");
        echo.extend_from_slice(value.as_bytes());
        echo.extend_from_slice(b"\r\n");
    }
    echo.extend_from_slice(b"\r\n");
    let mut response = Response::new(Body::from(echo));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response
}
