//! Interim responses that a handler sends (RFC 9110 §15.2).

use std::sync::Arc;

use dunlin_http::{Body, Handler, Interim, ReplyFuture};
use dunlin_server::{Connect, Connection, EventLoop, Exchange, Server};
use http::header::LINK;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};

use crate::support::{Client, config};

/// Responds to every request, and sends interim responses from another task before.
#[derive(Clone)]
struct Hinting;

impl Connect for Hinting {
    type Handler = Self;

    fn connect(&self, _: &Arc<Connection>) -> Self {
        self.clone()
    }
}

impl Handler<Exchange> for Hinting {
    type Error = std::convert::Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, exchange: &Exchange) -> ReplyFuture {
        let interim = exchange.interim();
        let own = request.uri().path().to_owned();
        ReplyFuture::response(async move {
            if let Some(interim) = interim {
                tokio::spawn(hint(interim, own.clone()));
            }
            for _ in 0..own.len() % 4 {
                tokio::task::yield_now().await;
            }
            Response::new(Body::from(own))
        })
    }
}

/// Sends interim responses until they are refused.
async fn hint(interim: Interim, own: String) {
    let headers = HeaderMap::from_iter([(LINK, HeaderValue::try_from(own).unwrap())]);
    while interim.send(StatusCode::EARLY_HINTS, &headers) {
        tokio::task::yield_now().await;
    }
}

#[test]
fn late_interim_responses_precede_their_own_final_response() {
    for event_loop in [EventLoop::PerCore, EventLoop::Shared] {
        let config = dunlin_server::Config { event_loop, workers: 2, ..config() };
        let running = Server::bind(config).unwrap().start(|_| async { Ok(Hinting) }).unwrap();
        let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
        let mut hints = 0;
        for round in 0..50 {
            let paths: Vec<_> = (0..20).map(|i| format!("/{}{round}-{i}", "x".repeat(i))).collect();
            client.send(paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>());
            for path in &paths {
                let mut answer = client.answer().unwrap();
                while answer.status == 103 {
                    hints += 1;
                    assert_eq!(answer.head, format!("HTTP/1.1 103 Early Hints\r\nlink: {path}\r\n\r\n"));
                    answer = client.answer().unwrap();
                }
                assert_eq!((answer.status, answer.text()), (200, path.as_str()));
            }
        }
        assert!(hints > 0);
    }
}

#[test]
fn interim_responses_over_http2() {
    for event_loop in [EventLoop::PerCore, EventLoop::Shared] {
        let config = dunlin_server::Config { event_loop, workers: 2, h2c: true, ..config() };
        let running = Server::bind(config).unwrap().start(|_| async { Ok(Hinting) }).unwrap();
        let addr = running.local_addrs()[0].as_tcp().unwrap();
        crate::http2::run(async {
            let socket = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let mut client: h2::client::SendRequest<bytes::Bytes> = client;
            let mut hints = 0;
            for round in 0..20 {
                let mut asked = Vec::new();
                for i in 0..20 {
                    let path = format!("/{}{round}-{i}", "x".repeat(i));
                    client = client.ready().await.unwrap();
                    let request = Request::get(format!("http://a{path}")).body(()).unwrap();
                    asked.push((client.send_request(request, true).unwrap().0, path));
                }
                for (mut response, path) in asked {
                    while let Some(interim) = std::future::poll_fn(|cx| response.poll_informational(cx)).await {
                        let interim = interim.unwrap();
                        assert_eq!(
                            (interim.status().as_u16(), interim.headers()["link"].to_str().unwrap()),
                            (103, &*path)
                        );
                        hints += 1;
                    }
                    let mut body = response.await.unwrap().into_body();
                    assert_eq!(body.data().await.unwrap().unwrap(), path);
                }
            }
            assert!(hints > 0);
        });
    }
}
