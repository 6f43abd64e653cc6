//! RFC 9110 §12.5.3, without the parts in `dunlin_http::negotiate`.

use dunlin_compress::{CompressLayer, Config, Error, Levels, Types};
use dunlin_http::negotiate::Coding;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::support::*;

async fn coding_of(layer: &CompressLayer, accept: &str) -> Option<String> {
    let response = respond(layer, request(accept), plain(text(1000))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["vary"], "accept-encoding", "{accept}");
    response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn equal_weights_are_decided_by_preference() {
    for (prefer, expect) in [
        (vec![Coding::Zstd, Coding::Brotli, Coding::Gzip], Some("zstd")),
        (vec![Coding::Brotli, Coding::Gzip], Some("br")),
        (vec![Coding::Gzip], Some("gzip")),
        (vec![], None),
    ] {
        let layer = CompressLayer::new(Config { prefer, ..Config::default() }).unwrap();
        assert_eq!(coding_of(&layer, "gzip, deflate, br, zstd").await.as_deref(), expect);
    }
    let layer = CompressLayer::default();
    assert_eq!(coding_of(&layer, "gzip, br;q=0.9, zstd;q=0.9").await.as_deref(), Some("gzip"));
}

#[tokio::test]
async fn a_client_that_accepts_nothing_gets_identity() {
    let layer = CompressLayer::default();
    for accept in ["", "identity", "deflate", "identity;q=0", "*;q=0", "gzip;q=0, identity;q=0"] {
        assert_eq!(coding_of(&layer, accept).await, None, "{accept}");
    }
}

#[tokio::test]
async fn only_listed_types_are_encoded() {
    let types = Types::default().with("application/x-mine").unwrap().with("!text/css").unwrap();
    let layer = CompressLayer::new(Config { types, ..Config::default() }).unwrap();
    for (media, encoded) in [
        ("text/html; charset=utf-8", true),
        ("application/problem+json", true),
        ("image/svg+xml", true),
        ("application/x-mine", true),
        ("text/css", false),
        ("image/png", false),
        ("application/octet-stream", false),
        ("nonsense", false),
    ] {
        let mut sent = plain(text(1000));
        sent.headers_mut().insert(CONTENT_TYPE, media.parse().unwrap());
        let response = respond(&layer, request("gzip"), sent).await;
        assert_eq!(response.headers().contains_key(CONTENT_ENCODING), encoded, "{media}");
        assert_eq!(response.headers().contains_key("vary"), encoded, "{media}");
    }
}

#[test]
fn levels_outside_their_scale_are_refused() {
    let config = Config { level: Levels { zstd: 20, ..Levels::default() }, ..Config::default() };
    let error = CompressLayer::new(config).unwrap_err();
    assert_eq!(error, Error::Level { coding: Coding::Zstd, level: 20, min: 1, max: 19 });
    assert_eq!(error.to_string(), "level 20 of zstd is invalid: use 1 to 19");
}
