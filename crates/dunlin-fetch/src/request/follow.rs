//! The following of redirects (RFC 9110 §15.4).

use dunlin_http::Body;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, COOKIE, HOST,
    LOCATION, PROXY_AUTHORIZATION, REFERER, TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Uri};

use crate::client::Address;
use crate::text::{read, redirect};
use crate::{Client, Error};

/// Sends a request, and follows at most `limit` redirects. Returns the last response and its URL.
pub(super) async fn send(
    client: &Client,
    mut request: Request<Body>,
    limit: usize,
) -> Result<(Response<Body>, Uri), Error> {
    for left in (0..=limit).rev() {
        let url = request.uri().clone();
        let again = (limit > 0).then(|| copy(&request));
        let response = client.request(request).await?;
        let Some((mut next, has_body)) = again.filter(|_| is_redirect(&response)) else { return Ok((response, url)) };
        if left == 0 {
            break;
        }
        let (parts, body) = response.into_parts();
        read::drain(body).await;
        let target = redirect::location(&url, &parts.headers)?;
        if becomes_get(parts.status, next.method()) {
            *next.method_mut() = Method::GET;
            *next.body_mut() = Body::empty();
            for name in
                [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE, TRANSFER_ENCODING]
            {
                next.headers_mut().remove(name);
            }
        } else if !has_body {
            return Err(Error::Redirect("the body of the request cannot be sent again"));
        }
        next.headers_mut().remove(HOST);
        if Address::of(&url)?.0 != Address::of(&target)?.0 {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, REFERER] {
                next.headers_mut().remove(name);
            }
        }
        *next.uri_mut() = target;
        request = next;
    }
    Err(Error::Redirect("there are too many"))
}

fn is_redirect(response: &Response<Body>) -> bool {
    matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && response.headers().contains_key(LOCATION)
}

/// RFC 9110 §15.4: POST becomes GET after 301 and 302, and all but HEAD after 303.
fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        303 => *method != Method::HEAD,
        301 | 302 => *method == Method::POST,
        _ => false,
    }
}

/// Copies a request, and its body if that is in memory. `false` if it is not.
fn copy(request: &Request<Body>) -> (Request<Body>, bool) {
    let bytes = request.body().as_bytes().map(<[u8]>::to_vec);
    let has_body = bytes.is_some() || request.body().is_empty();
    let mut copy = Request::new(bytes.map_or_else(Body::empty, Body::from));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    (copy, has_body)
}
