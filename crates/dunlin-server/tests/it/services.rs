//! Services of tower behind a connection: readiness and errors.

use std::pin::Pin;
use std::task::{Context, Poll};

use dunlin_http::Body;
use dunlin_server::{Config, Running, Server};
use http::{Request, Response};

use crate::http2::{get, run, send};
use crate::support::{Client, config};

/// A service that is ready at its third poll, and fails while it becomes ready or in its future.
#[derive(Clone)]
struct Slow {
    polls: u32,
    is_broken: bool,
}

impl tower_service::Service<Request<Body>> for Slow {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.polls += 1;
        if self.polls < 3 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(if self.is_broken { Err("never ready") } else { Ok(()) })
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(self.polls >= 3, "it was called before it was ready");
        Box::pin(std::future::ready(match request.uri().path() {
            "/error" => Err("failed"),
            path => Ok(Response::new(path.to_owned())),
        }))
    }
}

fn start(is_broken: bool) -> Running {
    let server = Server::bind(Config { h2c: true, ..config() }).unwrap();
    server.start(move |_| async move { Ok(Slow { polls: 0, is_broken }) }).unwrap()
}

fn ask(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_service_is_called_once_it_is_ready_and_its_error_ends_the_connection() {
    let running = start(false);
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    client.send(ask("/1") + &ask("/2") + &ask("/error") + &ask("/3"));
    assert_eq!(client.answer().unwrap().text(), "/1");
    assert_eq!(client.answer().unwrap().text(), "/2");
    assert!(client.is_closed());
    let broken = start(true);
    let mut client = Client::connect(broken.local_addrs()[0].as_tcp().unwrap());
    client.send(ask("/1"));
    assert!(client.is_closed());
}

#[test]
fn over_http2_its_error_resets_the_stream() {
    for is_broken in [false, true] {
        let running = start(is_broken);
        let addr = running.local_addrs()[0].as_tcp().unwrap();
        run(async {
            let socket = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let mut client: h2::client::SendRequest<bytes::Bytes> = client.ready().await.unwrap();
            for path in ["/1", "/error", "/2"] {
                let answer = send(&mut client, get(&format!("http://a{path}")), b"").await;
                match (is_broken, path) {
                    (false, "/1" | "/2") => assert_eq!(answer.unwrap(), (200, path.to_owned())),
                    _ => assert_eq!(answer.unwrap_err().reason(), Some(h2::Reason::INTERNAL_ERROR)),
                }
            }
        });
    }
}

#[test]
fn a_body_over_the_limit_is_413_in_extractors_of_axum() {
    let server = Server::bind(Config { h2c: true, max_body: 1000, ..config() }).unwrap();
    let router = axum::Router::new().route("/", axum::routing::post(async |body: String| body));
    let running = server.start(move |_| std::future::ready(Ok(router.clone()))).unwrap();
    let addr = running.local_addrs()[0].as_tcp().unwrap();
    for (length, expect) in [(1000, 200), (1001, 413)] {
        let mut client = Client::connect(addr);
        let body = "x".repeat(length);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{length:x}\r\n{body}\r\n0\r\n\r\n"));
        assert_eq!(client.answer().unwrap().status, expect);
        run(async {
            let socket = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (client, connection) = h2::client::handshake(socket).await.unwrap();
            tokio::spawn(connection);
            let mut client: h2::client::SendRequest<bytes::Bytes> = client.ready().await.unwrap();
            let request = Request::post("http://a/").body(()).unwrap();
            let body: &'static [u8] = body.leak().as_bytes();
            assert_eq!(send(&mut client, request, body).await.unwrap().0, expect);
        });
    }
}
