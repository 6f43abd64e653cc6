//! What passes and what does not: methods, targets, fields.

use dunlin_fetch::{ClientInfo, Config, ProxyConfig};

use crate::support::{Origin, ask, client, content, echo, get, lines, proxy, proxy_with};

/// What the upstream sees of a request with these field lines, besides what the proxy always says.
async fn sent(config: ProxyConfig, start: &str, fields: &str) -> (String, Vec<String>) {
    let origin = echo().await;
    let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
    let answer = ask(front, &format!("{start}\r\nhost: front\r\nconnection: close\r\n{fields}\r\n")).await;
    let head = content(&answer);
    let port = origin.address.port().to_string();
    let lines = lines(head).into_iter().map(|line| line.replace(&port, "PORT")).collect();
    (head.lines().next().unwrap_or_default().to_owned(), lines)
}

#[track_caller]
fn assert_lines(have: &[String], expect: &[&str]) {
    assert_eq!(have, expect);
}

fn quiet() -> ProxyConfig {
    ProxyConfig { x_forwarded: false, via: None, ..ProxyConfig::default() }
}

#[tokio::test]
async fn requests_pass_without_what_is_hop_by_hop() {
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
        assert_lines(&sent(quiet(), "GET / HTTP/1.1", fields).await.1, &expect);
    }
}

#[tokio::test]
async fn methods_and_targets_pass_as_they_came() {
    for start in [
        "GET /a%2F..%2fb/%C3%A4/./%zz//?a=b?&=%20&c HTTP/1.1",
        "FOO / HTTP/1.1",
        "query /x HTTP/1.1",
        "PROPFIND /dav HTTP/1.1",
        "TRACE /t HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        assert_eq!(sent(quiet(), start, "").await.0, start);
    }
    assert_eq!(sent(quiet(), "GET / HTTP/1.0", "").await.0, "GET / HTTP/1.1");
    assert_eq!(sent(quiet(), "GET http://front/x HTTP/1.1", "").await.0, "GET /x HTTP/1.1");
}

#[tokio::test]
async fn the_host_is_the_upstreams_unless_told_otherwise() {
    let preserve = ProxyConfig { preserve_host: true, ..quiet() };
    assert_lines(&sent(preserve, "GET / HTTP/1.1", "").await.1, &["host: front"]);
}

#[tokio::test]
async fn the_way_is_told() {
    let config = ProxyConfig { forwarded: true, ..ProxyConfig::default() };
    let claims = "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nvia: 1.0 before\r\n";
    assert_lines(
        &sent(config.clone(), "GET / HTTP/1.1", claims).await.1,
        &[
            "forwarded: for=unknown;proto=http;host=front",
            "host: 127.0.0.1:PORT",
            "via: 1.0 before",
            "via: 1.1 dunlin",
            "x-forwarded-host: front",
            "x-forwarded-proto: http",
        ],
    );
    assert_eq!(sent(config, "GET / HTTP/1.0", "").await.1[2], "via: 1.0 dunlin");
}

#[tokio::test]
async fn a_host_that_nobody_named_is_not_told() {
    for preserve_host in [false, true] {
        let config = ProxyConfig { forwarded: true, preserve_host, ..ProxyConfig::default() };
        let origin = echo().await;
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let answer = ask(front, "GET / HTTP/1.0\r\n\r\n").await;
        let lines = lines(content(&answer));
        assert!(lines.contains(&format!("host: {}", origin.address).as_str()), "{lines:?}");
        assert!(lines.contains(&"forwarded: for=unknown;proto=http"), "{lines:?}");
        assert!(!lines.iter().any(|line| line.starts_with("x-forwarded-host")), "{lines:?}");
    }
}

#[tokio::test]
async fn the_peer_may_come_with_the_request_or_with_the_connection() {
    use dunlin_fetch::Proxy;
    use dunlin_http::Body;

    let origin = echo().await;
    let proxy = Proxy::new(client(Config::default()), &origin.uri("/"), ProxyConfig::default()).unwrap();
    let peer = |ip: &str, https| ClientInfo::new(ip.parse().ok(), https);
    let proxy = proxy.for_peer(peer("192.0.2.1", true));
    let mut request = http::Request::new(Body::empty());
    let head = |response: http::Response<Body>| async move { response.into_body().collect(9999).await.unwrap() };
    let seen = head(proxy.forward(http::Request::new(Body::empty()), "/a?b").await).await;
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.starts_with("GET /a?b ") && seen.contains("x-forwarded-for: 192.0.2.1\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
    request.extensions_mut().insert(peer("2001:db8::1", false));
    let seen = head(proxy.forward(request, "").await).await;
    assert!(String::from_utf8_lossy(&seen).contains("x-forwarded-for: 2001:db8::1\r\n"));
}

#[tokio::test]
async fn max_forwards_counts_for_trace_and_options() {
    let seen = sent(quiet(), "OPTIONS / HTTP/1.1", "max-forwards: 2\r\n").await.1;
    assert_lines(&seen, &["host: 127.0.0.1:PORT", "max-forwards: 1"]);
    let seen = sent(quiet(), "GET / HTTP/1.1", "max-forwards: 0\r\n").await.1;
    assert_lines(&seen, &["host: 127.0.0.1:PORT", "max-forwards: 0"]);

    let origin = echo().await;
    let front = proxy(&origin).await;
    let fields = "host: front\r\nconnection: close\r\nmax-forwards: 0\r\n";
    let answer = ask(front, &format!("OPTIONS / HTTP/1.1\r\n{fields}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("allow: GET"), "{answer}");
    assert!(!answer.contains("TRACE"), "{answer}");
    let answer = ask(front, &format!("TRACE /x HTTP/1.1\r\ncookie: secret\r\n{fields}\r\n")).await;
    assert!(answer.contains("content-type: message/http\r\n"), "{answer}");
    assert!(content(&answer).starts_with("TRACE /x HTTP/1.1\r\n") && !answer.contains("secret"), "{answer}");
    assert_eq!(origin.connections(), 0);
}

#[tokio::test]
async fn connect_is_refused() {
    let front = proxy(&echo().await).await;
    let answer = ask(front, "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}

#[tokio::test]
async fn answers_pass_without_what_is_hop_by_hop() {
    for (answer, expect) in [
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
        let origin = Origin::answering(answer).await;
        let config = ProxyConfig { via: None, ..ProxyConfig::default() };
        let front = proxy_with(client(Config::default()), &origin.uri("/"), config).await;
        let answer = get(front, "/").await;
        let mut have = vec![answer.lines().next().unwrap()];
        have.extend(lines(&answer).into_iter().filter(|line| *line != "connection: close"));
        assert_eq!(have, expect);
    }
}

#[tokio::test]
async fn answers_say_via() {
    let front = proxy(&Origin::answering("HTTP/1.1 200 OK\r\nvia: 1.1 a\r\ncontent-length: 0\r\n\r\n").await).await;
    let answer = get(front, "/").await;
    assert!(answer.contains("via: 1.1 a\r\nvia: 1.1 dunlin\r\n"), "{answer}");
}
