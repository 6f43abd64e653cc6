//! RFC 9110 §14: ranges, and If-Range of §13.1.5. Each test uses a file in memory and a streamed
//! one.

use dunlin_static::Config;
use http::Method;

use crate::support::{Received, Site, clock_ahead, date};

const TEXT: &str = "0123456789";

/// The same file in memory and streamed.
fn sites(content: &str) -> [Site; 2] {
    [1 << 20, 0].map(|max_file| {
        Site::new(&[("a.txt", content)], Config { max_file, clock: clock_ahead(), ..Config::default() })
    })
}

async fn ranged(site: &Site, range: &str) -> Received {
    site.send(Method::GET, "/a.txt", &[("range", range)]).await
}

#[tokio::test]
async fn one_range() {
    for site in sites(TEXT) {
        for (range, body, content_range) in [
            ("bytes=0-3", "0123", "bytes 0-3/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=3-99", "3456789", "bytes 3-9/10"),
            ("bytes=0-1,1-2", "012", "bytes 0-2/10"),
        ] {
            let response = ranged(&site, range).await;
            assert_eq!((response.status.as_u16(), response.text()), (206, body), "{range}");
            assert_eq!(response.field("content-range"), content_range);
            assert_eq!(response.field("content-length"), body.len().to_string());
            assert_eq!(response.field("content-type"), "text/plain; charset=utf-8");
            assert_eq!(response.field("etag"), site.get("/a.txt").await.field("etag"));
        }
    }
}

#[tokio::test]
async fn invalid_and_unsatisfiable_ranges() {
    for site in sites(TEXT) {
        for range in ["bytes=2-1", "lines=1-2", "bytes=x", "bytes="] {
            let response = ranged(&site, range).await;
            assert_eq!((response.status.as_u16(), response.text()), (200, TEXT), "{range}");
            assert_eq!(response.field("accept-ranges"), "bytes");
        }
        let response = ranged(&site, "bytes=10-").await;
        assert_eq!((response.status.as_u16(), response.field("content-range")), (416, "bytes */10"));
    }
}

#[tokio::test]
async fn many_ranges() {
    let text: String = (0..400).map(|n| format!("{n:04} ")).collect();
    for site in sites(&text) {
        let response = ranged(&site, "bytes=1000-1004, 0-4, -5").await;
        assert_eq!(response.status, 206);
        assert_eq!(response.field("content-length"), response.body.len().to_string());
        assert_eq!(response.field("content-range"), "");
        let boundary = response.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap();
        let parts: Vec<_> = response.text().split(&format!("--{boundary}")).collect();
        assert_eq!((parts.len(), parts[0], parts[4]), (5, "\r\n", "--\r\n"));
        for (part, (range, body)) in
            parts[1..].iter().zip([("1000-1004", "0200 "), ("0-4", "0000 "), ("1995-1999", "0399 ")])
        {
            let expect = format!(
                "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes {range}/2000\r\n\r\n{body}\r\n"
            );
            assert_eq!(*part, expect);
        }
        let egregious =
            format!("bytes={}", (0..20).map(|n| format!("{}-{}", n * 100, n * 100)).collect::<Vec<_>>().join(","));
        assert_eq!(ranged(&site, &egregious).await.status, 200);
    }
}

#[tokio::test]
async fn if_range() {
    for site in sites(TEXT) {
        let first = site.get("/a.txt").await;
        let (tag, at) = (first.field("etag").to_owned(), first.field("last-modified").to_owned());
        for (field, status) in [
            (tag.clone(), 206),
            (format!("W/{tag}"), 200),
            ("\"x\"".to_owned(), 200),
            (at, 206),
            (date(std::time::SystemTime::now()), 200),
        ] {
            let response = site.send(Method::GET, "/a.txt", &[("range", "bytes=0-0"), ("if-range", &field)]).await;
            assert_eq!(response.status, status, "{field}");
        }
        // RFC 9110 §13.2.2: preconditions come before ranges.
        let response = site.send(Method::GET, "/a.txt", &[("range", "bytes=0-0"), ("if-none-match", &tag)]).await;
        assert_eq!(response.status, 304);
    }
}

#[tokio::test]
async fn an_empty_file_has_no_ranges() {
    for site in sites("") {
        assert_eq!(site.get("/a.txt").await.status, 200);
        assert_eq!(ranged(&site, "bytes=0-").await.field("content-range"), "bytes */0");
        assert_eq!(ranged(&site, "bytes=-1").await.status, 200);
    }
}
