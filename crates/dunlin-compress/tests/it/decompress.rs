//! Requests with encoded content (RFC 9110 §8.4, §15.5.16).

use std::convert::Infallible;

use bytes::Bytes;
use dunlin_compress::DecompressLayer;
use dunlin_http::negotiate::Coding;
use dunlin_http::{Body, BodyError};
use http::{Request, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::*;

const LIMIT: usize = 100_000;

/// Posts to a service that responds with the decoded content, or with the status of its error.
async fn post(coding: &str, body: Body) -> Response<Body> {
    let echo = service_fn(|request: Request<Body>| async {
        assert!(!request.headers().contains_key("content-encoding"));
        let encoded = request.headers().contains_key("x-encoded");
        assert!(!encoded || !request.headers().contains_key("content-length"));
        Ok::<_, Infallible>(match request.into_body().collect(usize::MAX).await {
            Ok(content) => Response::new(Body::from(content)),
            Err(error) => {
                let mut response = Response::new(Body::from(error.to_string()));
                *response.status_mut() = error.status();
                response
            }
        })
    });
    let request = Request::post("/").header("content-encoding", coding).header("content-length", "1");
    let request = if coding == "identity" || body.is_empty() { request } else { request.header("x-encoded", "1") };
    DecompressLayer::new(LIMIT as u64).layer(echo).oneshot(request.body(body).unwrap()).await.unwrap()
}

#[tokio::test]
async fn content_is_decoded() {
    for coding in Coding::ALL {
        for size in [1, 100, 16_384, 65_537, LIMIT] {
            let encoded = Bytes::from(encode(coding, &text(size)));
            for body in [encoded.clone().into(), pieces(&encoded, 1.max(encoded.len() / 7))] {
                let response = post(coding.as_str(), body).await;
                assert_eq!(response.status(), 200, "{coding} {size}");
                assert!(content(response).await == text(size), "{coding} {size}");
            }
        }
    }
    assert_eq!(content(post("identity", text(50).into()).await).await, text(50));
    assert_eq!(content(post("gzip", Body::empty()).await).await, "");
}

#[tokio::test]
async fn codings_are_removed_in_reverse_order() {
    let twice = encode(Coding::Brotli, &encode(Coding::Gzip, &text(5000)));
    assert!(content(post("X-Gzip, identity, br", twice.into()).await).await == text(5000));
}

#[tokio::test]
async fn content_may_have_several_members() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let both = [encode(coding, &text(500)), encode(coding, b"more")].concat();
        assert_eq!(content(post(coding.as_str(), both.into()).await).await, [&text(500)[..], b"more"].concat());
    }
}

#[tokio::test]
async fn decoded_bytes_are_limited() {
    for coding in Coding::ALL {
        for size in [LIMIT + 1, 50 << 20] {
            let bomb = encode(coding, &vec![0; size]);
            assert_eq!(post(coding.as_str(), bomb.into()).await.status(), 413, "{coding}");
        }
    }
}

#[tokio::test]
async fn invalid_content_gets_400() {
    for coding in Coding::ALL {
        let mut cut = encode(coding, &text(5000));
        cut.truncate(cut.len() - 6);
        for bad in [cut.into(), Body::from("invalid in every coding")] {
            assert_eq!(post(coding.as_str(), bad).await.status(), 400, "{coding}");
        }
    }
}

#[tokio::test]
async fn unknown_codings_get_415_and_the_supported_ones() {
    for coding in ["compress", "gzip, deflate", "gzip, gzip, gzip, gzip"] {
        let response = post(coding, text(100).into()).await;
        assert_eq!(response.status(), 415, "{coding}");
        assert_eq!(response.headers()["accept-encoding"], "zstd, br, gzip");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn the_error_of_the_inner_body_is_found() {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(Ok(Frame::data(encode(Coding::Gzip, &text(500)).into()))).unwrap();
    sender.send(Err(BodyError::Timeout.into())).unwrap();
    assert_eq!(post("gzip", Body::new(Sent(receiver))).await.status(), 408);
}

#[tokio::test]
async fn an_extractor_of_axum_responds_with_413_to_a_body_over_the_limit() {
    let length = async |content: Bytes| content.len().to_string();
    let app = axum::Router::new().route("/", axum::routing::post(length)).layer(DecompressLayer::new(LIMIT as u64));
    for coding in Coding::ALL {
        for (size, status) in [(LIMIT, 200), (LIMIT + 1, 413)] {
            let body = axum::body::Body::from(encode(coding, &text(size)));
            let request = Request::post("/").header("content-encoding", coding.as_str()).body(body).unwrap();
            assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status, "{coding} {size}");
        }
    }
}
