//! TLS, its protocols, and certificates that change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dunlin_server::{Addr, Config, Listen, Server, Tls};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Client, Fixture, PATIENCE, config};

/// Writes a new pair into `dir`. Returns the certificate.
pub fn write_pair(dir: &Path) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
    pair.cert.der().clone()
}

pub fn tls(dir: &Path) -> Config {
    Config { tls: Some(Tls::new(dir.join("cert.pem"), dir.join("key.pem"))), ..config() }
}

async fn connect(
    server: &Fixture,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    connect_to(server.addr, trusted, protocols).await
}

pub async fn connect_to(
    addr: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = tokio::net::TcpStream::connect(addr).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

#[test]
fn alpn_decides_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let server = Fixture::with(tls(dir.path()));
    run(async {
        for protocols in [&["http/1.1"][..], &[]] {
            let mut stream = connect(&server, &certificate, protocols).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            // Without a close_notify this is an error.
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Hello, World!"), "{answer}");
        }
        let stream = connect(&server, &certificate, &["http/1.1", "h2"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("https://localhost/").body(()).unwrap();
        assert_eq!(client.send_request(request, true).unwrap().0.await.unwrap().status(), 200);
        assert!(connect(&server, &certificate, &["spdy/1"]).await.is_err());
    });
}

#[test]
fn a_client_that_closed_its_half_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let server = Fixture::with(tls(dir.path()));
    run(async {
        let mut stream = connect(&server, &certificate, &[]).await.unwrap();
        stream.write_all(b"GET /wait/200 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("waited"), "{answer}");
    });
}

#[test]
fn a_parked_connection_answers() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let server = Fixture::with(Config { park_after: Duration::from_millis(50), ..tls(dir.path()) });
    run(async {
        let mut stream = connect(&server, &certificate, &[]).await.unwrap();
        let mut answer = [0; 4096];
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            assert!(stream.read(&mut answer).await.unwrap() > 0 && answer.starts_with(b"HTTP/1.1 200"));
            while server.running.stats()[0].parked == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    });
}

#[test]
fn a_handshake_that_does_not_end_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path());
    let server = Fixture::with(Config { first_byte_timeout: Duration::from_millis(300), ..tls(dir.path()) });
    let mut client = server.connect();
    client.send([0x16, 3, 1]);
    assert!(client.is_closed());
}

#[test]
fn a_changed_pair_is_used_without_a_restart_if_it_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let old = write_pair(dir.path());
    crate::log::collect();
    let server = Fixture::with(tls(dir.path()));
    run(async {
        connect(&server, &old, &[]).await.unwrap();
        std::fs::write(dir.path().join("cert.pem"), "no certificate").unwrap();
        let path = dir.path().display().to_string();
        crate::log::wait_for_line(&["cannot use the changed certificate", &path]);
        connect(&server, &old, &[]).await.unwrap();
        let new = write_pair(dir.path());
        let begun = Instant::now();
        while connect(&server, &new, &[]).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "the changed pair is not used");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn bind_refuses_an_invalid_pair() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(dir.path());
    let other = tempfile::tempdir().unwrap();
    write_pair(other.path());
    let files = Tls::new(dir.path().join("cert.pem"), other.path().join("key.pem"));
    for files in [files, Tls::new("/nowhere/cert.pem", "/nowhere/key.pem")] {
        let named = files.pairs[0].certificate.display().to_string();
        let error = Server::bind(Config { tls: Some(files), ..config() }).unwrap_err().to_string();
        assert!(error.contains(&named), "{error}");
    }
}

#[test]
fn content_of_a_mapped_file_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let (running, _) = crate::mapped::serve(tls(dir.path()));
    let server = Fixture { addr: running.local_addrs()[0].as_tcp().unwrap(), running };
    run(async {
        let mut stream = connect(&server, &certificate, &["http/1.1"]).await.unwrap();
        stream.write_all(b"GET /5/3000000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert!(answer.ends_with(&crate::mapped::in_memory(3_000_000)[5..]), "{} bytes", answer.len());
    });
}

#[test]
fn a_slow_reader_gets_all_of_a_long_response_and_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let server = Fixture::with(tls(dir.path()));
    run(async {
        let mut stream = connect(&server, &certificate, &[]).await.unwrap();
        for length in [5_000_000, 100_000, 2_000_000] {
            stream.write_all(format!("GET /big/{length} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
            // The reader is slow: the socket fills up meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            assert!(body.iter().all(|byte| *byte == b'x'));
        }
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("Hello, World!"), "{answer}");
    });
}

#[test]
fn each_listener_speaks_tls_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = write_pair(dir.path());
    let any = || Addr::Tcp(([127, 0, 0, 1], 0).into());
    let listen = |tls: &[Option<bool>]| tls.iter().map(|tls| Listen { tls: *tls, ..any().into() }).collect();
    for (settings, expect) in [
        (&[None, None][..], &[true, true][..]),
        (&[None, Some(true)], &[false, true]),
        (&[Some(false), None], &[false, true]),
        (&[Some(true), Some(false), None], &[true, false, false]),
    ] {
        // The loops hand connections over to each other.
        let server = Server::bind(Config { listen: listen(settings), workers: 2, ..tls(dir.path()) }).unwrap();
        let running = server.start(|_| async { Ok(crate::support::routes().build()?) }).unwrap();
        for (addr, speaks_tls) in running.local_addrs().iter().zip(expect) {
            let addr = addr.as_tcp().unwrap();
            let mut plain = Client::connect(addr);
            plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(plain.answer().unwrap().status, if *speaks_tls { 400 } else { 200 }, "{settings:?}");
            assert_eq!(run(connect_to(addr, &certificate, &["h2"])).is_ok(), *speaks_tls, "{settings:?}");
        }
    }
    let without_certificate = Config { listen: listen(&[Some(true)]), ..config() };
    assert!(Server::bind(without_certificate).unwrap_err().to_string().contains("needs a certificate"));
    let unix = Listen { tls: Some(true), ..Addr::Unix(dir.path().join("a.sock")).into() };
    assert!(Server::bind(Config { listen: vec![unix], ..tls(dir.path()) }).is_err());
}
