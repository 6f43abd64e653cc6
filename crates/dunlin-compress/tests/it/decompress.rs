//! Requests whose content is encoded (RFC 9110 §8.4, §15.5.16).

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

/// Sends the content back as the service read it, or the status of why it could not.
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
async fn content_comes_decoded() {
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
async fn codings_are_undone_in_reverse() {
    let twice = encode(Coding::Brotli, &encode(Coding::Gzip, &text(5000)));
    assert!(content(post("X-Gzip, identity, br", twice.into()).await).await == text(5000));
}

#[tokio::test]
async fn members_follow_each_other() {
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
async fn what_is_no_such_content_is_400() {
    for coding in Coding::ALL {
        let mut cut = encode(coding, &text(5000));
        cut.truncate(cut.len() - 6);
        for bad in [cut.into(), Body::from("nonsense, in any coding there is")] {
            assert_eq!(post(coding.as_str(), bad).await.status(), 400, "{coding}");
        }
    }
}

#[tokio::test]
async fn unknown_codings_are_415_and_told_which_would_do() {
    for coding in ["compress", "gzip, deflate", "gzip, gzip, gzip, gzip"] {
        let response = post(coding, text(100).into()).await;
        assert_eq!(response.status(), 415, "{coding}");
        assert_eq!(response.headers()["accept-encoding"], "zstd, br, gzip");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test]
async fn a_reason_is_found_behind_the_decoder() {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send(Ok(Frame::data(encode(Coding::Gzip, &text(500)).into()))).unwrap();
    sender.send(Err(BodyError::Timeout.into())).unwrap();
    assert_eq!(post("gzip", Body::new(Sent(receiver))).await.status(), 408);
}
