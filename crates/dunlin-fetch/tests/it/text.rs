//! Pages as text.

use std::time::Duration;

use dunlin_fetch::{Config, Error, FetchService};
use dunlin_http::Body;
use http::Request;
use tower_service::Service as _;

use crate::support::{Origin, client, echo};

/// A response with these fields and this body.
fn ok(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{fields}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn the_charset_decides() {
    for (fields, body, take, expect) in [
        ("content-type: text/plain\r\n", "äöü".as_bytes(), Some(2), "äö"),
        ("content-type: text/plain; charset=latin1\r\n", b"\xe4\xf6", None, "äö"),
        ("content-type: text/html\r\n", b"<meta charset=koi8-r>\xd0", None, "<meta charset=koi8-r>п"),
        ("", b"\xef\xbb\xbfab", Some(1), "a"),
        ("content-encoding: identity\r\n", b"ab", Some(5), "ab"),
    ] {
        let origin = Origin::responding(ok(fields, body)).await;
        assert_eq!(client(Config::default()).get_text(&origin.uri("/"), take).await.unwrap().text, expect);
    }
}

#[tokio::test]
async fn the_request_is_plain() {
    let head = client(Config::default()).get_text(&echo().await.uri("/a?b#c"), None).await.unwrap().text;
    assert!(head.starts_with("GET /a?b HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
    assert!(head.contains("accept-encoding: identity\r\n") && head.contains("user-agent: dunlin/"), "{head}");
}

#[tokio::test]
async fn no_more_is_read_than_needed() {
    // The response never ends, and the client does not wait for its end.
    let origin = Origin::scripted(|_, mut connection| async move {
        connection.head().await;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nabcdef\r\n").await;
        connection.rest().await;
    })
    .await;
    let client = client(Config { read_timeout: Duration::from_secs(600), ..Config::default() });
    assert_eq!(client.get_text(&origin.uri("/"), Some(3)).await.unwrap().text, "abc");
}

#[tokio::test]
async fn a_short_rest_is_drained_to_reuse_the_connection() {
    let origin = Origin::responding(ok("", &[b'x'; 50_000])).await;
    let client = client(Config::default());
    for _ in 0..5 {
        assert_eq!(client.get_text(&origin.uri("/"), Some(3)).await.unwrap().text, "xxx");
        while client.stats().idle == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(client.stats().opened, 1);
    let large = Origin::responding(ok("", &[b'x'; 1 << 20])).await;
    assert_eq!(client.get_text(&large.uri("/"), Some(3)).await.unwrap().text, "xxx");
    assert_eq!(client.stats().idle, 1, "a long rest is not drained");
}

#[tokio::test]
async fn the_text_is_limited() {
    let origin = Origin::responding(ok("", &[b'x'; 2000])).await;
    let client = client(Config { max_text: 1000, ..Config::default() });
    assert!(matches!(client.get_text(&origin.uri("/"), None).await, Err(Error::TooLarge(1000))));
    assert_eq!(client.get_text(&origin.uri("/"), Some(1000)).await.unwrap().text.len(), 1000);
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    let origin = Origin::scripted(|_, mut connection| async move {
        while let Some(head) = connection.head().await {
            let path = head.split(' ').nth(1).unwrap();
            let (status, location) = match path {
                "/a/b" => ("301 M", "location: ../c?d\r\n"),
                "/c?d" => ("307 M", "location: //LOCAL/e\r\n"),
                "/loop" => ("302 M", "location: /loop\r\n"),
                "/nowhere" => ("302 M", ""),
                "/not-modified" => ("304 M", ""),
                _ => ("200 OK", ""),
            };
            let location = location.replace("LOCAL", head.split("host: ").nth(1).unwrap().lines().next().unwrap());
            let body = if path.starts_with("/not") { "" } else { path };
            let response = format!("HTTP/1.1 {status}\r\n{location}content-length: {}\r\n\r\n{body}", body.len());
            connection.send(response).await;
        }
    })
    .await;
    let client = client(Config::default());
    assert_eq!(client.get_text(&origin.uri("/a/b"), None).await.unwrap().text, "/e");
    for path in ["/loop", "/nowhere"] {
        let error = client.get_text(&origin.uri(path), None).await.unwrap_err();
        assert!(matches!(error, Error::Redirect(_)), "{error}");
    }
    assert!(matches!(client.get_text(&origin.uri("/not-modified"), None).await, Err(Error::Status(_))));
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn other_responses_are_errors() {
    for (response, status) in [
        (&b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..], 502),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nxxx", 502),
    ] {
        let origin = Origin::responding(response).await;
        let error = client(Config::default()).get_text(&origin.uri("/"), None).await.unwrap_err();
        assert_eq!(error.status(), status, "{error}");
    }
    for uri in ["/path", "ftp://host/", "urn:x"] {
        if let Ok(uri) = uri.parse() {
            assert!(matches!(client(Config::default()).get_text(&uri, None).await, Err(Error::Uri(_))));
        }
    }
}

#[tokio::test]
async fn the_service_responds_with_the_text() {
    let fields = "content-type: text/html; charset=latin1\r\ncache-control: max-age=9\r\nset-cookie: x\r\n";
    let origin = Origin::responding(ok(fields, b"<p>\xe4")).await;
    for (take, content_type, text) in
        [(None, "text/html; charset=utf-8", "<p>ä"), (Some(3), "text/plain; charset=utf-8", "<p>")]
    {
        let mut service = FetchService::new(client(Config::default()), &origin.uri("/"), take).unwrap();
        let response = service.call(Request::new(())).await.unwrap();
        assert_eq!(response.headers()["content-type"], content_type);
        assert_eq!(response.headers()["cache-control"], "max-age=9");
        assert!(!response.headers().contains_key("set-cookie"));
        assert_eq!(response.into_body().collect(100).await.unwrap(), text.as_bytes());
    }
    let missing = Origin::responding("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    let mut service = FetchService::new(client(Config::default()), &missing.uri("/"), None).unwrap();
    let response: http::Response<Body> = service.call(Request::new(())).await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(String::from_utf8_lossy(response.body().as_bytes().unwrap()).contains("\"upstream_status\":404"));
}
