//! HTTP/2, by prior knowledge.

use std::io::Read;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_server::Config;
use h2::client::SendRequest;
use http::{Request, Response};

use crate::support::{Fixture, PATIENCE, config, punctually};

pub fn h2c() -> Config {
    Config { h2c: true, ..config() }
}

pub fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

/// A client and the task of its connection, which ends with the connection.
pub async fn client(server: &Fixture) -> (SendRequest<Bytes>, tokio::task::JoinHandle<Result<(), h2::Error>>) {
    let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let (client, connection) = h2::client::handshake(socket).await.unwrap();
    (client.ready().await.unwrap(), tokio::spawn(connection))
}

pub async fn send(
    client: &mut SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> Result<(u16, String), h2::Error> {
    let (response, mut stream) = client.send_request(request, body.is_empty())?;
    if !body.is_empty() {
        stream.send_data(Bytes::from_static(body), true)?;
    }
    let response: Response<h2::RecvStream> = response.await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        let _ = body.flow_control().release_capacity(data.len());
        text.extend_from_slice(&data);
    }
    Ok((status, String::from_utf8(text).unwrap()))
}

pub fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

#[test]
fn prior_knowledge_is_accepted_if_it_is_configured() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        assert_eq!(send(&mut client, get("http://a/"), b"").await.unwrap(), (200, "Hello, World!".into()));
        let post = Request::post("http://a/echo").body(()).unwrap();
        assert_eq!(send(&mut client, post, b"abc").await.unwrap(), (200, "abc".into()));
    });
    // The same port serves HTTP/1.1.
    assert_eq!(server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "Hello, World!");
}

#[test]
fn services_see_one_form_of_request() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        let request = get("http://b:81/host?q=1");
        assert_eq!(send(&mut client, request, b"").await.unwrap(), (200, "b:81 /host?q=1".into()));
        let differs = Request::get("http://a/").header("host", "b").body(()).unwrap();
        assert_eq!(send(&mut client, differs, b"").await.unwrap().0, 400);
        let expects = Request::get("http://a/").header("expect", "x").body(()).unwrap();
        assert_eq!(send(&mut client, expects, b"").await.unwrap().0, 417);
    });
}

#[test]
fn malformed_requests_are_refused() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, _connection) = client(&server).await;
        for value in [" b", "b ", "\tb", " "] {
            let padded = Request::get("http://a/").header("x-a", value).body(()).unwrap();
            assert_eq!(send(&mut client, padded, b"").await.unwrap().0, 400, "{value:?}");
        }
        let empty = Request::get("http://a/").header("x-a", "").body(()).unwrap();
        assert_eq!(send(&mut client, empty, b"").await.unwrap().0, 200);
        let target = |method: &str| {
            let authority = http::uri::Authority::from_static("a");
            let uri = http::Uri::builder().scheme("http").authority(authority).path_and_query("*").build().unwrap();
            Request::builder().method(method).uri(uri).body(()).unwrap()
        };
        assert_eq!(send(&mut client, target("OPTIONS"), b"").await.unwrap().0, 204);
        assert_eq!(send(&mut client, target("GET"), b"").await.unwrap().0, 400);
        assert_eq!(send(&mut client, target("POST"), b"").await.unwrap().0, 400);
    });
}

#[test]
fn streams_in_flight_are_answered_at_shutdown() {
    let server = Fixture::with(h2c());
    run(async {
        let (mut client, connection) = client(&server).await;
        let (response, _) = client.send_request(get("http://a/wait/500"), true).unwrap();
        while server.running.stats()[0].requests == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.running.shutdown();
        assert_eq!(response.await.unwrap().status(), 200);
        drop(client);
        connection.await.unwrap().unwrap();
        assert!(server.running.stopped().await.drained);
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let server = Fixture::with(Config { keep_alive: Duration::from_millis(300), ..h2c() });
    run(async {
        // A connection without a request has a shorter deadline.
        let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
        let (response, _) = client.send_request(get("http://a/wait/800"), true).unwrap();
        let connection = tokio::spawn(connection);
        assert_eq!(response.await.unwrap().status(), 200);
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn rapid_resets_end_the_connection() {
    let server = Fixture::with(Config { max_connections: 100, ..h2c() });
    run(async {
        let (client, connection) = client(&server).await;
        for _ in 0..20_000 {
            let Ok(mut ready) = client.clone().ready().await else { break };
            let Ok((_, mut stream)) = ready.send_request(get("http://a/wait/60000"), true) else { break };
            stream.send_reset(h2::Reason::CANCEL);
            tokio::task::yield_now().await;
        }
        drop(client);
        assert!(connection.await.unwrap().is_err());
    });
}

#[test]
fn a_flood_of_control_frames_ends_the_connection() {
    for kind in [4, 6] {
        let server = Fixture::with(h2c());
        let mut client = server.connect();
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        let frame = match kind {
            4 => vec![0, 0, 0, 4, 0, 0, 0, 0, 0],
            _ => vec![0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        };
        let mut reader = crate::support::Client(client.0.try_clone().unwrap());
        let drain = std::thread::spawn(move || while !reader.is_closed() {});
        client.send(frame.repeat(6_000));
        drain.join().unwrap();
    }
}

#[test]
fn a_window_that_stays_closed_ends_the_stream() {
    let server = Fixture::with(Config { write_timeout: Duration::from_millis(300), ..h2c() });
    run(async {
        let (mut client, _connection) = client(&server).await;
        let (response, _) = client.send_request(get("http://a/stream"), true).unwrap();
        // The client reads data, and never releases capacity.
        let mut body = response.await.unwrap().into_body();
        while body.data().await.unwrap().is_ok() {}
    });
}

/// Waits 20 ms, and records the longest wait.
async fn short_wait(longest: &mut Duration) {
    let begun = Instant::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    *longest = begun.elapsed().max(*longest);
}

#[test]
fn a_body_that_stops_is_answered_408_though_another_stream_is_busy() {
    punctually(|body_timeout| {
        let server = Fixture::with(Config { body_timeout, ..h2c() });
        run(async {
            let (mut client, _connection) = client(&server).await;
            let post = || Request::post("http://a/length").body(()).unwrap();
            let (slow, mut stopped) = client.send_request(post(), false).unwrap();
            stopped.send_data(Bytes::from_static(b"abc"), false).unwrap();
            let (steady, mut body) = client.send_request(post(), false).unwrap();
            let slow = tokio::spawn(slow);
            let mut longest = Duration::ZERO;
            while !slow.is_finished() {
                body.send_data(Bytes::from_static(&[b'x'; 1000]), false).unwrap();
                short_wait(&mut longest).await;
            }
            let _ = body.send_data(Bytes::new(), true);
            assert_eq!(slow.await.unwrap().unwrap().status(), 408);
            let punctual = longest < body_timeout / 4;
            assert!(steady.await.is_ok_and(|response| response.status() == 200) || !punctual);
            punctual
        })
    });
}

#[test]
fn a_response_that_is_not_read_is_reset_though_another_stream_is_busy() {
    punctually(|write_timeout| {
        let server = Fixture::with(Config { write_timeout, ..h2c() });
        run(async {
            let socket = tokio::net::TcpStream::connect(server.addr).await.unwrap();
            // The window of the connection is large, those of streams are small.
            let handshake = h2::client::Builder::new().initial_connection_window_size(1 << 24).handshake(socket);
            let (client, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            let mut client: SendRequest<Bytes> = client.ready().await.unwrap();
            let (stalled, _) = client.send_request(get("http://a/stream"), true).unwrap();
            let (busy, _) = client.send_request(get("http://a/stream"), true).unwrap();
            let mut stalled = stalled.await.unwrap().into_body();
            let mut busy = busy.await.unwrap().into_body();
            let (begun, mut longest) = (Instant::now(), Duration::ZERO);
            while begun.elapsed() < 3 * write_timeout {
                match busy.data().await.unwrap() {
                    Ok(data) => busy.flow_control().release_capacity(data.len()).unwrap(),
                    Err(_) => break,
                }
                short_wait(&mut longest).await;
            }
            let reset = loop {
                match stalled.data().await.unwrap() {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(reset.is_reset(), "{reset}");
            let punctual = longest < write_timeout / 4;
            assert!(busy.data().await.unwrap().is_ok() || !punctual);
            punctual
        })
    });
}

/// Sends `frames` behind the preface. Returns the code of the server's last GOAWAY (RFC 9113 §6.8).
fn last_code(frames: &[&[u8]]) -> Option<u8> {
    let server = Fixture::with(h2c());
    let mut client = server.connect();
    client.send([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", frames.concat().as_slice()].concat());
    let mut code = None;
    loop {
        let mut head = [0; 9];
        if client.0.read_exact(&mut head).is_err() {
            return code;
        }
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        client.0.read_exact(&mut payload).unwrap();
        if head[3] == 7 {
            code = payload.get(7).copied();
        }
    }
}

#[test]
fn forbidden_frames_end_the_connection_with_their_code() {
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08";
    // GET http://a/, by the static table of HPACK and a literal. WHOLE has END_STREAM.
    const OPEN: &[u8] = b"\0\0\x06\x01\x04\0\0\0\x01\x82\x86\x84\x01\x01a";
    const WHOLE: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x01\x01a";
    const DATA: &[u8] = b"\0\0\x01\0\0\0\0\0\x01x";
    const LAST: &[u8] = b"\0\0\x01\0\x01\0\0\0\x01x";
    assert_eq!(last_code(&[PING]), Some(1));
    assert_eq!(last_code(&[b"\0\0\0\x04\x01\0\0\0\0", PING]), Some(1));
    assert_eq!(last_code(&[WHOLE, SETTINGS]), Some(1));
    // RFC 9113 §5.1: data behind the end of a stream.
    assert_eq!(last_code(&[SETTINGS, WHOLE, DATA]), Some(5));
    assert_eq!(last_code(&[SETTINGS, OPEN, LAST, DATA]), Some(5));
}
