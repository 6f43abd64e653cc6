//! Origins that speak HTTP/2.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use dunlin_fetch::{Body, Client, Config, Error, Protocol, ProxyConfig};
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt;

use crate::support::{Origin, RawConnection, client, proxy_with};

type Stream = (Request<RecvStream>, SendResponse<Bytes>);

/// An origin that calls `script` for each stream, with its number from 0.
async fn origin<F, Fut>(builder: Builder, script: F) -> Origin
where
    F: Fn(usize, Stream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let (script, count) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
    Origin::scripted(move |_, connection| {
        let (builder, script, count) = (builder.clone(), script.clone(), count.clone());
        async move {
            let Ok(mut connection) = builder.handshake::<_, Bytes>(connection.stream).await else { return };
            while let Some(Ok(stream)) = connection.accept().await {
                tokio::spawn(script(count.fetch_add(1, Ordering::SeqCst), stream));
            }
        }
    })
    .await
}

/// Responds with the fields of the request, its body, and its trailers as `x-trailer`.
async fn echo(_: usize, (request, mut respond): Stream) {
    let mut response = Response::new(());
    for (name, value) in request.headers() {
        response.headers_mut().append(name, value.clone());
    }
    let target = HeaderValue::try_from(request.uri().to_string()).unwrap();
    response.headers_mut().insert("x-target", target);
    let mut sender = respond.send_response(response, false).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        sender.send_data(data, false).unwrap();
    }
    let mut trailers = body.trailers().await.unwrap().unwrap_or_default();
    trailers.insert("x-end", HeaderValue::from_static("yes"));
    sender.send_trailers(trailers).unwrap();
}

fn http2(config: Config) -> Client {
    client(Config { protocol: Protocol::Http2, ..config })
}

fn request(origin: &Origin, method: Method, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(origin.uri("/a?b")).body(body.into()).unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(BodyExt::collect(response.into_body()).await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection_up_to_its_streams() {
    let check = |streams: u32, connections: usize| async move {
        let arrived = Arc::new(tokio::sync::Barrier::new(24));
        let mut builder = Builder::new();
        builder.max_concurrent_streams(streams);
        let origin = origin(builder, move |_, (_, mut respond)| {
            let arrived = arrived.clone();
            async move {
                arrived.wait().await;
                respond.send_response(Response::new(()), true).unwrap();
            }
        })
        .await;
        let client = http2(Config::default());
        let sent = (0..24).map(|_| client.request(request(&origin, Method::GET, Body::empty())));
        for response in futures_util::future::join_all(sent).await {
            assert_eq!(response.unwrap().version(), Version::HTTP_2);
        }
        assert_eq!((origin.connections(), client.stats().opened), (connections, connections));
    };
    check(100, 1).await;
    check(10, 3).await;
}

#[tokio::test]
async fn the_limit_of_requests_is_that_of_connections() {
    let origin = origin(Builder::new(), |_, (_, respond)| async move {
        std::future::pending::<()>().await;
        drop(respond);
    })
    .await;
    let client = http2(Config { max_connections: 2, acquire_timeout: Duration::from_millis(50), ..Config::default() });
    let send = || {
        let (client, request) = (client.clone(), request(&origin, Method::GET, Body::empty()));
        async move { client.request(request).await }
    };
    let (first, second) = (tokio::spawn(send()), tokio::spawn(send()));
    while origin.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let mut refused = send().await;
    while !matches!(refused, Err(Error::Busy)) {
        refused = send().await;
    }
    first.abort();
    second.abort();
}

#[tokio::test]
async fn bodies_and_trailers_pass_in_both_directions() {
    let origin = origin(Builder::new(), echo).await;
    let client = http2(Config::default());
    let data = vec![7; 3 << 20];
    let response = client.request(request(&origin, Method::POST, data.clone())).await.unwrap();
    assert_eq!(response.headers()["x-target"], format!("http://{}/a?b", origin.address));
    assert_eq!(response.headers()["content-length"], data.len().to_string());
    assert!(!response.headers().contains_key("host"));
    let collected = BodyExt::collect(response.into_body()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-end"], "yes");
    assert_eq!(collected.to_bytes(), data);

    // A stream of unknown length, with trailers.
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", HeaderValue::from_static("1"));
    let frames =
        [Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from("abc"))), Ok(http_body::Frame::trailers(trailers))];
    let body = Body::new(http_body_util::StreamBody::new(futures_util::stream::iter(frames)));
    let response = client.request(request(&origin, Method::POST, body)).await.unwrap();
    assert!(!response.headers().contains_key("transfer-encoding"));
    let collected = BodyExt::collect(response.into_body()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-trailer"], "1");
    assert_eq!((collected.to_bytes(), origin.connections()), (Bytes::from("abc"), 1));
}

#[tokio::test]
async fn te_and_trailers_pass_through_a_proxy() {
    let origin = origin(Builder::new(), echo).await;
    let front = proxy_with(http2(Config::default()), &origin.uri("/"), ProxyConfig::default()).await;
    let mut connection = RawConnection::connect(front).await;
    connection
        .send("POST /x HTTP/1.1\r\nhost: f\r\nte: trailers\r\nconnection: te, x-hop\r\nx-hop: 1\r\ncontent-length: 2\r\n\r\nhi")
        .await;
    let head = connection.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("via: 1.1 dunlin\r\nvia: 2 dunlin\r\n"), "{head}");
    assert!(!head.contains("x-hop"), "{head}");
}

#[tokio::test]
async fn a_refused_request_is_sent_again() {
    let origin = origin(Builder::new(), |number, (_, mut respond)| async move {
        match number {
            0 => respond.send_reset(Reason::REFUSED_STREAM),
            _ => drop(respond.send_response(Response::new(()), true).unwrap()),
        }
    })
    .await;
    let response = http2(Config::default()).request(request(&origin, Method::POST, "once")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_connection_that_ends_is_replaced() {
    let origin = Origin::scripted(|_, connection| async move {
        let mut connection = h2::server::handshake(connection.stream).await.unwrap();
        // One response, and then a GOAWAY.
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_response(Response::new(()), false).unwrap().send_data(Bytes::from("one"), true).unwrap();
        connection.graceful_shutdown();
        while connection.accept().await.is_some() {}
    })
    .await;
    let client = http2(Config::default());
    for _ in 0..5 {
        let response = client.request(request(&origin, Method::POST, "x")).await.unwrap();
        assert_eq!(text(response).await, "one");
    }
    assert_eq!(origin.connections(), 5);
}

#[tokio::test]
async fn origins_that_do_not_speak_http2() {
    let silent = Origin::scripted(|_, connection| async move {
        std::future::pending::<()>().await;
        drop(connection);
    })
    .await;
    let timeout = Duration::from_millis(50);
    let sent = http2(Config { connect_timeout: timeout, ..Config::default() });
    let error = sent.request(request(&silent, Method::POST, "x")).await.unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout(_)), "{error:?}");
    let other = Origin::scripted(|_, mut connection| async move {
        connection.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let error = http2(Config::default()).request(request(&other, Method::POST, "x")).await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn late_and_invalid_responses_fail() {
    let origin = origin(Builder::new(), |number, (_, mut respond)| async move {
        let response = Response::builder().header("content-length", "10").body(()).unwrap();
        match number {
            0 => std::future::pending().await,
            1 => {
                let mut sender = respond.send_response(response, false).unwrap();
                sender.send_data(Bytes::from("short"), true).unwrap();
            }
            2 => {
                let mut sender = respond.send_response(response, false).unwrap();
                sender.send_data(Bytes::from("five!"), false).unwrap();
                sender.send_reset(Reason::INTERNAL_ERROR);
            }
            _ => {
                let sender = respond.send_response(response, false).unwrap();
                std::future::pending::<()>().await;
                drop(sender);
            }
        }
    })
    .await;
    let timeout = Duration::from_millis(100);
    let client = http2(Config { response_timeout: timeout, read_timeout: timeout, ..Config::default() });
    let error = client.request(request(&origin, Method::GET, Body::empty())).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    for _ in 1..4 {
        // The length may be checked before the head is taken.
        if let Ok(response) = client.request(request(&origin, Method::GET, Body::empty())).await {
            assert!(BodyExt::collect(response.into_body()).await.is_err());
        }
    }
}

#[tokio::test]
async fn interim_responses_pass() {
    let origin = origin(Builder::new(), |_, (_, mut respond)| async move {
        let early = Response::builder().status(103).header("link", "</a>; rel=preload").body(()).unwrap();
        respond.send_informational(early).unwrap();
        respond.send_response(Response::new(()), true).unwrap();
    })
    .await;
    let response = http2(Config::default()).request(request(&origin, Method::GET, Body::empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

const WEBSOCKET: &str = "GET /chat HTTP/1.1\r\nhost: f\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Echoes in a tunnel.
async fn tunnel(_: usize, (request, mut respond): Stream) {
    assert_eq!(request.method(), Method::CONNECT);
    assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
    assert_eq!((request.uri().path(), request.headers().get("sec-websocket-key")), ("/chat", None));
    assert_eq!(request.headers()["sec-websocket-version"], "13");
    let mut sender = respond.send_response(Response::new(()), false).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        sender.send_data(data, false).unwrap();
    }
    sender.send_data(Bytes::from("bye"), true).unwrap();
}

async fn websocket(origin: &Origin) {
    let front = proxy_with(http2(Config::default()), &origin.uri("/"), ProxyConfig::default()).await;
    let mut connection = RawConnection::connect(front).await;
    connection.send(WEBSOCKET).await;
    let head = connection.head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
    let long = "x".repeat(1 << 20);
    connection.send(&long).await;
    assert_eq!(connection.exactly(long.len()).await, long.as_bytes());
    tokio::io::AsyncWriteExt::shutdown(&mut connection.stream).await.unwrap();
    assert_eq!(connection.rest().await, b"bye");
}

#[tokio::test]
async fn websocket_by_extended_connect() {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    websocket(&origin(builder, tunnel).await).await;
}

#[tokio::test]
async fn websocket_over_http1_where_there_is_no_extended_connect() {
    let origin = Origin::scripted(|_, mut connection| async move {
        let mut first = [0; 3];
        connection.stream.peek(&mut first).await.unwrap();
        if &first == b"PRI" {
            let mut connection = h2::server::handshake(connection.stream).await.unwrap();
            while connection.accept().await.is_some() {}
            return;
        }
        connection.head().await.unwrap();
        connection
            .send(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )
            .await;
        let data = connection.exactly(1 << 20).await;
        connection.send(data).await;
        connection.rest().await;
        connection.send("bye").await;
    })
    .await;
    websocket(&origin).await;
}
