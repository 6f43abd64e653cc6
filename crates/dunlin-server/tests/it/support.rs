//! A server for a test, and a client that sends bytes.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use dunlin_http::{Body, BodyError};
use dunlin_server::{Config, EventLoop, Routes, Running, Server};
use http::{Request, Response};
use http_body::Frame;
use tokio::sync::watch;

/// The time after which a test fails while it waits for something: far more than that takes, on a
/// machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The body of `/big`.
static BIG: LazyLock<Bytes> = LazyLock::new(|| vec![b'x'; 50_000_000].into());

/// The names that [`release`] was given.
static RELEASED: LazyLock<watch::Sender<HashSet<String>>> = LazyLock::new(watch::Sender::default);

/// A server with one loop and a few routes.
pub struct Fixture {
    pub running: Running,
    pub addr: SocketAddr,
}

/// A client that sends raw bytes.
pub struct Client(pub TcpStream);

/// A response as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// One worker on a free port.
pub fn config() -> Config {
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], workers: 1, ..Config::default() }
}

/// Routes: `/` greets, `/echo` responds with the body, `/length` with its length, `/wait/{ms}`
/// after a time, `/held/{name}` once it is released, `/big/{bytes}` with as many bytes.
pub fn routes() -> Routes {
    Routes::new()
        .get("/", async |_| "Hello, World!")
        .route(&[], "/echo", echo)
        .post("/length", async |request: Request<Body>| match request.into_body().collect(1 << 30).await {
            Ok(bytes) => Ok(bytes.len().to_string()),
            Err(error) => Err(dunlin_http::Problem::new(error.status())),
        })
        .post("/ignore", async |_| "ignored")
        .get("/host", async |request: Request<Body>| {
            format!("{} {}", request.headers()["host"].to_str().unwrap(), request.uri())
        })
        .get("/stream", async |_| Response::new(Body::new(Endless)))
        .get("/wait/{ms}", async |request: Request<Body>| {
            let ms = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_millis(ms)).await;
            "waited"
        })
        .get("/held/{name}", async |request: Request<Body>| {
            let name = request.uri().path().rsplit('/').next().unwrap();
            RELEASED.subscribe().wait_for(|released| released.contains(name)).await.unwrap();
            "released"
        })
        .get("/cookies", async |request: Request<Body>| {
            let fields = request.headers().get_all("cookie").iter();
            fields.map(|field| field.to_str().unwrap()).collect::<Vec<_>>().join("|")
        })
        .get("/hops", async |_| {
            let fields = [
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "1"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "x"),
                ("content-length", "9"),
            ];
            let response =
                fields.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
            response.body(Body::from("hops")).unwrap()
        })
        .get("/status/{code}", async |request: Request<Body>| {
            let code = request.uri().path().rsplit('/').next().unwrap();
            Response::builder().status(code).header("content-length", "4").body(Body::from("code")).unwrap()
        })
        .get("/panic", async |_| -> &'static str { panic!("a panic of the test") })
        .get("/panic/later", async |_| Response::new(Body::new(Panics(false))))
        .get("/big/{bytes}", async |request: Request<Body>| {
            let bytes: usize = request.uri().path().rsplit('/').next().unwrap().parse().unwrap();
            Response::new(Body::from(BIG.slice(..bytes)))
        })
}

async fn echo(request: Request<Body>) -> Result<Response<Body>, dunlin_http::Problem> {
    let problem = |error: BodyError| dunlin_http::Problem::new(error.status());
    request.into_body().collect(1 << 30).await.map(|bytes| Response::new(bytes.into())).map_err(problem)
}

/// Releases `/held/{name}` of every server.
pub fn release(name: &str) {
    RELEASED.send_modify(|released| _ = released.insert(name.to_owned()));
}

/// Waits until `done` returns `true`.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Tests a client that keeps a deadline of the server's. `attempt` returns `false` if this process
/// was too slow for its own test. Then it is repeated with a longer deadline. It panics on failure.
#[track_caller]
pub fn punctually(attempt: impl FnMut(Duration) -> bool) {
    let mut deadlines = [300, 1_000, 3_000, 10_000].map(Duration::from_millis).into_iter();
    assert!(deadlines.any(attempt), "this process is too slow for every deadline");
}

/// A body without an end.
struct Endless;

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(BIG.slice(..10_000)))))
    }
}

/// A body that panics after its first piece.
struct Panics(bool);

impl http_body::Body for Panics {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        assert!(!std::mem::replace(&mut self.0, true), "a panic of the test");
        Poll::Ready(Some(Ok(Frame::data(BIG.slice(..100)))))
    }
}

// === impl Fixture ===

impl Fixture {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        Self::of(config, routes())
    }

    /// A server with other routes.
    pub fn of(config: Config, routes: Routes) -> Self {
        let server = Server::bind(config).unwrap();
        let service = routes.build().unwrap();
        let running = server.start(move |_| std::future::ready(Ok(service.clone()))).unwrap();
        let addr = running.local_addrs()[0].as_tcp().unwrap_or(([0, 0, 0, 0], 0).into());
        Self { running, addr }
    }

    pub fn shared() -> Self {
        Self::with(Config { event_loop: EventLoop::Shared, workers: 2, ..config() })
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.addr)
    }

    /// Sends `bytes` on a new connection. Returns the response.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect();
        client.send(bytes);
        client.answer().expect("an answer")
    }

    pub fn stop(self) -> dunlin_server::Outcome {
        self.running.shutdown();
        stopped(self.running)
    }
}

pub fn stopped(running: Running) -> dunlin_server::Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(running.stopped())
}

// === impl Client ===

impl Client {
    pub fn connect(addr: SocketAddr) -> Self {
        let socket = TcpStream::connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self(socket)
    }

    /// Sends `bytes`. An error is ignored, because the server may have closed.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Reads the next response. Returns `None` if the connection ends first.
    #[track_caller]
    pub fn answer(&mut self) -> Option<Answer> {
        self.answer_to("GET")
    }

    /// Reads the next response, to a request of this method.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing within {PATIENCE:?}"),
                _ if head.is_empty() => return None,
                other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&head)),
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        let body = match field(&head, "content-length") {
            _ if method == "HEAD" || status < 200 || matches!(status, 204 | 304) => Vec::new(),
            Some(length) => {
                let mut body = vec![0; length.parse().unwrap()];
                self.0.read_exact(&mut body).unwrap();
                body
            }
            None if field(&head, "transfer-encoding").is_some() => self.chunks(),
            None => {
                let mut body = Vec::new();
                let _ = self.0.read_to_end(&mut body);
                body
            }
        };
        Some(Answer { status, head, body })
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let mut line = Vec::new();
            let mut byte = [0];
            while !line.ends_with(b"\r\n") {
                self.0.read_exact(&mut byte).unwrap();
                line.push(byte[0]);
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.0.read_exact(&mut chunk).unwrap();
            if size == 0 {
                return body;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Returns `true` if the server closes, and no byte comes before.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(n) => n == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

// === impl Answer ===

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}
