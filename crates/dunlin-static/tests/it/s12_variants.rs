//! RFC 9110 §12: the representation that a client gets of a file with encodings beside it.

use std::time::Duration;

use dunlin_static::Config;
use dunlin_testkit::tool;
use http::Method;

use crate::support::{Site, clock_ahead, write};

fn text() -> String {
    (0..3000).map(|n| format!("line {n} of a style sheet\n")).collect()
}

/// Two files, one with its encodings beside it, as the command-line tools make them.
fn site(max_file: u64) -> Site {
    let config = Config { max_file, seen_within: Duration::ZERO, clock: clock_ahead(), ..Config::default() };
    let site = Site::new(&[("a.css", &text()), ("plain.css", &text())], config);
    for (command, extension) in [("gzip -c", "gz"), ("brotli -c", "br"), ("zstd -qc", "zst")] {
        write(&site.path(&format!("a.css.{extension}")), tool(command, text().as_bytes()));
    }
    site
}

const OURS: [(&str, &str); 3] = [("gzip", "gz"), ("br", "br"), ("zstd", "zst")];

#[tokio::test]
async fn by_accept_encoding() {
    for max_file in [1 << 20, 50_000, 0] {
        let site = site(max_file);
        for (accept, coding) in [
            ("gzip", "gzip"),
            ("br", "br"),
            ("zstd", "zstd"),
            ("gzip, br, zstd", "zstd"),
            ("gzip;q=1, br;q=0.9, zstd;q=0.1", "gzip"),
            ("gzip;q=0, deflate", ""),
            ("identity", ""),
            ("*", "zstd"),
            ("identity;q=0", ""),
            ("", ""),
        ] {
            let response = site.send(Method::GET, "a.css", &[("accept-encoding", accept)]).await;
            assert_eq!(
                (response.status.as_u16(), response.field("content-encoding")),
                (200, coding),
                "{accept:?}, {max_file}"
            );
            assert_eq!(response.field("vary"), "accept-encoding", "{accept:?}");
            assert_eq!(response.field("content-type"), "text/css; charset=utf-8");
            assert_eq!(response.field("accept-ranges"), if coding.is_empty() { "bytes" } else { "" });
            response.assert_sound();
            let extension =
                OURS.iter().find(|(name, _)| *name == coding).map_or(String::new(), |(_, end)| format!(".{end}"));
            assert!(response.body == std::fs::read(site.path(&format!("a.css{extension}"))).unwrap(), "{accept:?}");
        }
        let response = site.get("a.css").await;
        assert_eq!((response.field("content-encoding"), response.field("vary")), ("", "accept-encoding"));
        assert_eq!(site.get("plain.css").await.field("vary"), "", "it has one representation only");
    }
}

#[tokio::test]
async fn each_representation_has_its_own_tag() {
    let site = site(1 << 20);
    let gzip = ("accept-encoding", "gzip");
    let tag = site.send(Method::GET, "a.css", &[gzip]).await.field("etag").to_owned();
    let response = site.send(Method::GET, "a.css", &[gzip, ("if-none-match", &tag)]).await;
    assert_eq!((response.status.as_u16(), response.field("vary")), (304, "accept-encoding"));
    assert_eq!(site.send(Method::GET, "a.css", &[("if-none-match", &tag)]).await.status, 200);
}

#[tokio::test]
async fn ranges_are_of_the_file_itself() {
    let site = site(1 << 20);
    let response = site.send(Method::GET, "a.css", &[("accept-encoding", "gzip"), ("range", "bytes=0-5")]).await;
    assert_eq!((response.status.as_u16(), response.field("content-encoding"), response.text()), (206, "", "line 0"));
}

#[tokio::test]
async fn the_page_for_404_is_encoded_too() {
    let config = Config { not_found: Some("a.css".into()), ..Config::default() };
    let site = site(1 << 20);
    let files = dunlin_static::Files::new(site.path(""), config).unwrap();
    let headers = crate::support::headers(&[("accept-encoding", "gzip")]);
    let response = crate::support::read(files.respond(&Method::GET, &headers, "nothing").await).await.unwrap();
    assert_eq!((response.status.as_u16(), response.field("content-encoding")), (404, "gzip"));
    assert_eq!(&response.body[..2], b"\x1f\x8b");
}

#[tokio::test]
async fn invalid_encodings_are_not_served() {
    let site = site(1 << 20);
    let gzip = std::fs::read(site.path("a.css.gz")).unwrap();
    for (fault, bytes) in [("truncated", &gzip[..gzip.len() / 2]), ("empty", &[][..]), ("no gzip", &b"hello"[..])] {
        write(&site.path("a.css.gz"), bytes);
        let response = site.send(Method::GET, "a.css", &[("accept-encoding", "gzip")]).await;
        assert_eq!((response.status.as_u16(), response.field("content-encoding")), (200, ""), "{fault}");
        response.assert_sound();
    }
    write(&site.path("a.css.gz"), &gzip);
    let response = site.send(Method::GET, "a.css", &[("accept-encoding", "gzip")]).await;
    assert_eq!(response.field("content-encoding"), "gzip", "it is whole again");
}

#[tokio::test]
async fn an_encoding_of_an_old_version_is_not_served() {
    let site = site(1 << 20);
    assert_eq!(site.send(Method::GET, "a.css", &[("accept-encoding", "br")]).await.field("content-encoding"), "br");
    write(&site.path("a.css"), text().replace("style", "other"));
    let response = site.send(Method::GET, "a.css", &[("accept-encoding", "br")]).await;
    assert_eq!((response.field("content-encoding"), response.text().contains("other")), ("", true));
}

#[tokio::test]
async fn added_and_removed_encodings_show() {
    let site = site(1 << 20);
    let coding = async || {
        let response = site.send(Method::GET, "a.css", &[("accept-encoding", "br, gzip")]).await;
        response.field("content-encoding").to_owned()
    };
    assert_eq!(coding().await, "br");
    std::fs::rename(site.path("a.css.br"), site.path("x")).unwrap();
    assert_eq!(coding().await, "gzip");
    std::fs::rename(site.path("x"), site.path("a.css.br")).unwrap();
    assert_eq!(coding().await, "br");
    let off = Site::new(&[("a.css", &text())], Config { precompressed: false, ..Config::default() });
    std::fs::copy(site.path("a.css.br"), off.path("a.css.br")).unwrap();
    let response = off.send(Method::GET, "a.css", &[("accept-encoding", "br")]).await;
    assert_eq!(response.field("content-encoding"), "");
    assert_eq!(off.get("a.css.br").await.status, 200, "it is a file like any other");
}
