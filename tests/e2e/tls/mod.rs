//! TLS by `dunlin.toml`: both protocols, and a certificate that is renewed.

mod acme;
mod names;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use dunlin_testkit::{PATIENCE, eventually, raw};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::reload::{listening, reload, rewrite};
use crate::service::{Folder, Service, dunlin, free_addr, refused};

type Stream = StreamOwned<ClientConnection, TcpStream>;

const ROUTES: &str = "[server.tls]\ncertificate = \"tls/cert.pem\"\nkey = \"tls/key.pem\"\n\
    [[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n";

/// A new pair below `folder`, each file replaced at once as certificate managers do.
fn write_pair(folder: &Path) -> CertificateDer<'static> {
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let dir = folder.join("tls");
    std::fs::create_dir_all(&dir).unwrap();
    for (name, content) in [("key.pem", pair.signing_key.serialize_pem()), ("cert.pem", pair.cert.pem())] {
        std::fs::write(dir.join("new"), content).unwrap();
        std::fs::rename(dir.join("new"), dir.join(name)).unwrap();
    }
    pair.cert.der().clone()
}

fn start() -> (Service, CertificateDer<'static>) {
    let mut certificate = None;
    let service = Service::with("", ROUTES, |folder: &Folder| certificate = Some(write_pair(folder.path())));
    (service, certificate.unwrap())
}

/// A connection by one of `protocols`, if the service's certificate is `trusted`.
fn connect(service: &Service, trusted: &CertificateDer<'static>, protocols: &[&str]) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(service.addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

/// Sends `request` and reads until the greeting has come.
fn greeted(stream: &mut Stream, request: &[u8]) -> Vec<u8> {
    stream.write_all(request).unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while !answer.ends_with(b"Hello, World!") {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..n]);
    }
    answer
}

#[test]
fn alpn_decides_between_http_1_and_http_2() {
    let (service, certificate) = start();
    for protocols in [&["http/1.1"][..], &[]] {
        let mut stream = connect(&service, &certificate, protocols).unwrap();
        let answer = greeted(&mut stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let mut stream = connect(&service, &certificate, &["h2", "http/1.1"]).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    // RFC 9113 §3.4: the preface, SETTINGS; and HEADERS of `GET https://a/` that end the stream.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let request = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x87\x84\x41\x01a";
    greeted(&mut stream, &[&preface[..], request].concat());
}

#[test]
fn a_renewed_certificate_is_taken_and_kept_connections_go_on() {
    let (service, old) = start();
    let mut kept = connect(&service, &old, &[]).unwrap();
    let get = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    greeted(&mut kept, get);
    // A pair that does not fit together is not taken.
    let key = service.folder().path().join("tls/key.pem");
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    eventually("it is logged", || service.log().contains("certificate"));
    greeted(&mut connect(&service, &old, &[]).unwrap(), get);
    let new = write_pair(service.folder().path());
    eventually("the new certificate is served", || connect(&service, &new, &[]).is_ok());
    assert!(connect(&service, &old, &[]).is_err());
    greeted(&mut kept, get);
}

#[test]
fn a_certificate_for_none_of_the_hosts_is_a_warning() {
    #[track_caller]
    fn check(host: &str, warns: bool) {
        let folder = Folder::new(&format!("{ROUTES}host = \"{host}\"\n"));
        write_pair(folder.path());
        let out = dunlin(&["check"], &folder);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{message}");
        assert_eq!(message.contains("dunlin.toml:2:15: warning"), warns, "{message}");
        assert_eq!(message.contains("none of the hosts"), warns, "{message}");
    }
    check("localhost", false);
    check("example.com", true);
    check("*.example.com", true);
}

#[test]
fn an_unknown_host_is_misdirected() {
    let mut certificate = None;
    let config = format!("{ROUTES}host = \"localhost\"\n");
    let service = Service::with("", &config, |folder: &Folder| certificate = Some(write_pair(folder.path())));
    let mut stream = connect(&service, &certificate.unwrap(), &[]).unwrap();
    greeted(&mut stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 421 "), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn plain_and_tls_listeners_side_by_side() {
    let (plain, secure, admin) = (free_addr(), free_addr(), free_addr());
    let folder = Folder::new(&format!(
        "[server]\nlisten = [\"{plain}\", {{ address = \"{secure}\", tls = true }}, \
         {{ address = \"unix:app.sock\", mode = \"0660\" }}]\n\
         [server.tls]\ncertificate = \"tls/cert.pem\"\nkey = \"tls/key.pem\"\nredirect = true\n\
         [admin]\nlisten = \"{admin}\"\n\
         [[route]]\npath = \"/{{*rest}}\"\ntext = \"Hello, World!\"\n"
    ));
    let certificate = write_pair(folder.path());
    let service = Service::of(folder, secure, admin);
    let away = raw::request(plain, "POST", "/a?b=c", &[("Host", "localhost:80")], b"");
    let location = format!("https://localhost:{}/a?b=c", secure.port());
    assert_eq!((away.status, away.header("location")), (308, Some(&*location)));
    let mut stream = connect(&service, &certificate, &[]).unwrap();
    greeted(&mut stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let socket = service.folder().path().join("app.sock");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o660);
    let mut local = std::os::unix::net::UnixStream::connect(socket).unwrap();
    local.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    local.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn a_reload_changes_listeners_between_plain_and_tls() {
    let (service, certificate) = start();
    let (first, second) = (service.addr, free_addr());
    greeted(&mut connect(&service, &certificate, &[]).unwrap(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // With an entry that says `tls`, the others are plain.
    listening(&service, &format!("[\"{first}\", {{ address = \"{second}\", tls = true }}]"));
    assert_eq!(reload(&service).status.code(), Some(0));
    assert_eq!(raw::get(first, "/").status, 200);
    assert_eq!(raw::get(second, "/").status, 400, "it speaks TLS");
    listening(&service, &format!("\"{first}\""));
    assert_eq!(reload(&service).status.code(), Some(0));
    greeted(&mut connect(&service, &certificate, &[]).unwrap(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    eventually("the other one is closed", || TcpStream::connect(second).is_err());
}

#[test]
fn a_service_that_started_without_tls_needs_a_restart_for_it() {
    let route = "[[route]]\npath = \"/\"\ntext = \"plain\"\n";
    let service = Service::with("", route, |folder| drop(write_pair(folder.path())));
    rewrite(&service, ROUTES);
    let out = reload(&service);
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(message.contains("the server was started without certificates; restart it to use TLS"), "{message}");
    assert_eq!((out.status.code(), service.get("/").text()), (Some(2), "plain".to_owned()));
}

#[test]
fn wrong_listeners_are_found_before_the_start() {
    #[track_caller]
    fn check(listen: &str, expect: &[&str]) {
        let out = dunlin(
            &["check"],
            &Folder::new(&format!("[server]\nlisten = {listen}\n[[route]]\npath = \"/\"\ntext = \"x\"\n")),
        );
        refused(&out, expect);
    }
    check("{ adress = \"127.0.0.1:80\" }", &["dunlin.toml:2:12", "did you mean \"address\""]);
    check("{ tls = true }", &["dunlin.toml:2:10", "\"address\" is missing"]);
    check("{ address = \"127.0.0.1:80\", mode = \"0660\" }", &["dunlin.toml:2:10", "unix:"]);
    check("{ address = \"unix:a\", mode = \"999\" }", &["dunlin.toml:2:39", "0660"]);
    check("{ address = \"unix:a\", tls = true }", &["dunlin.toml:2:10", "Unix socket"]);
}
