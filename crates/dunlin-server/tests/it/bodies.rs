//! Bodies of requests and responses: pieces, ends, trailers, and the requests behind them.

use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dunlin_http::Body;
use dunlin_server::{Config, Routes, Running, Server};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use tokio::sync::mpsc;

use crate::support::{Client, config, stopped};

/// A body of some pieces, with trailers.
struct Pieces(Vec<Bytes>, Option<HeaderMap>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.0.pop().map(Frame::data);
        Poll::Ready(data.or_else(|| self.1.take().map(Frame::trailers)).map(Ok))
    }
}

fn pieces(sizes: &[usize]) -> Vec<Bytes> {
    sizes.iter().map(|size| vec![b'x'; *size].into()).collect()
}

/// Reads a body to its end: its data, and its trailers.
async fn read(mut body: Body) -> Option<(usize, HeaderMap)> {
    let (mut length, mut trailers) = (0, HeaderMap::new());
    while let Some(frame) = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await {
        match frame.ok()?.into_data() {
            Ok(data) => length += data.len(),
            Err(frame) => trailers = frame.into_trailers().ok()?,
        }
    }
    Some((length, trailers))
}

fn serve(routes: Routes) -> (Running, Client) {
    serve_with(config(), routes)
}

fn serve_with(config: Config, routes: Routes) -> (Running, Client) {
    let router = routes.build().unwrap();
    let router = std::sync::Mutex::new(router);
    let running = Server::bind(config).unwrap().start(move |_| {
        let router = router.lock().unwrap().clone();
        async move { Ok(router) }
    });
    let running = running.unwrap();
    let client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    (running, client)
}

#[test]
fn trailers_reach_the_handler() {
    let (_running, mut client) = serve(Routes::new().post("/", async |request: Request<Body>| {
        let (length, trailers) = read(request.into_body()).await.unwrap();
        format!("{length} {:?}", trailers.get("t"))
    }));
    for _ in 0..2 {
        client.send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
        );
        assert_eq!(client.answer().unwrap().text(), "5 Some(\"1\")");
    }
}

#[test]
fn trailers_are_sent_to_clients_that_accept_them() {
    let (_running, mut client) = serve(Routes::new().get("/", async |_| {
        let mut trailers = HeaderMap::new();
        trailers.insert("t", HeaderValue::from_static("1"));
        trailers.insert(CONTENT_LENGTH, HeaderValue::from_static("9"));
        Response::new(Body::new(Pieces(pieces(&[3, 5]), Some(trailers))))
    }));
    let mut ask = |te: &str, end: &[u8]| {
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{te}\r\n"));
        let mut all = Vec::new();
        while !all.ends_with(end) {
            let mut byte = [0];
            client.0.read_exact(&mut byte).unwrap();
            all.push(byte[0]);
        }
        String::from_utf8(all).unwrap()
    };
    let plain = ask("", b"\r\n0\r\n\r\n");
    assert!(plain.ends_with("\r\n\r\n5\r\nxxxxx\r\n3\r\nxxx\r\n0\r\n\r\n"), "{plain}");
    let with = ask("Connection: te\r\nTE: trailers\r\n", b"t: 1\r\n\r\n");
    assert!(with.ends_with("\r\n3\r\nxxx\r\n0\r\nt: 1\r\n\r\n"), "{with}");
}

#[test]
fn pieces_of_any_size_arrive_unchanged() {
    const SIZES: [&[usize]; 6] =
        [&[1], &[2048, 2049], &[0, 1, 0], &[16_383, 1, 16_385, 3], &[100_000, 1, 100_000], &[1_000; 100]];
    let (_running, mut client) = serve(Routes::new().get("/{case}", async |request: Request<Body>| {
        let case: usize = request.uri().path()[1..].parse().unwrap();
        Response::new(Body::new(Pieces(pieces(SIZES[case]), None)))
    }));
    for (case, sizes) in SIZES.iter().enumerate() {
        client.send(format!("GET /{case} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(3));
        for _ in 0..3 {
            assert_eq!(client.answer().unwrap().body.len(), sizes.iter().sum::<usize>(), "{sizes:?}");
        }
    }
}

#[test]
fn a_stream_of_another_length_than_announced_ends_the_connection() {
    let (running, mut client) = serve(Routes::new().get("/{length}", async |request: Request<Body>| {
        let mut response = Response::new(Body::new(Pieces(pieces(&[10, 10]), None)));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_str(&request.uri().path()[1..]).unwrap());
        response
    }));
    client.send("GET /20 HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer().unwrap();
    assert_eq!((answer.field("content-length"), answer.body.len()), (Some("20"), 20));
    // Too few or too many bytes. The client must see neither a complete response nor a second one.
    for length in ["21", "19"] {
        let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
        client.send(format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let mut all = String::new();
        client.0.read_to_string(&mut all).unwrap();
        assert!(all.split("\r\n\r\n").nth(1).unwrap_or_default().len() < length.parse().unwrap(), "{all}");
    }
}

#[test]
fn http_1_0_gets_no_chunks_and_our_version() {
    let (running, _) = serve(Routes::new().get("/", async |_| Response::new(Body::new(Pieces(pieces(&[3, 5]), None)))));
    for ask in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
        client.send(ask);
        let mut all = String::new();
        client.0.read_to_string(&mut all).unwrap();
        assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && all.ends_with("\r\n\r\nxxxxxxxx"), "{all}");
        assert!(all.contains("connection: close\r\n") && !all.contains("chunked"), "{all}");
    }
}

/// A body that another task sends.
struct Received(mpsc::Receiver<Bytes>);

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|data| data.map(Frame::data).map(Ok))
    }
}

/// Responds with the body while it arrives.
async fn echo(request: Request<Body>) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    let mut body = request.into_body();
    tokio::spawn(async move {
        while let Some(Ok(frame)) =
            std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await
        {
            if let Ok(data) = frame.into_data()
                && sender.send(data).await.is_err()
            {
                return;
            }
        }
    });
    Response::new(Body::new(Received(receiver)))
}

#[test]
fn both_bodies_of_an_exchange_flow_at_once() {
    for event_loop in [dunlin_server::EventLoop::PerCore, dunlin_server::EventLoop::Shared] {
        let config = Config { event_loop, ..config() };
        let (running, mut client) = serve_with(config, Routes::new().post("/", echo).get("/", async |_| "next"));
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        for word in ["one", "two", "three"] {
            client.send(format!("{:x}\r\n{word}\r\n", word.len()));
            let mut said = vec![0; word.len() + 5];
            client.0.read_exact(&mut said).unwrap();
            assert_eq!(String::from_utf8(said).unwrap(), format!("{:x}\r\n{word}\r\n", word.len()));
        }
        client.send("0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut end = [0; 5];
        client.0.read_exact(&mut end).unwrap();
        assert_eq!(&end, b"0\r\n\r\n");
        assert_eq!(client.answer().unwrap().text(), "next");
        drop(client);
        running.shutdown();
        assert!(stopped(running).drained);
    }
}

#[test]
fn a_body_can_be_read_to_its_end_behind_the_response() {
    let (sender, lengths) = std::sync::mpsc::channel();
    let is_answered = Arc::new(tokio::sync::Notify::new());
    let begin = is_answered.clone();
    let (_running, mut client) = serve(Routes::new().post("/", move |request: Request<Body>| {
        let (sender, begin) = (sender.clone(), begin.clone());
        async move {
            tokio::spawn(async move {
                begin.notified().await;
                let _ = sender.send(read(request.into_body()).await.map(|(length, _)| length));
            });
            "taken"
        }
    }));
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
        assert_eq!(client.answer().unwrap().text(), "taken");
        is_answered.notify_one();
        client.send(vec![b'x'; 300_000]);
        assert_eq!(lengths.recv().unwrap(), Some(300_000));
    }
    // A truncated body is an error.
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
    assert_eq!(client.answer().unwrap().text(), "taken");
    is_answered.notify_one();
    drop(client);
    assert_eq!(lengths.recv().unwrap(), None);
}

#[test]
fn an_interim_status_of_a_final_response_is_500() {
    let (_running, mut client) = serve(Routes::new().get("/", async |_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::EARLY_HINTS;
        response
    }));
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.field("connection")), (500, Some("close")));
}
