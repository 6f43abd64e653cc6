//! Certificates by host name, the lowest version, and client certificates.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion};

use dunlin_testkit::PATIENCE;

use super::{Stream, greeted};
use crate::reload::reload;
use crate::service::{Folder, Service, dunlin, free_addr, refused};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const ROUTE: &str = "[[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n";

/// An authority, and the certificates that it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
struct Signed {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn sign(&self, names: &[&str], common: &str) -> Signed {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}

impl Signed {
    /// Writes `NAME.pem` and `NAME.key`.
    fn write(&self, folder: &Folder, name: &str) {
        std::fs::write(folder.path().join(format!("{name}.pem")), self.certificate.pem()).unwrap();
        std::fs::write(folder.path().join(format!("{name}.key")), self.key.serialize_pem()).unwrap();
    }
}

/// The side of a client.
struct Client {
    roots: RootCertStore,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl Client {
    fn of(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        Self { roots, versions: vec![&TLS13, &TLS12] }
    }

    fn config(&self, own: Option<&Signed>) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions).unwrap();
        let builder = builder.with_root_certificates(self.roots.clone());
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![own.certificate.der().clone()], key).unwrap()
            }
        })
    }
}

/// A connection for `host` after its handshake.
fn connect(service: &Service, config: Arc<ClientConfig>, host: &str) -> std::io::Result<Stream> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let socket = TcpStream::connect(service.addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = StreamOwned::new(ClientConnection::new(config, name).unwrap(), socket);
    stream.conn.complete_io(&mut stream.sock)?;
    Ok(stream)
}

fn shown(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

fn service(tls: &str, routes: &str, files: impl FnOnce(&Folder)) -> Service {
    let config = format!("[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n{tls}\n{routes}");
    Service::with("", &config, files)
}

#[test]
fn the_host_chooses_the_certificate() {
    let authority = Authority::new();
    let a = authority.sign(&["a.test", "localhost"], "a");
    let b = authority.sign(&["b.test", "*.b.test"], "b");
    let tls = "certificates = [{ certificate = \"b.pem\", key = \"b.key\" }]";
    let service = service(tls, ROUTE, |folder| {
        a.write(folder, "a");
        b.write(folder, "b");
    });
    let client = Client::of(&authority);
    for (host, expected) in [("a.test", &a), ("localhost", &a), ("b.test", &b), ("x.b.test", &b)] {
        let mut stream = connect(&service, client.config(None), host).unwrap();
        assert_eq!(shown(&stream), *expected.certificate.der(), "{host}");
        greeted(&mut stream, GET);
    }
    // No certificate has this name. The client gets the default, and refuses it.
    assert!(connect(&service, client.config(None), "c.test").is_err());
    // The second pair is read again when it changes, as the first is.
    let renewed = authority.sign(&["b.test"], "b");
    renewed.write(service.folder(), "b");
    dunlin_testkit::eventually("the new certificate is served", || {
        connect(&service, client.config(None), "b.test")
            .is_ok_and(|stream| shown(&stream) == *renewed.certificate.der())
    });
}

#[test]
fn a_reload_takes_other_certificates() {
    let authority = Authority::new();
    let (a, b) = (authority.sign(&["localhost"], "a"), authority.sign(&["localhost"], "b"));
    let service = service("", ROUTE, |folder| {
        a.write(folder, "a");
        b.write(folder, "b");
    });
    let client = Client::of(&authority);
    let mut kept = connect(&service, client.config(None), "localhost").unwrap();
    greeted(&mut kept, GET);
    let path = service.folder().path().join("dunlin.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let changed = config.replace("\"a.pem\"", "\"b.pem\"").replace("\"a.key\"", "\"b.key\"");
    std::fs::write(&path, &changed).unwrap();
    assert_eq!(reload(&service).status.code(), Some(0));
    assert_eq!(shown(&connect(&service, client.config(None), "localhost").unwrap()), *b.certificate.der());
    greeted(&mut kept, GET);
    // A key of another certificate is not taken.
    std::fs::write(&path, changed.replace("\"b.key\"", "\"a.key\"")).unwrap();
    assert_eq!(reload(&service).status.code(), Some(2));
    assert_eq!(shown(&connect(&service, client.config(None), "localhost").unwrap()), *b.certificate.der());
}

#[test]
fn the_lowest_version_is_kept() {
    let authority = Authority::new();
    let a = authority.sign(&["localhost"], "a");
    for (min, old_is_accepted) in [("1.2", true), ("1.3", false)] {
        let service = service(&format!("min_version = \"{min}\""), ROUTE, |folder| a.write(folder, "a"));
        let old = Client { versions: vec![&TLS12], ..Client::of(&authority) };
        assert_eq!(connect(&service, old.config(None), "localhost").is_ok(), old_is_accepted, "{min}");
        greeted(&mut connect(&service, Client::of(&authority).config(None), "localhost").unwrap(), GET);
    }
}

#[test]
fn a_session_is_resumed_on_any_loop() {
    let authority = Authority::new();
    let a = authority.sign(&["localhost"], "a");
    for versions in [vec![&TLS12], vec![&TLS13]] {
        let service = service("", ROUTE, |folder| a.write(folder, "a"));
        let client = Client { versions, ..Client::of(&authority) };
        let config = client.config(None);
        greeted(&mut connect(&service, config.clone(), "localhost").unwrap(), GET);
        for _ in 0..8 {
            let mut stream = connect(&service, config.clone(), "localhost").unwrap();
            greeted(&mut stream, GET);
            assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
        }
    }
}

/// A ticket of one event loop is accepted by every other one, and after new certificates.
#[test]
fn a_ticket_outlives_a_renewal_on_every_loop() {
    let authority = Authority::new();
    for versions in [vec![&TLS12], vec![&TLS13]] {
        let a = authority.sign(&["localhost"], "a");
        let service = service("", ROUTE, |folder| a.write(folder, "a"));
        let client = Client { versions, ..Client::of(&authority) };
        let config = client.config(None);
        let resumes = || {
            let mut stream = connect(&service, config.clone(), "localhost").unwrap();
            greeted(&mut stream, GET);
            stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
        };
        assert!(!resumes());
        // The kernel spreads the connections over the loops by their ports.
        let before: Vec<bool> = (0..32).map(|_| resumes()).collect();
        assert!(before.iter().all(|resumed| *resumed), "{before:?}");
        authority.sign(&["localhost"], "a").write(service.folder(), "a");
        dunlin_testkit::eventually("the new certificate is loaded", || service.log().contains("loaded the changed"));
        let after: Vec<bool> = (0..32).map(|_| resumes()).collect();
        assert!(after.iter().all(|resumed| *resumed), "{after:?}");
    }
}

#[test]
fn a_client_certificate_proves_who_the_client_is() {
    let (authority, clients, stranger) = (Authority::new(), Authority::new(), Authority::new());
    let a = authority.sign(&["localhost"], "a");
    let routes = "[auth.clients]\nkind = \"certificate\"\n\
        [[route]]\npath = \"/\"\ntext = \"Hello, World!\"\n\
        response_headers = { X-Subject = \"{claim.subject}\", X-San = \"{claim.san}\" }\n\
        [[route]]\npath = \"/staff\"\ntext = \"Hello, World!\"\nauth = \"clients\"\nrequire = { san = \"ada.test\" }\n";
    let ada = clients.sign(&["ada.test"], "ada");
    let bob = clients.sign(&["bob.test"], "bob");
    let forged = stranger.sign(&["ada.test"], "ada");
    let client = Client::of(&authority);
    let staff: &[u8] = b"GET /staff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    for mode in ["require", "request"] {
        let tls = format!("client_ca = \"clients.pem\"\nclient_auth = \"{mode}\"");
        let service = service(&tls, routes, |folder| {
            a.write(folder, "a");
            std::fs::write(folder.path().join("clients.pem"), clients.certificate.pem()).unwrap();
        });
        let answer = |own: Option<&Signed>, request: &[u8]| -> std::io::Result<String> {
            let mut stream = connect(&service, client.config(own), "localhost")?;
            stream.write_all(request)?;
            let mut answer = Vec::new();
            let read = std::io::Read::read_to_end(&mut stream, &mut answer);
            if answer.is_empty() {
                read?;
            }
            Ok(String::from_utf8(answer).unwrap())
        };
        let close: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let greeting = answer(Some(&ada), close).unwrap();
        assert!(greeting.starts_with("HTTP/1.1 200 ") && greeting.contains("x-subject: CN=ada\r\n"), "{greeting}");
        assert!(greeting.contains("x-san: [\"ada.test\"]\r\n"), "{greeting}");
        assert!(answer(Some(&ada), staff).unwrap().starts_with("HTTP/1.1 200 "));
        assert!(answer(Some(&bob), staff).unwrap().starts_with("HTTP/1.1 403 "));
        assert!(answer(Some(&forged), close).is_err(), "another authority");
        match mode {
            "require" => assert!(answer(None, close).is_err()),
            _ => {
                assert!(answer(None, close).unwrap().starts_with("HTTP/1.1 200 "));
                assert!(answer(None, staff).unwrap().starts_with("HTTP/1.1 403 "));
            }
        }
    }
}

#[test]
fn a_plain_request_is_told_that_the_port_speaks_tls() {
    let authority = Authority::new();
    let service = service("", ROUTE, |folder| authority.sign(&["localhost"], "a").write(folder, "a"));
    let answer = dunlin_testkit::raw::request(service.addr, "GET", "/", &[("Host", "localhost")], b"");
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("this port speaks TLS"));
}

/// A service that starts while the authority is away has to serve, so this is a warning.
#[test]
fn an_unusable_response_of_the_authority_is_a_warning() {
    let folder =
        Folder::new(&format!("[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\nocsp = \"a.ocsp\"\n{ROUTE}"));
    Authority::new().sign(&["localhost"], "a").write(&folder, "a");
    folder.write("a.ocsp", "no response");
    let out = dunlin(&["check"], &folder);
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{message}");
    assert!(message.contains("dunlin.toml:4:8: warning: ") && message.contains("no OCSP response"), "{message}");
}

#[test]
fn wrong_rules_are_found_before_the_start() {
    #[track_caller]
    fn check(tls: &str, expect: &[&str]) {
        let addr = free_addr();
        let folder = Folder::new(&format!(
            "[server]\nlisten = \"{addr}\"\n[server.tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n{tls}\n{ROUTE}"
        ));
        let authority = Authority::new();
        authority.sign(&["localhost"], "a").write(&folder, "a");
        authority.sign(&["localhost"], "b").write(&folder, "b");
        refused(&dunlin(&["check"], &folder), expect);
    }
    check("min_version = \"1.1\"", &["dunlin.toml:6:15", "1.2"]);
    check("certificates = [{ certificate = \"b.pem\" }]", &["dunlin.toml:6:17", "\"key\" is missing"]);
    check("certificates = [{ certificate = \"b.pem\", key = \"a.key\" }]", &["dunlin.toml:6:48", "is not the key of"]);
    check("certificates = [\"b.pem\"]", &["dunlin.toml:6:17", "certificate = "]);
    check("client_auth = \"require\"", &["dunlin.toml:6:15", "client_ca"]);
    check("client_ca = \"a.key\"", &["dunlin.toml:6:13", "there is no certificate in it"]);
    check("client_ca = \"a.pem\"\nclient_auth = \"want\"", &["dunlin.toml:7:15", "request"]);
    check("[auth.clients]\nkind = \"certificate\"", &["dunlin.toml:7:8", "client_ca"]);
}
