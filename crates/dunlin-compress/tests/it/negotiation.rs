//! RFC 9110 §12.5.3, as far as it is not `dunlin_http::negotiate`'s.

use dunlin_compress::{CompressLayer, Config, ConfigError, Levels, Types};
use dunlin_http::negotiate::Coding;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::support::*;

async fn coding_of(layer: &CompressLayer, accept: &str) -> Option<String> {
    let response = ask(layer, request(accept), plain(text(1000))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["vary"], "accept-encoding", "{accept}");
    response.headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn ties_go_by_preference() {
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
async fn nobody_is_sent_away() {
    let layer = CompressLayer::default();
    for accept in ["", "identity", "deflate", "identity;q=0", "*;q=0", "gzip;q=0, identity;q=0"] {
        assert_eq!(coding_of(&layer, accept).await, None, "{accept}");
    }
}

#[tokio::test]
async fn types_are_allowed_not_denied() {
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
        let mut answer = plain(text(1000));
        answer.headers_mut().insert(CONTENT_TYPE, media.parse().unwrap());
        let response = ask(&layer, request("gzip"), answer).await;
        assert_eq!(response.headers().contains_key(CONTENT_ENCODING), encoded, "{media}");
        assert_eq!(response.headers().contains_key("vary"), encoded, "{media}");
    }
}

#[test]
fn levels_have_a_scale() {
    let config = Config { level: Levels { zstd: 20, ..Levels::default() }, ..Config::default() };
    let error = CompressLayer::new(config).unwrap_err();
    assert_eq!(error, ConfigError::Level { coding: Coding::Zstd, level: 20, min: 1, max: 19 });
    assert_eq!(error.to_string(), "level 20 of zstd: it goes from 1 to 19");
}
