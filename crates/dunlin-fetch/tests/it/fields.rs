//! The parts of a message that the proxy forwards: methods, targets, fields.

use dunlin_fetch::{Body, ClientInfo, Config, Proxy, ProxyConfig};
use tower_service::Service as _;

use crate::support::{Origin, client, content, echo, exchange, get, lines, proxy, proxy_with};

/// The start line and the field lines that the upstream receives.
async fn forwarded(config: ProxyConfig, start: &str, fields: &str) -> (String, Vec<String>) {
    let origin = echo().await;
    let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
    let response = exchange(front, &format!("{start}\r\nhost: front\r\nconnection: close\r\n{fields}\r\n")).await;
    let head = content(&response);
    let port = origin.address.port().to_string();
    let lines = lines(head).into_iter().map(|line| line.replace(&port, "PORT")).collect();
    (head.lines().next().unwrap_or_default().to_owned(), lines)
}

#[track_caller]
fn assert_lines(have: &[String], expect: &[&str]) {
    assert_eq!(have, expect);
}

/// A proxy that adds no fields.
fn plain() -> ProxyConfig {
    ProxyConfig { x_forwarded: false, via: None, ..ProxyConfig::default() }
}

#[tokio::test]
async fn requests_lose_hop_by_hop_fields() {
    for (fields, expect) in [
        (
            "accept: a\r\nAccept: b\r\nx-odd!#$%&'*+.^_`|~: \u{e4} \t ,\"\r\n",
            vec!["accept: a", "accept: b", "host: 127.0.0.1:PORT", "x-odd!#$%&'*+.^_`|~: \u{e4} \t ,\""],
        ),
        ("connection: x-a, X-B\r\nx-a: 1\r\nx-b: 1\r\nx-c: 1\r\n", vec!["host: 127.0.0.1:PORT", "x-c: 1"]),
        ("keep-alive: 1\r\nproxy-connection: close\r\nproxy-authorization: x\r\n", vec!["host: 127.0.0.1:PORT"]),
        ("te: trailers\r\nconnection: te\r\n", vec!["connection: te", "host: 127.0.0.1:PORT", "te: trailers"]),
        ("te: gzip\r\n", vec!["host: 127.0.0.1:PORT"]),
        ("upgrade: h2c\r\nhttp2-settings: x\r\nconnection: upgrade, http2-settings\r\n", vec!["host: 127.0.0.1:PORT"]),
        ("connection: host, content-length\r\n", vec!["host: 127.0.0.1:PORT"]),
        (
            "empty:\r\nauthorization: x\r\ncookie: a\r\ncookie: b\r\n",
            vec!["authorization: x", "cookie: a", "cookie: b", "empty: ", "host: 127.0.0.1:PORT"],
        ),
    ] {
        assert_lines(&forwarded(plain(), "GET / HTTP/1.1", fields).await.1, &expect);
    }
}

#[tokio::test]
async fn methods_and_targets_are_unchanged() {
    for start in [
        "GET /a%2F..%2fb/%C3%A4/./%zz//?a=b?&=%20&c HTTP/1.1",
        "FOO / HTTP/1.1",
        "query /x HTTP/1.1",
        "PROPFIND /dav HTTP/1.1",
        "TRACE /t HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        assert_eq!(forwarded(plain(), start, "").await.0, start);
    }
    assert_eq!(forwarded(plain(), "GET / HTTP/1.0", "").await.0, "GET / HTTP/1.1");
    assert_eq!(forwarded(plain(), "GET http://front/x HTTP/1.1", "").await.0, "GET /x HTTP/1.1");
}

#[tokio::test]
async fn preserve_host_keeps_the_host() {
    let preserve = ProxyConfig { preserve_host: true, ..plain() };
    assert_lines(&forwarded(preserve, "GET / HTTP/1.1", "").await.1, &["host: front"]);
}

#[tokio::test]
async fn the_proxy_adds_via_and_forwarded_fields() {
    let config = ProxyConfig { forwarded: true, ..ProxyConfig::default() };
    let forged = "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nvia: 1.0 before\r\n";
    assert_lines(
        &forwarded(config.clone(), "GET / HTTP/1.1", forged).await.1,
        &[
            "forwarded: for=unknown;proto=http;host=front",
            "host: 127.0.0.1:PORT",
            "via: 1.0 before",
            "via: 1.1 dunlin",
            "x-forwarded-host: front",
            "x-forwarded-proto: http",
        ],
    );
    assert_eq!(forwarded(config, "GET / HTTP/1.0", "").await.1[2], "via: 1.0 dunlin");
}

#[tokio::test]
async fn a_request_without_host_names_none() {
    for preserve_host in [false, true] {
        let config = ProxyConfig { forwarded: true, preserve_host, ..ProxyConfig::default() };
        let origin = echo().await;
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let response = exchange(front, "GET / HTTP/1.0\r\n\r\n").await;
        let lines = lines(content(&response));
        assert!(lines.contains(&format!("host: {}", origin.address).as_str()), "{lines:?}");
        assert!(lines.contains(&"forwarded: for=unknown;proto=http"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("x-forwarded-host")), "{lines:?}");
    }
}

#[tokio::test]
async fn the_peer_comes_with_the_request_or_with_the_connection() {
    let origin = echo().await;
    let proxy = Proxy::new(client(Config::default()), &origin.uri("/"), ProxyConfig::default()).unwrap();
    let peer = |ip: &str, https| ClientInfo::new(ip.parse().ok(), https);
    let mut proxy = proxy.for_peer(peer("192.0.2.1", true));
    let head = |response: http::Response<Body>| async move { response.into_body().collect(9999).await.unwrap() };
    let request = http::Request::get("/a?b").body(Body::empty()).unwrap();
    let received = head(proxy.call(request).await.unwrap()).await;
    let received = String::from_utf8_lossy(&received);
    assert!(received.starts_with("GET /a?b ") && received.contains("x-forwarded-for: 192.0.2.1\r\n"), "{received}");
    assert!(received.contains("x-forwarded-proto: https\r\n"), "{received}");
    let mut request = http::Request::new(Body::empty());
    request.extensions_mut().insert(peer("2001:db8::1", false));
    let received = head(proxy.call(request).await.unwrap()).await;
    assert!(String::from_utf8_lossy(&received).contains("x-forwarded-for: 2001:db8::1\r\n"));
}

#[tokio::test]
async fn max_forwards_applies_to_trace_and_options() {
    let received = forwarded(plain(), "OPTIONS / HTTP/1.1", "max-forwards: 2\r\n").await.1;
    assert_lines(&received, &["host: 127.0.0.1:PORT", "max-forwards: 1"]);
    let received = forwarded(plain(), "GET / HTTP/1.1", "max-forwards: 0\r\n").await.1;
    assert_lines(&received, &["host: 127.0.0.1:PORT", "max-forwards: 0"]);

    let origin = echo().await;
    let front = proxy(&origin).await;
    let fields = "host: front\r\nconnection: close\r\nmax-forwards: 0\r\n";
    let response = exchange(front, &format!("OPTIONS / HTTP/1.1\r\n{fields}\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("allow: GET"), "{response}");
    assert!(!response.contains("TRACE"), "{response}");
    let response = exchange(front, &format!("TRACE /x HTTP/1.1\r\ncookie: secret\r\n{fields}\r\n")).await;
    assert!(response.contains("content-type: message/http\r\n"), "{response}");
    assert!(content(&response).starts_with("TRACE /x HTTP/1.1\r\n") && !response.contains("secret"), "{response}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn connect_is_refused() {
    let front = proxy(&echo().await).await;
    let response = exchange(front, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 501 "), "{response}");
}

#[tokio::test]
async fn responses_lose_hop_by_hop_fields() {
    for (response, expect) in [
        (
            "HTTP/1.1 200 Fine By Me\r\nset-cookie: a\r\nSet-Cookie: b\r\nx-odd: \u{e4},,\r\ncontent-length: 0\r\n\r\n",
            vec!["HTTP/1.1 200 Fine By Me", "content-length: 0", "set-cookie: a", "set-cookie: b", "x-odd: \u{e4},,"],
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: x-a\r\nx-a: 1\r\nkeep-alive: timeout=9\r\nproxy-authenticate: x\r\n\
             proxy-authentication-info: y\r\nupgrade: h2c\r\nte: trailers\r\nwarning: 1\r\ncontent-length: 0\r\n\r\n",
            vec!["HTTP/1.1 200 OK", "content-length: 0", "warning: 1"],
        ),
        (
            "HTTP/1.1 799 \r\nage: 1\r\nage: 2\r\ncontent-length: 0\r\n\r\n",
            vec!["HTTP/1.1 799 ", "age: 1", "age: 2", "content-length: 0"],
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n",
            vec!["HTTP/1.1 302 Found", "content-length: 0", "location: /elsewhere"],
        ),
        (
            "HTTP/1.1 200 OK\r\na : 1\r\nfolded: b\r\n  c\r\ncontent-length: 0\r\n\r\n",
            vec!["HTTP/1.1 200 OK", "a: 1", "content-length: 0", "folded: b c"],
        ),
        ("HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n", vec!["HTTP/1.1 304 Not Modified", "etag: \"x\""]),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", vec!["HTTP/1.1 204 No Content"]),
    ] {
        let origin = Origin::responding(response).await;
        let config = ProxyConfig { via: None, ..ProxyConfig::default() };
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let response = get(front, "/").await;
        let mut have = vec![response.lines().next().unwrap()];
        have.extend(lines(&response).into_iter().filter(|line| *line != "connection: close"));
        assert_eq!(have, expect);
    }
}

#[tokio::test]
async fn responses_have_via() {
    let front = proxy(&Origin::responding("HTTP/1.1 200 OK\r\nvia: 1.1 a\r\ncontent-length: 0\r\n\r\n").await).await;
    let response = get(front, "/").await;
    assert!(response.contains("via: 1.1 a\r\nvia: 1.1 dunlin\r\n"), "{response}");
}
