//! Upgrades: a tunnel after 101, and HTTP as before without it.

use dunlin_http::Body;
use dunlin_server::{Config, Routes, Server};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::rt::ReadBufCursor;
use std::io::{Read, Write};
use std::pin::Pin;
use std::task::Poll;

use crate::support::{Client, Fixture, config, stopped};

const ASK: &str = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: shout\r\n\r\n";

/// Upgrades, and echoes everything in capitals.
async fn tunnel(mut request: Request<Body>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut io = upgraded.await.unwrap();
        loop {
            let mut bytes = [0; 64];
            let mut buf = hyper::rt::ReadBuf::new(&mut bytes);
            std::future::poll_fn(|cx| read(Pin::new(&mut io), cx, buf.unfilled())).await.unwrap();
            let mut said = buf.filled().to_ascii_uppercase();
            if said.is_empty() {
                return;
            }
            while !said.is_empty() {
                let n = std::future::poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut io), cx, &said))
                    .await
                    .unwrap();
                said.drain(..n);
            }
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("shout"));
    response
}

fn read(
    io: Pin<&mut hyper::upgrade::Upgraded>,
    cx: &mut std::task::Context<'_>,
    buf: ReadBufCursor<'_>,
) -> Poll<std::io::Result<()>> {
    hyper::rt::Read::poll_read(io, cx, buf)
}

#[test]
fn a_tunnel_carries_anything() {
    let server = Server::bind(Config { ..config() }).unwrap();
    let running = server.start(|_| async { Ok(Routes::new().get("/tunnel", tunnel).build()?) }).unwrap();
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    // The first bytes of the other protocol come with the request.
    client.send(ASK.to_owned() + "get / what?");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.field("upgrade")), (101, Some("shout")));
    let mut said = [0; 11];
    client.0.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"GET / WHAT?");
    client.0.write_all(b"\0more").unwrap();
    client.0.read_exact(&mut said[..5]).unwrap();
    assert_eq!(&said[..5], b"\0MORE");
    drop(client);
    running.shutdown();
    assert!(stopped(running).drained);
}

#[test]
fn without_101_the_connection_goes_on_with_http() {
    let server = Fixture::new();
    let mut client = server.connect();
    let ask = ASK.replace("/tunnel", "/wait/50");
    client.send(ask.clone() + "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + &ask + "no request\r\n\r\n");
    for text in ["waited", "Hello, World!", "waited"] {
        assert_eq!(client.answer().unwrap().text(), text);
    }
    assert_eq!(client.answer().unwrap().status, 400);
    assert!(client.is_closed());
}

#[test]
fn the_last_request_of_a_connection_may_ask_for_an_upgrade() {
    let server = Fixture::with(Config { max_requests_per_connection: 2, ..config() });
    let mut client = server.connect();
    client.send(ASK.replace("/tunnel", "/").repeat(3));
    for last in [None, Some("close")] {
        let answer = client.answer().unwrap();
        assert_eq!((answer.text(), answer.field("connection")), ("Hello, World!", last));
    }
    assert!(client.is_closed());
}
