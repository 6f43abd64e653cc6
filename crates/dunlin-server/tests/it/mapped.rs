//! Responses whose content is a mapped file. The kernel sends it if it can. The bytes are the same
//! either way.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_http::{Body, Mapped};
use dunlin_server::{Config, Routes, Running, Server};
use http::{Request, Response};

use crate::support::{Client, config, until};

/// A file, and memory that stands for its mapping. Here the two differ, so that a test sees which
/// of them was sent.
#[derive(Debug)]
pub struct Double {
    file: File,
    memory: Vec<u8>,
}

struct Content(Arc<Double>);

const LEN: usize = 20_000_000;

pub fn in_memory(len: usize) -> Vec<u8> {
    (0..len).map(|n| b'a' + (n / 5 % 26) as u8).collect()
}

fn in_file(len: usize) -> Vec<u8> {
    in_memory(len).to_ascii_uppercase()
}

// === impl Double ===

impl Double {
    fn new() -> Arc<Self> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&in_file(LEN)).unwrap();
        Arc::new(Self { file, memory: in_memory(LEN) })
    }

    fn body(self: &Arc<Self>, range: std::ops::Range<usize>) -> Body {
        Body::from(Bytes::from_owner(Content(Arc::clone(self))).slice(range)).mapped(Arc::<Self>::clone(self))
    }
}

impl AsRef<[u8]> for Double {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}

impl AsFd for Double {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Mapped for Double {}

impl AsRef<[u8]> for Content {
    fn as_ref(&self) -> &[u8] {
        &self.0.memory
    }
}

/// Serves `/{from}/{to}` with that range, and `/text` with a few bytes.
pub fn serve(config: Config) -> (Running, Arc<Double>) {
    let double = Double::new();
    let routes = Routes::new().get("/text", async |_| "a few bytes").get("/{from}/{to}", {
        let double = Arc::clone(&double);
        move |request: Request<Body>| {
            let bounds: Vec<usize> = request.uri().path()[1..].split('/').map(|part| part.parse().unwrap()).collect();
            let body = double.body(bounds[0]..bounds[1]);
            async move { Response::new(body) }
        }
    });
    let router = Arc::new(routes.build().unwrap());
    let running = Server::bind(config).unwrap().start(move |_| {
        let router = Arc::clone(&router);
        async move { Ok((*router).clone()) }
    });
    (running.unwrap(), double)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn large_ranges_come_from_the_file_small_ones_from_memory() {
    let (running, _) = serve(config());
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    for (from, to) in [(0, LEN), (0, 1 << 20), (1, LEN - 1), (4095, 40_001), (LEN - 16_384, LEN)] {
        client.send(get(&format!("/{from}/{to}")));
        let answer = client.answer().unwrap();
        let expect = if cfg!(target_os = "linux") { in_file(LEN) } else { in_memory(LEN) };
        assert!(answer.body == expect[from..to], "{from}..{to}");
    }
    client.send(get("/7/8000"));
    assert!(client.answer().unwrap().body == in_memory(LEN)[7..8000]);
    client.send(get("/text"));
    assert_eq!(client.answer().unwrap().text(), "a few bytes");
}

#[test]
fn pipelined_responses_keep_their_order() {
    let (running, _) = serve(config());
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    let paths = ["/0/100000", "/text", "/50000/3000000", "/text", "/text", "/1/20000", "/0/70000"];
    client.send(paths.map(get).concat());
    for path in paths {
        let body = client.answer().unwrap().body;
        if path == "/text" {
            assert_eq!(body, b"a few bytes");
        } else {
            let bounds: Vec<usize> = path[1..].split('/').map(|part| part.parse().unwrap()).collect();
            assert!(body.eq_ignore_ascii_case(&in_memory(LEN)[bounds[0]..bounds[1]]), "{path}");
        }
    }
}

#[test]
fn over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listen = vec![format!("unix:{}", path.display()).parse().unwrap()];
    let (_running, _) = serve(Config { listen, ..config() });
    let mut client = UnixStream::connect(path).unwrap();
    client.write_all(b"GET /3/5000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(all.to_ascii_lowercase().ends_with(&in_memory(LEN)[3..5_000_000]));
}

/// Another client is answered while one reads a file as fast as it can.
#[test]
fn a_fast_reader_does_not_block_others() {
    let (running, _) = serve(config());
    let addr = running.local_addrs()[0].as_tcp().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut client = Client::connect(addr);
        let mut answers = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            client.send(get(&format!("/0/{LEN}")));
            assert_eq!(client.answer().unwrap().body.len(), LEN);
            answers += 1;
        }
        answers
    });
    let mut client = Client::connect(addr);
    for _ in 0..200 {
        client.send(get("/text"));
        assert_eq!(client.answer().unwrap().text(), "a few bytes");
    }
    drop(stop);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn a_reader_that_stops_is_cut_and_the_file_released() {
    let (running, double) = serve(Config { write_timeout: Duration::from_millis(300), ..config() });
    let held = Arc::strong_count(&double);
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    client.send(get(&format!("/0/{LEN}")));
    until("the connection is cut", || running.stats()[0].requests > 0 && running.stats()[0].connections == 0);
    until("the file is released", || Arc::strong_count(&double) == held);
    let mut all = Vec::new();
    let _ = client.0.read_to_end(&mut all);
    assert!(all.len() < LEN);
}

#[test]
fn an_idle_connection_holds_no_file() {
    let (running, double) = serve(config());
    let held = Arc::strong_count(&double);
    let mut client = Client::connect(running.local_addrs()[0].as_tcp().unwrap());
    for path in ["/0/100000", "/0/100"] {
        client.send(get(path));
        client.answer().unwrap();
        until("the file is released", || Arc::strong_count(&double) == held);
    }
}
