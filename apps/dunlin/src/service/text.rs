//! `text` routes: bytes and a head that are made once.

use bytes::Bytes;
use dunlin_http::conditional::{ETag, Outcome, Validators};
use dunlin_http::{Body, BodyId, Problem};
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

/// A fixed answer. It lives as long as the process does, so that to give it is to copy a head of two fields: no count of
/// references, which the loops would contend for.
#[derive(Clone, Debug)]
pub(crate) struct TextEndpoint {
    bytes: Bytes,
    id: BodyId,
    headers: HeaderMap,
    validators: Validators,
}

// === impl TextEndpoint ===

impl TextEndpoint {
    pub(crate) fn new(text: &str, content_type: &HeaderValue) -> Self {
        let etag = ETag::strong(&format!("{:016x}", fingerprint(text.as_bytes())));
        let mut headers = HeaderMap::with_capacity(2);
        let content_type = content_type.to_str().map(|text| HeaderValue::from_static(text.to_owned().leak()));
        headers.insert(CONTENT_TYPE, content_type.unwrap_or(HeaderValue::from_static("text/plain")));
        if let Some(etag) = &etag {
            headers.insert(ETAG, HeaderValue::from_static(etag.to_string().leak()));
        }
        let validators = Validators { etag, last_modified: None };
        Self { bytes: Bytes::from_static(text.to_owned().leak().as_bytes()), id: BodyId::new(), headers, validators }
    }

    /// Whether a client may be answered with another coding than identity.
    pub(crate) fn is_worth_encoding(&self, config: &dunlin_compress::Config) -> bool {
        let media = dunlin_http::media_type::MediaType::of(&self.headers);
        self.bytes.len() as u64 >= config.min_size && media.is_some_and(|media| config.types.contains(media.essence()))
    }

    pub(crate) fn respond(&self, method: &Method, request: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Body::identified(self.bytes.clone(), self.id));
        *response.headers_mut() = self.headers.clone();
        if !Validators::concerned(request) {
            return response;
        }
        match self.validators.evaluate(method, request) {
            Outcome::Proceed => {}
            Outcome::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                *response.body_mut() = Body::empty();
                response.headers_mut().remove(CONTENT_TYPE);
            }
            Outcome::Failed => return Problem::new(StatusCode::PRECONDITION_FAILED).into_response(),
        }
        response
    }
}

/// FNV-1a: the text comes from the configuration, so it need not withstand an attacker; and it is the same for every
/// process that serves the same text.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_text_is_not_sent_again() {
        let text = TextEndpoint::new("Hello, World!", &HeaderValue::from_static("text/plain; charset=utf-8"));
        let first = text.respond(&Method::GET, &HeaderMap::new());
        assert_eq!(first.body().as_bytes(), Some(&b"Hello, World!"[..]));
        let etag = first.headers()[ETAG].clone();
        let mut request = HeaderMap::new();
        request.insert("if-none-match", etag.clone());
        let again = text.respond(&Method::GET, &request);
        assert_eq!((again.status(), &again.headers()[ETAG]), (StatusCode::NOT_MODIFIED, &etag));
        assert!(again.body().is_empty());
        request.clear();
        request.insert("if-match", HeaderValue::from_static("\"other\""));
        assert_eq!(text.respond(&Method::GET, &request).status(), StatusCode::PRECONDITION_FAILED);
    }
}
