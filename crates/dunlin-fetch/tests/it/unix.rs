//! Upstreams on Unix sockets.

use dunlin_fetch::{Config, ProxyConfig};
use dunlin_http::Body;
use http::{Request, Uri};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::support::{client, content, get, proxy_with};

/// Responds to the first request of each connection with its start line and its Host.
fn echo(path: &std::path::Path) {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let text = String::from_utf8(head).unwrap();
            let line = text.lines().next().unwrap();
            let host = text.lines().find(|line| line.starts_with("host:")).unwrap();
            let body = format!("{line} {host}");
            let length = body.len();
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            stream.write_all(response.as_bytes()).await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_proxy_and_a_client_reach_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("app.sock");
    echo(&socket);
    let client = client(Config::default());
    for (base, path, expect) in [("", "/x?y", "GET /x?y HTTP/1.1"), (":/base/", "/x?y", "GET /base/x?y HTTP/1.1")] {
        let upstream: Uri = format!("http://unix:{}{base}", socket.display()).parse().unwrap();
        let front = proxy_with(client.clone(), &upstream, ProxyConfig::default()).await;
        let response = get(front, path).await;
        assert_eq!(content(&response), format!("{expect} host: localhost"), "{base}");
    }
    let uri: Uri = format!("http://unix:{}:/a?b", socket.display()).parse().unwrap();
    let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
    let body = client.request(request).await.unwrap().into_body().collect(1000).await.unwrap();
    assert_eq!(body, "GET /a?b HTTP/1.1 host: localhost");
    let gone: Uri = "http://unix:/nowhere/app.sock".parse().unwrap();
    let front = proxy_with(client, &gone, ProxyConfig::default()).await;
    assert!(get(front, "/").await.starts_with("HTTP/1.1 502 "));
}
