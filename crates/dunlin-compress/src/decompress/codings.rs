//! The codings of a request, and the response to unknown ones.

use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, Problem, list};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// The limit of codings that are applied to one content. No client needs more than one.
const MAX_CODINGS: usize = 3;

/// The error of a request with a coding that is not supported.
pub(super) struct Unsupported;

/// The codings of the content, in the order in which they were applied.
pub(super) fn codings(headers: &HeaderMap) -> Result<Vec<Coding>, Unsupported> {
    if headers.get_all(CONTENT_ENCODING).iter().any(|line| line.to_str().is_err()) {
        return Err(Unsupported);
    }
    let names = list::elements(headers, &CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"));
    let codings: Option<Vec<_>> = names.map(Coding::from_token).take(MAX_CODINGS + 1).collect();
    codings.filter(|codings| codings.len() <= MAX_CODINGS).ok_or(Unsupported)
}

// === impl Unsupported ===

impl Unsupported {
    /// RFC 9110 §15.5.16: a 415 because of the coding should name the supported ones in
    /// `Accept-Encoding`.
    pub(super) fn into_response(self) -> Response<Body> {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            .detail("the Content-Encoding of the request is not supported; Accept-Encoding names the supported ones")
            .header(ACCEPT_ENCODING, HeaderValue::from_static("zstd, br, gzip"))
            .into_response()
    }
}
