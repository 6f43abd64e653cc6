//! The framing of requests and responses, as pure functions.

use std::time::Duration;

use dunlin_http::{Body, list};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};

/// RFC 2068 §19.7.1.1 defined this field, and servers still send it.
static KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Sets the framing fields of a request by its body, and ignores what they said before.
///
/// A difference between the two would let one request end where another begins.
pub(super) fn set_framing(request: &mut Request<Body>) {
    *request.version_mut() = Version::HTTP_11;
    let len = request.body().len();
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match len {
        Some(0) if !headers.contains_key(CONTENT_LENGTH) => {}
        Some(len) => drop(headers.insert(CONTENT_LENGTH, len.into())),
        None => {
            headers.remove(CONTENT_LENGTH);
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// Refuses a response that two readers could end at different bytes (RFC 9112 §6.3).
pub(super) fn check_response(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(first) = lines.next() else { return Ok(()) };
    if headers.contains_key(CONTENT_LENGTH) {
        return Err("both Transfer-Encoding and Content-Length");
    }
    let is_chunked = first.as_bytes().eq_ignore_ascii_case(b"chunked");
    if lines.next().is_some() || !(is_chunked || is_private_coding(first)) {
        return Err("a transfer coding other than chunked");
    }
    Ok(())
}

/// Returns `true` for a name that no registered transfer coding has, and that no reader could take
/// for `chunked`.
///
/// Such a response ends with the connection (RFC 9112 §6.3). A registered coding would have to be
/// decoded.
fn is_private_coding(coding: &HeaderValue) -> bool {
    const CODINGS: [&str; 8] = ["chunked", "gzip", "deflate", "compress", "identity", "trailers", "br", "zstd"];
    let Ok(name) = coding.to_str() else { return false };
    let name = name.to_ascii_lowercase();
    list::is_token(&name) && !CODINGS.iter().any(|coding| name.contains(coding))
}

/// The time for which the upstream keeps an idle connection, by its `Keep-Alive: timeout=5`.
///
/// It is one second less than the field says, because the upstream counts from when it sent the
/// response.
pub(super) fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&KEEP_ALIVE)?.to_str().ok()?;
    let seconds: u64 = list::split(value).find_map(|part| part.strip_prefix("timeout=")?.trim().parse().ok())?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn ambiguous_responses_are_refused() {
        let check = |lines: &[(&'static str, &'static str)], valid: bool| {
            assert_eq!(check_response(&headers(lines)).is_ok(), valid, "{lines:?}");
        };
        check(&[], true);
        check(&[("content-length", "2")], true);
        check(&[("transfer-encoding", "Chunked")], true);
        check(&[("transfer-encoding", "x-own")], true);
        check(&[("transfer-encoding", "x-own"), ("content-length", "2")], false);
        check(&[("transfer-encoding", "chunked"), ("content-length", "2")], false);
        check(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], false);
        for coding in ["gzip", "gzip, chunked", "xchunked", "\tchunked", "identity", ""] {
            check(&[("transfer-encoding", coding)], false);
        }
    }

    #[test]
    fn the_body_decides_the_framing_of_a_request() {
        let mut request = Request::new(Body::from("abc"));
        *request.headers_mut() = headers(&[("content-length", "9"), ("transfer-encoding", "gzip")]);
        set_framing(&mut request);
        assert_eq!(request.headers(), &headers(&[("content-length", "3")]));
        let mut request = Request::new(Body::empty());
        set_framing(&mut request);
        assert!(request.headers().is_empty());
    }

    #[test]
    fn keep_alive_timeouts() {
        let check = |value: &'static str, seconds: Option<u64>| {
            let timeout = keep_alive_timeout(&headers(&[("keep-alive", value)]));
            assert_eq!(timeout, seconds.map(Duration::from_secs), "{value}");
        };
        check("timeout=5", Some(4));
        check("max=100, timeout=0", Some(0));
        check("max=100", None);
        check("timeout=x", None);
    }
}
