//! Responses that the handler encoded. Every client gets a coding that it accepts.

use dunlin_compress::CompressLayer;
use dunlin_http::negotiate::Coding;
use http::{Method, Response, StatusCode};

use crate::support::*;

fn coded(coding: Coding) -> Response<dunlin_http::Body> {
    Response::builder()
        .header("content-type", "image/png")
        .header("content-encoding", coding.as_str())
        .header("etag", "\"a\"")
        .header("accept-ranges", "bytes")
        .body(dunlin_http::Body::from(encode(coding, &text(200_000))))
        .unwrap()
}

#[tokio::test]
async fn a_client_that_does_not_accept_the_coding_gets_it_decoded() {
    let layer = CompressLayer::default();
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        for accept in ["identity", "", "deflate", "*;q=0"] {
            let (parts, body) = coded(coding).into_parts();
            let bytes = body.try_into_bytes().unwrap_or_default();
            for body in [bytes.clone().into(), pieces(&bytes, 1000)] {
                let response = respond(&layer, request(accept), Response::from_parts(parts.clone(), body)).await;
                for (name, value) in [("vary", Some("accept-encoding")), ("etag", Some("W/\"a\""))] {
                    assert_eq!(response.headers().get(name).map(|value| value.to_str().unwrap()), value, "{name}");
                }
                for name in ["content-encoding", "content-length", "accept-ranges"] {
                    assert!(!response.headers().contains_key(name), "{name}");
                }
                assert!(content(response).await == text(200_000), "{coding} {accept}");
            }
        }
        let unchanged = respond(&layer, request(coding.as_str()), coded(coding)).await;
        assert_eq!(unchanged.headers()["content-encoding"], coding.as_str());
        assert_eq!(
            (&unchanged.headers()["vary"], &unchanged.headers()["etag"]),
            (&"accept-encoding".parse().unwrap(), &"\"a\"".parse().unwrap())
        );
        assert!(content(unchanged).await == encode(coding, &text(200_000)));
    }
}

#[tokio::test]
async fn head_has_the_fields_of_get() {
    let mut head = request("identity");
    *head.method_mut() = Method::HEAD;
    let (parts, _) = coded(Coding::Gzip).into_parts();
    let response =
        respond(&CompressLayer::default(), head, Response::from_parts(parts, dunlin_http::Body::empty())).await;
    assert!(!response.headers().contains_key("content-encoding") && response.headers().contains_key("vary"));
}

#[tokio::test]
async fn content_that_cannot_be_decoded_is_passed_on() {
    let layer = CompressLayer::default();
    let with = |name: &'static str, value: &'static str, status: StatusCode| {
        let mut response = coded(Coding::Gzip);
        response.headers_mut().insert(name, value.parse().unwrap());
        *response.status_mut() = status;
        response
    };
    for sent in [
        with("cache-control", "no-transform", StatusCode::OK),
        with("content-encoding", "gzip, br", StatusCode::OK),
        with("content-encoding", "compress", StatusCode::OK),
        with("content-range", "bytes 0-9/100", StatusCode::PARTIAL_CONTENT),
    ] {
        let response = respond(&layer, request("identity"), sent).await;
        assert!(response.headers().contains_key("content-encoding"));
        assert!(content(response).await == encode(Coding::Gzip, &text(200_000)));
    }
}

#[tokio::test]
async fn invalid_content_fails_the_body() {
    let mut sent = coded(Coding::Gzip);
    let bytes = encode(Coding::Gzip, &text(200_000));
    *sent.body_mut() = bytes[..bytes.len() / 2].to_vec().into();
    let response = respond(&CompressLayer::default(), request("identity"), sent).await;
    assert!(response.into_body().collect(usize::MAX).await.is_err());
}
