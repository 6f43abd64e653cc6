//! Tunnels: their ends, limits and figures.

use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dunlin_http::{Body, Handler, ReplyFuture};
use dunlin_server::{Config, Connect, Connection, Exchange, Running, Server, TunnelEnd};
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::rt::{Read as _, Write as _};
use hyper::upgrade::Upgraded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, config, punctually, stopped, until};

/// Upgrades every request. `/bye` ends its half first, and `/forget` never reads. Any other path
/// echoes.
#[derive(Clone)]
struct Tunnels {
    ends: Sender<TunnelEnd>,
    read: Sender<Vec<u8>>,
}

/// A server of [`Tunnels`], the figures of ended ones, and the bytes that `/bye` read.
struct Fixture {
    running: Running,
    ends: Receiver<TunnelEnd>,
    read: Receiver<Vec<u8>>,
}

impl Connect for Tunnels {
    type Handler = Self;

    fn connect(&self, _: &std::sync::Arc<Connection>) -> Self {
        self.clone()
    }
}

impl Handler<Exchange> for Tunnels {
    type Error = std::convert::Infallible;
    type Future = ReplyFuture;

    fn handle(&self, mut request: Request<Body>, exchange: &Exchange) -> ReplyFuture {
        if !request.headers().contains_key(UPGRADE) {
            return ReplyFuture::ready(Response::new(Body::from("plain")));
        }
        let upgraded = hyper::upgrade::on(&mut request);
        let ends = self.ends.clone();
        exchange.connection().on_tunnel_end(move |end| _ = ends.send(end));
        let (path, read) = (request.uri().path().to_owned(), self.read.clone());
        tokio::spawn(async move {
            let mut io = upgraded.await.unwrap();
            match path.as_str() {
                "/bye" => {
                    write_all(&mut io, b"bye").await.unwrap();
                    std::future::poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await.unwrap();
                    while let Ok(bytes) = read_some(&mut io).await
                        && !bytes.is_empty()
                    {
                        read.send(bytes).unwrap();
                    }
                }
                "/forget" => std::future::pending().await,
                _ => {
                    while let Ok(bytes) = read_some(&mut io).await
                        && !bytes.is_empty()
                        && write_all(&mut io, &bytes).await.is_ok()
                    {}
                }
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("x"));
        ReplyFuture::ready(response)
    }
}

async fn read_some(io: &mut Upgraded) -> std::io::Result<Vec<u8>> {
    let mut bytes = [0; 1024];
    let mut buf = hyper::rt::ReadBuf::new(&mut bytes);
    std::future::poll_fn(|cx| Pin::new(&mut *io).poll_read(cx, buf.unfilled())).await?;
    Ok(buf.filled().to_vec())
}

async fn write_all(io: &mut Upgraded, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::future::poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, bytes)).await?;
        bytes = &bytes[n..];
    }
    Ok(())
}

impl Fixture {
    fn new(config: Config) -> Self {
        let ((end_sender, ends), (read_sender, read)) = (channel(), channel());
        let tunnels = Tunnels { ends: end_sender, read: read_sender };
        let server = Server::bind(config).unwrap();
        let running = server.start(move |_| std::future::ready(Ok(tunnels.clone()))).unwrap();
        Self { running, ends, read }
    }

    fn connect(&self) -> Client {
        Client::connect(self.running.local_addrs()[0].as_tcp().unwrap())
    }

    /// A client whose request for a tunnel was answered with this status.
    #[track_caller]
    fn ask(&self, path: &str, status: u16) -> Client {
        let mut client = self.connect();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"));
        assert_eq!(client.answer().unwrap().status, status);
        client
    }

    fn end(&self) -> TunnelEnd {
        self.ends.recv_timeout(crate::support::PATIENCE).unwrap()
    }
}

#[track_caller]
fn echo(client: &mut Client, text: &str) {
    client.0.write_all(text.as_bytes()).unwrap();
    let mut back = vec![0; text.len()];
    client.0.read_exact(&mut back).unwrap();
    assert_eq!(back, text.as_bytes());
}

#[test]
fn the_end_of_the_servers_half_reaches_the_client_while_the_other_half_goes_on() {
    let server = Fixture::new(config());
    let mut client = server.ask("/bye", 101);
    let mut text = String::new();
    client.0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "bye");
    client.send("still here");
    assert_eq!(server.read.recv_timeout(crate::support::PATIENCE).unwrap(), b"still here");
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    let end = server.end();
    assert_eq!((end.received, end.sent, end.cut), (10, 3, false));
    until("the connection is closed", || server.running.stats()[0].connections == 0);
}

#[test]
fn over_tls_the_client_sees_the_end_of_the_servers_half_too() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = crate::tls::write_pair(dir.path());
    let server = Fixture::new(crate::tls::tls(dir.path()));
    let addr = server.running.local_addrs()[0].as_tcp().unwrap();
    crate::http2::run(async {
        let mut stream = crate::tls::connect_to(addr, &certificate, &["http/1.1"]).await.unwrap();
        let ask = b"GET /bye HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        stream.write_all(ask).await.unwrap();
        let mut all = String::new();
        // Without a close_notify this is an error.
        stream.read_to_string(&mut all).await.unwrap();
        assert!(all.starts_with("HTTP/1.1 101") && all.ends_with("\r\n\r\nbye"), "{all}");
        stream.write_all(b"still here").await.unwrap();
        stream.shutdown().await.unwrap();
    });
    assert_eq!(server.read.recv_timeout(crate::support::PATIENCE).unwrap(), b"still here");
    assert_eq!(server.end().received, 10);
}

#[test]
fn the_end_of_the_clients_half_reaches_the_handler() {
    let server = Fixture::new(config());
    let mut client = server.connect();
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nearly";
    client.send(ask);
    assert_eq!(client.answer().unwrap().status, 101);
    let mut early = [0; 5];
    client.0.read_exact(&mut early).unwrap();
    echo(&mut client, " and late");
    assert_eq!(server.running.stats()[0].tunnels, 1);
    client.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.is_closed());
    let end = server.end();
    assert_eq!((end.received, end.sent, end.cut), (14, 14, false));
    until("the tunnel is closed", || server.running.stats()[0].tunnels == 0);
    assert_eq!(server.running.stats()[0].tunnels_opened, 1);
}

#[test]
fn tunnels_are_limited() {
    let server = Fixture::new(Config { max_tunnels: 2, max_connections_per_client: 4, ..config() });
    let (_first, second) = (server.ask("/", 101), server.ask("/forget", 101));
    let mut third = server.ask("/", 503);
    // The connection goes on with HTTP.
    third.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(third.answer().unwrap().text(), "plain");
    assert_eq!(server.running.stats()[0].tunnels_refused, 1);
    drop((second, third));
    let fourth = server.ask("/", 503);
    drop((_first, fourth));
    until("one tunnel is closed", || server.running.stats()[0].tunnels == 1);
    server.ask("/", 101);
}

#[test]
fn one_client_cannot_take_all_tunnels() {
    let server = Fixture::new(Config { max_tunnels: 8, ..config() });
    let tunnels: Vec<_> = (0..7).map(|_| server.ask("/", 101)).collect();
    server.ask("/", 503);
    drop(tunnels);
}

#[test]
fn an_idle_tunnel_is_cut() {
    punctually(|idle| {
        let server = Fixture::new(Config { tunnel_idle: idle, keep_alive: Duration::from_millis(1), ..config() });
        let mut client = server.ask("/", 101);
        let begun = Instant::now();
        while begun.elapsed() < idle * 2 {
            echo(&mut client, "busy");
            std::thread::sleep(idle / 20);
        }
        let begun = Instant::now();
        assert!(client.is_closed());
        let end = server.end();
        assert!(end.cut && end.received > 0 && end.received == end.sent, "{end:?}");
        begun.elapsed() < idle * 3
    });
}

#[test]
fn an_old_tunnel_ends_in_order() {
    let server = Fixture::new(Config { max_connection_age: Duration::from_millis(300), ..config() });
    let mut client = server.ask("/", 101);
    echo(&mut client, "young");
    // The handler reads an end, and ends the tunnel.
    assert!(client.is_closed());
    assert!(server.end().cut);
    // A tunnel whose handler does not read is cut.
    let mut client = server.ask("/forget", 101);
    let end = server.end();
    assert!(end.cut && end.duration < Duration::from_secs(9), "{end:?}");
    client.send("no answer");
}

#[test]
fn a_server_that_shuts_down_cuts_tunnels_at_the_end_of_the_drain() {
    let server = Fixture::new(Config { drain: Duration::from_millis(200), ..config() });
    let mut client = server.ask("/", 101);
    server.running.shutdown();
    echo(&mut client, "during the drain");
    let outcome = stopped(server.running);
    assert_eq!((outcome.drained, outcome.cut), (false, 1));
    assert!(client.is_closed());
}
