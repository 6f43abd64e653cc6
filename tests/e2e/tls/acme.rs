//! Certificates by `[server.tls.acme]`, from pebble.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dunlin_testkit::{PATIENCE, Pebble, PebbleConfig, eventually, raw};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::{Stream, greeted};
use crate::service::{Folder, Service, dunlin, free_addr, refused};

const ROUTES: &str = "[[route]]\nhost = [\"a.test\", \"b.test\"]\npath = \"/\"\ntext = \"Hello, World!\"\n";

/// Pebble, and the addresses that it checks.
struct Authority {
    pebble: Pebble,
    certificate: String,
    http: std::net::SocketAddr,
    tls: std::net::SocketAddr,
}

/// Accepts every certificate, because pebble's root is new with each start.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

// === impl Authority ===

impl Authority {
    fn start(change: impl FnOnce(&mut PebbleConfig)) -> Self {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (http, tls) = (free_addr(), free_addr());
        let key = own.signing_key.serialize_pem();
        let mut config = PebbleConfig::new(own.cert.pem(), key, http.port(), tls.port());
        change(&mut config);
        Self { pebble: Pebble::start(config), certificate: own.cert.pem(), http, tls }
    }

    /// A configuration with the storage in `storage`, and more keys of `[server.tls.acme]`.
    fn config(&self, storage: &Path, keys: &str, admin: std::net::SocketAddr) -> String {
        self.config_on([self.http, self.tls], storage, keys, admin)
    }

    fn config_on(
        &self,
        [http, tls]: [std::net::SocketAddr; 2],
        storage: &Path,
        keys: &str,
        admin: std::net::SocketAddr,
    ) -> String {
        let (directory, storage) = (self.pebble.directory(), storage.display());
        format!(
            "[server]\nlisten = [\"{http}\", {{ address = \"{tls}\", tls = true }}]\nworkers = 2\n\
             [server.tls]\nredirect = true\n\
             [server.tls.acme]\ndirectory = \"{directory}\"\nca_file = \"pebble.pem\"\nstorage = \"{storage}\"\n{keys}\n\
             [admin]\nlisten = \"{admin}\"\n{ROUTES}"
        )
    }

    fn serve(&self, keys: &str) -> Service {
        let storage = Path::new("storage");
        let admin = free_addr();
        self.serve_with(&self.config(storage, keys, admin), self.http, admin)
    }

    fn serve_with(&self, config: &str, http: std::net::SocketAddr, admin: std::net::SocketAddr) -> Service {
        let folder = Folder::new(config);
        folder.write("pebble.pem", &self.certificate);
        Service::of(folder, http, admin)
    }

    /// The certificate that a client gets for `host`.
    fn shown(&self, host: &str) -> Option<CertificateDer<'static>> {
        let stream = connect(self.tls, host).ok()?;
        Some(stream.conn.peer_certificates()?[0].clone().into_owned())
    }
}

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn connect(addr: std::net::SocketAddr, host: &str) -> std::io::Result<Stream> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider)));
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(builder.with_no_client_auth()), name).unwrap();
    let socket = TcpStream::connect(addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

fn get(addr: std::net::SocketAddr, host: &str) -> std::io::Result<()> {
    let mut stream = connect(addr, host)?;
    greeted(&mut stream, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    Ok(())
}

/// The number of orders with this result.
fn orders(service: &Service, result: &str) -> u64 {
    let page = raw::get(service.admin, "/metrics").text();
    let name = format!("dunlin_acme_orders_total{{result=\"{result}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)).expect("the metric").parse().unwrap()
}

fn rows(service: &Service) -> Vec<serde_json::Value> {
    let status = raw::get(service.admin, "/status.json");
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    status["certificates"].as_array().unwrap().clone()
}

#[test]
fn certificates_come_by_http_01_and_a_restart_needs_no_order() {
    if !Pebble::is_installed() {
        return;
    }
    let authority = Authority::start(|_| {});
    let shared = tempfile::tempdir().unwrap();
    let admin = free_addr();
    let service = authority.serve_with(&authority.config(shared.path(), "", admin), authority.http, admin);
    // HTTP goes on, and a handshake fails with a clear line.
    assert!(connect(authority.tls, "a.test").is_err() || orders(&service, "issued") > 0);
    eventually("certificates for both hosts of the routes", || orders(&service, "issued") == 2);
    for host in ["a.test", "b.test"] {
        get(authority.tls, host).unwrap();
    }
    let log = service.log();
    assert!(log.contains("there is no certificate for this host yet"), "{log}");
    // Plain requests are redirected, and an unknown token is one of them.
    let redirect = raw::request(authority.http, "GET", "/.well-known/acme-challenge/x", &[("Host", "a.test")], b"");
    assert_eq!(redirect.status, 308);
    let rows = rows(&service);
    assert_eq!(rows.len(), 2);
    assert!(
        rows[0]["issuer"].as_str().unwrap().contains("Pebble") && rows[0]["days"].as_i64().unwrap() > 80,
        "{rows:?}"
    );
    assert!(raw::get(service.admin, "/metrics").text().contains("dunlin_certificate_left_seconds{name=\"b.test\"} 77"));
    let first = authority.shown("a.test").unwrap();
    drop(service);
    let service = authority.serve_with(&authority.config(shared.path(), "", admin), authority.http, admin);
    assert!(authority.shown("a.test") == Some(first));
    assert_eq!(orders(&service, "issued"), 0);
}

#[test]
fn certificates_come_by_tls_alpn_01_and_instances_order_once() {
    if !Pebble::is_installed() {
        return;
    }
    let authority = Authority::start(|config| config.reused_authorizations = 0);
    let shared = tempfile::tempdir().unwrap();
    let keys = "challenge = \"tls-alpn-01\"";
    let (addrs, admins) = ([free_addr(), free_addr()], [free_addr(), free_addr()]);
    // The authority reaches the second instance alone. The first one begins, so it orders.
    let config = authority.config_on(addrs, shared.path(), keys, admins[0]);
    let other = authority.serve_with(&config, addrs[0], admins[0]);
    let config = authority.config(shared.path(), keys, admins[1]);
    let reached = authority.serve_with(&config, authority.http, admins[1]);
    eventually("both instances have both certificates", || {
        [authority.tls, addrs[1]].iter().all(|addr| ["a.test", "b.test"].iter().all(|host| get(*addr, host).is_ok()))
    });
    assert_eq!(orders(&other, "issued") + orders(&reached, "issued"), 2);
}

#[test]
fn the_user_of_the_service_owns_the_keys() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    // SAFETY: it reads a number of this process.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root || !Pebble::is_installed() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let authority = Authority::start(|_| {});
    let admin = free_addr();
    let config = authority
        .config(Path::new("state/acme"), "", admin)
        .replace("workers = 2", "user = \"4711\"\ngroup = \"4711\"");
    let folder = Folder::new(&config);
    folder.write("pebble.pem", &authority.certificate);
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let service = Service::of(folder, authority.http, admin);
    eventually("certificates", || orders(&service, "issued") == 2);
    let mut folders = vec![service.folder().path().join("state/acme")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        let metadata = folder.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (4711, 0o700), "{folder:?}");
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let metadata = path.metadata().unwrap();
            assert_eq!((metadata.uid(), metadata.mode() & 0o777), (4711, 0o600), "{path:?}");
            files += 1;
        }
    }
    // The lock, the account, and two certificates with their keys.
    assert_eq!(files, 4);
}

#[test]
fn a_renewal_loses_no_request() {
    if !Pebble::is_installed() {
        return;
    }
    let authority = Authority::start(|config| config.validity = Duration::from_secs(15));
    let service = authority.serve("domains = [\"a.test\"]");
    eventually("the first certificate", || orders(&service, "issued") == 1);
    let first = authority.shown("a.test").unwrap();
    let (ended, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        get(authority.tls, "a.test").unwrap();
                        asked.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        eventually("two renewals", || orders(&service, "issued") >= 3 || clients.iter().any(|c| c.is_finished()));
        ended.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 20, "{asked:?}");
    assert!(authority.shown("a.test").unwrap() != first);
}

#[test]
fn the_old_certificate_stays_while_the_authority_is_away() {
    if !Pebble::is_installed() {
        return;
    }
    let mut authority = Authority::start(|config| config.validity = Duration::from_secs(30));
    authority.pebble.stop();
    let service = authority.serve("domains = [\"a.test\"]");
    eventually("a failure", || orders(&service, "unreachable") == 1);
    let log = service.log();
    assert!(log.contains("cannot be reached") && log.contains("to try at once"), "{log}");
    assert!(rows(&service)[0]["error"].as_str().unwrap().contains("cannot be reached"));
    authority.pebble.restart();
    eventually("a certificate", || get(authority.tls, "a.test").is_ok());
    let first = authority.shown("a.test");
    authority.pebble.stop();
    eventually("a renewal that fails", || orders(&service, "unreachable") >= 2);
    assert!(authority.shown("a.test") == first, "the old certificate stays");
    let log = service.log();
    assert!(log.contains("the old one stays"), "{log}");
}

#[test]
fn a_reload_brings_another_name() {
    if !Pebble::is_installed() {
        return;
    }
    let authority = Authority::start(|_| {});
    let service = authority.serve("domains = [\"a.test\"]");
    eventually("the first certificate", || authority.shown("a.test").is_some());
    let first = authority.shown("a.test");
    let path = service.folder().path().join("dunlin.toml");
    let config = std::fs::read_to_string(&path).unwrap().replace("[\"a.test\"]\n", "[\"a.test\", \"b.test\"]\n");
    std::fs::write(&path, config).unwrap();
    service.signal(libc::SIGHUP);
    eventually("the second certificate", || get(authority.tls, "b.test").is_ok());
    assert!(authority.shown("a.test") == first);
    assert_eq!(orders(&service, "issued"), 2);
}

#[test]
fn wrong_settings_are_found_before_the_start() {
    #[track_caller]
    fn output(section: &str, routes: &str) -> std::process::Output {
        let listen = "[\"127.0.0.1:1\", { address = \"127.0.0.1:2\", tls = true }]";
        let folder = Folder::new(&format!("[server]\nlisten = {listen}\n[server.tls.acme]\n{section}\n{routes}"));
        folder.write("wrong.pem", "no certificate");
        dunlin(&["check"], &folder)
    }
    #[track_caller]
    fn check(section: &str, expect: &[&str]) {
        refused(&output(section, ROUTES), expect);
    }
    check("domains = [\"*.a.test\"]", &["dunlin.toml:4:12", "wildcard"]);
    check("domains = [\"127.0.0.1\"]", &["dunlin.toml:4:12", "address"]);
    check("domains = []", &["dunlin.toml:4:11", "is empty"]);
    check("directory = \"http://a.test/\"", &["dunlin.toml:4:13", "https"]);
    check("ca_file = \"wrong.pem\"", &["dunlin.toml:4:11", "wrong.pem", "no certificate"]);
    check("email = \"ops\"", &["dunlin.toml:4:9", "address"]);
    check("challenge = \"dns-01\"", &["dunlin.toml:4:13", "tls-alpn-01"]);
    check("mail = \"ops@a.test\"", &["dunlin.toml:4:1", "email"]);
    check("external_account = \"kid\"", &["external_account_key_file"]);
    let local = "[[route]]\nhost = [\"localhost\", \"*.a.test\"]\npath = \"/\"\ntext = \"x\"\n";
    refused(&output("", local), &["dunlin.toml:3", "no host in the routes"]);

    #[track_caller]
    fn warned(section: &str, routes: &str, expect: &[&str]) {
        let out = output(section, routes);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success() && expect.iter().all(|part| text.contains(part)), "{text}");
    }
    let staging = "directory = \"https://acme-staging-v02.api.letsencrypt.org/directory\"";
    warned(staging, ROUTES, &["no browser accepts", "acme-v02.api.letsencrypt.org"]);
    let wildcard = format!("{ROUTES}[[route]]\nhost = \"*.a.test\"\npath = \"/\"\ntext = \"x\"\n");
    warned("", &wildcard, &["no certificate is ordered for *.a.test"]);
}
