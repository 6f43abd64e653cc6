//! The header of an encoded response (RFC 9110 §8, §12.5.5, §14, §15), and responses that are not
//! encoded.

use bytes::Bytes;
use dunlin_http::Body;
use http::{HeaderMap, Request, Response};

use crate::support::*;

fn sent(status: u16, fields: &[(&'static str, &str)], body: Body) -> Response<Body> {
    let mut response = plain(body);
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in fields {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn field<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn an_encoded_response_has_no_field_of_the_identity() {
    let fields = [
        ("etag", "\"v1\""),
        ("content-length", "5000"),
        ("accept-ranges", "bytes"),
        ("content-digest", "sha-256=:AAAA:"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("vary", "origin"),
        ("cache-control", "max-age=5"),
    ];
    for stream in [false, true] {
        let body = if stream { pieces(&text(5000), 700) } else { text(5000).into() };
        let response = respond(&eager(), request("br"), sent(200, &fields, body)).await;
        let headers = response.headers().clone();
        assert_eq!(field(&headers, "content-encoding"), Some("br"));
        assert_eq!(field(&headers, "etag"), Some("W/\"v1\""), "RFC 9110 §8.8.3.3");
        let vary: Vec<_> = headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["origin", "accept-encoding"]);
        for gone in ["accept-ranges", "content-digest", "repr-digest"] {
            assert_eq!(field(&headers, gone), None, "{gone}");
        }
        assert_eq!(field(&headers, "cache-control"), Some("max-age=5"));
        let length = content(response).await.len().to_string();
        assert_eq!(field(&headers, "content-length"), (!stream).then_some(&*length));
    }
}

#[tokio::test]
async fn identity_keeps_its_header_and_varies() {
    let fields = [("etag", "\"v1\""), ("content-length", "5000"), ("accept-ranges", "bytes")];
    let response = respond(&eager(), request("identity"), sent(200, &fields, text(5000).into())).await;
    for (name, value) in fields {
        assert_eq!(field(response.headers(), name), Some(value));
    }
    assert_eq!(field(response.headers(), "vary"), Some("accept-encoding"));
}

#[tokio::test]
async fn content_that_gets_no_shorter_is_sent_in_identity() {
    let response = respond(&eager(), request("gzip"), sent(200, &[("etag", "\"v1\"")], noise(5000).into())).await;
    assert_eq!(field(response.headers(), "etag"), Some("\"v1\""));
    assert_eq!(field(response.headers(), "vary"), Some("accept-encoding"));
    assert_eq!(content(response).await, noise(5000));
}

#[tokio::test]
async fn responses_that_are_not_encoded() {
    type Case = (u16, &'static [(&'static str, &'static str)], Option<&'static str>);
    let cases: [Case; 9] = [
        (204, &[], None),
        (205, &[], None),
        (200, &[("content-encoding", "gzip")], Some("accept-encoding")),
        (200, &[("content-encoding", "identity")], None),
        (200, &[("cache-control", "public, No-Transform")], None),
        (200, &[("content-range", "bytes */5000")], None),
        (206, &[("content-range", "bytes 0-4999/6000")], Some("accept-encoding")),
        (206, &[("content-type", "multipart/byteranges; boundary=x")], Some("accept-encoding")),
        (206, &[("content-type", "image/png")], None),
    ];
    for (status, fields, vary) in cases {
        let mut sent = sent(status, fields, text(5000).into());
        sent.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
        let before = sent.headers().clone();
        let response = respond(&eager(), request("gzip"), sent).await;
        let (mut parts, body) = response.into_parts();
        assert_eq!(field(&parts.headers, "vary"), vary, "{status} {fields:?}");
        parts.headers.remove("vary");
        assert_eq!(parts.headers, before, "{status} {fields:?}");
        assert_eq!(body.as_bytes(), Some(&text(5000)[..]));
    }
    let small = respond(&dunlin_compress::CompressLayer::default(), request("gzip"), plain(text(255))).await;
    assert_eq!(small.headers().len(), 1);
    let empty = respond(&eager(), request("gzip"), plain(Bytes::new())).await;
    assert_eq!(empty.headers().len(), 1);
}

#[tokio::test]
async fn errors_are_encoded_too() {
    let response = respond(&eager(), request("gzip"), sent(404, &[], text(5000).into())).await;
    assert_eq!((response.status().as_u16(), field(response.headers(), "content-encoding")), (404, Some("gzip")));
}

#[tokio::test]
async fn head_has_the_fields_of_get() {
    let ask_head = |accept: &str, sent| {
        let request = Request::head("/").header("accept-encoding", accept).body(Body::empty()).unwrap();
        let layer = dunlin_compress::CompressLayer::default();
        async move { respond(&layer, request, sent).await }
    };
    let fields = [("etag", "\"v1\""), ("content-length", "5000"), ("accept-ranges", "bytes")];
    for body in [Body::empty(), text(5000).into(), pieces(&text(5000), 100)] {
        let response = ask_head("zstd", sent(200, &fields, body)).await;
        let headers = response.headers();
        assert_eq!(field(headers, "content-encoding"), Some("zstd"));
        assert_eq!(field(headers, "etag"), Some("W/\"v1\""));
        assert_eq!(field(headers, "vary"), Some("accept-encoding"));
        assert_eq!((field(headers, "content-length"), field(headers, "accept-ranges")), (None, None));
        assert_eq!(response.body().len(), None, "RFC 9110 §8.6: it must not become zero");
        assert_eq!(content(response).await, "");
    }
    let small = ask_head("zstd", sent(200, &[("content-length", "20")], Body::empty())).await;
    assert_eq!((field(small.headers(), "content-length"), field(small.headers(), "vary")), (Some("20"), None));
}

#[tokio::test]
async fn rfc_9110_15_4_5_a_304_has_the_fields_of_the_200() {
    #[track_caller]
    fn check(has: &str, accept: &str, response: &Response<Body>, expect: &str) {
        assert_eq!(field(response.headers(), "etag"), Some(expect), "{has} {accept}");
        assert_eq!(field(response.headers(), "vary"), Some("accept-encoding"), "{has} {accept}");
        assert_eq!(field(response.headers(), "content-encoding"), None);
    }
    for (has, accept, expect) in [
        ("W/\"v1\"", "gzip", "W/\"v1\""),
        ("W/\"v1\"", "identity", "W/\"v1\""),
        ("\"v0\", W/\"v1\"", "gzip", "W/\"v1\""),
        ("\"v1\"", "gzip", "\"v1\""),
        ("*", "gzip", "W/\"v1\""),
        ("*", "identity", "\"v1\""),
    ] {
        let mut sent = Response::new(Body::empty());
        *sent.status_mut() = http::StatusCode::NOT_MODIFIED;
        sent.headers_mut().insert("etag", "\"v1\"".parse().unwrap());
        let mut request = request(accept);
        request.headers_mut().insert("if-none-match", has.parse().unwrap());
        check(has, accept, &respond(&eager(), request, sent).await, expect);
    }
    let image = sent(304, &[("content-type", "image/png")], Body::empty());
    assert_eq!(field(respond(&eager(), request("gzip"), image).await.headers(), "vary"), None);
}
