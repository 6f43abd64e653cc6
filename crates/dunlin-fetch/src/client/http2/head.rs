//! The head of a request as HTTP/2 has it (RFC 9113 §8.2, §8.3).

use dunlin_http::hop_by_hop;
use http::header::{HOST, TE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri};

/// Makes the head of a request from one whose target is a path, and whose `Host` is set.
///
/// Fields of HTTP/1.1 connections are removed. `TE: trailers` stays (RFC 9113 §8.2.2).
pub(super) fn of<B>(request: &Request<B>, scheme: Scheme) -> Option<Request<()>> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    let headers = head.headers_mut();
    *headers = request.headers().clone();
    let takes_trailers = headers.get(TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    hop_by_hop::remove(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let authority: Authority = headers.remove(HOST)?.to_str().ok()?.parse().ok()?;
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path);
    *head.uri_mut() = uri.build().ok()?;
    Some(head)
}

#[cfg(test)]
mod tests {
    use http::header::{CONNECTION, TRANSFER_ENCODING};

    use super::*;

    #[test]
    fn heads() {
        let mut request = Request::new(());
        *request.uri_mut() = "/a?b".parse().unwrap();
        let fields = [(HOST, "a.example:8080"), (CONNECTION, "te, x-own"), (TE, "trailers"), (TRANSFER_ENCODING, "x")];
        for (name, value) in fields {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        request.headers_mut().insert("x-own", HeaderValue::from_static("1"));
        let head = of(&request, Scheme::HTTP).unwrap();
        assert_eq!(head.uri(), "http://a.example:8080/a?b");
        let names: Vec<_> = head.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["te"]);
        request.headers_mut().remove(HOST);
        assert!(of(&request, Scheme::HTTP).is_none());
    }
}
