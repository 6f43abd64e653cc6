//! Content that came encoded: it reaches every client in a coding that the client takes.

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
async fn a_client_that_does_not_take_the_coding_gets_it_decoded() {
    let layer = CompressLayer::default();
    for coding in [Coding::Gzip, Coding::Brotli, Coding::Zstd] {
        for accept in ["identity", "", "deflate", "*;q=0"] {
            let (parts, body) = coded(coding).into_parts();
            let bytes = body.try_into_bytes().unwrap_or_default();
            for body in [bytes.clone().into(), pieces(&bytes, 1000)] {
                let response = ask(&layer, request(accept), Response::from_parts(parts.clone(), body)).await;
                for (name, value) in [("vary", Some("accept-encoding")), ("etag", Some("W/\"a\""))] {
                    assert_eq!(response.headers().get(name).map(|value| value.to_str().unwrap()), value, "{name}");
                }
                for name in ["content-encoding", "content-length", "accept-ranges"] {
                    assert!(!response.headers().contains_key(name), "{name}");
                }
                assert!(content(response).await == text(200_000), "{coding} {accept}");
            }
        }
        let as_it_came = ask(&layer, request(coding.as_str()), coded(coding)).await;
        assert_eq!(as_it_came.headers()["content-encoding"], coding.as_str());
        assert_eq!(
            (&as_it_came.headers()["vary"], &as_it_came.headers()["etag"]),
            (&"accept-encoding".parse().unwrap(), &"\"a\"".parse().unwrap())
        );
        assert!(content(as_it_came).await == encode(coding, &text(200_000)));
    }
}

#[tokio::test]
async fn a_head_names_what_get_would_have() {
    let mut asked = request("identity");
    *asked.method_mut() = Method::HEAD;
    let (parts, _) = coded(Coding::Gzip).into_parts();
    let response = ask(&CompressLayer::default(), asked, Response::from_parts(parts, dunlin_http::Body::empty())).await;
    assert!(!response.headers().contains_key("content-encoding") && response.headers().contains_key("vary"));
}

#[tokio::test]
async fn what_may_not_or_cannot_be_decoded_passes() {
    let layer = CompressLayer::default();
    let with = |name: &'static str, value: &'static str, status: StatusCode| {
        let mut response = coded(Coding::Gzip);
        response.headers_mut().insert(name, value.parse().unwrap());
        *response.status_mut() = status;
        response
    };
    for answer in [
        with("cache-control", "no-transform", StatusCode::OK),
        with("content-encoding", "gzip, br", StatusCode::OK),
        with("content-encoding", "compress", StatusCode::OK),
        with("content-range", "bytes 0-9/100", StatusCode::PARTIAL_CONTENT),
    ] {
        let response = ask(&layer, request("identity"), answer).await;
        assert!(response.headers().contains_key("content-encoding"));
        assert!(content(response).await == encode(Coding::Gzip, &text(200_000)));
    }
}

#[tokio::test]
async fn what_is_broken_breaks_off() {
    let mut answer = coded(Coding::Gzip);
    let bytes = encode(Coding::Gzip, &text(200_000));
    *answer.body_mut() = bytes[..bytes.len() / 2].to_vec().into();
    let response = ask(&CompressLayer::default(), request("identity"), answer).await;
    assert!(response.into_body().collect(usize::MAX).await.is_err());
}
