//! A small service with ports for both challenges, and pebble, which checks them there.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dunlin_acme::{Acme, BoxError, Config, Facts, Install, Pem};
use dunlin_testkit::{Pebble, PebbleConfig, eventually};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// Pebble, a storage, and the instance that pebble reaches.
pub(crate) struct Kit {
    pub(crate) pebble: Pebble,
    folder: TempDir,
    ca_file: PathBuf,
    reached: Arc<Mutex<Vec<(Acme, Recorder)>>>,
}

/// An instance whose certificates are kept by a thread.
pub(crate) struct Keeper {
    pub(crate) acme: Acme,
    pub(crate) recorder: Recorder,
    runtime: Option<tokio::runtime::Runtime>,
}

/// A TLS server that keeps what it is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    names: Vec<String>,
    had_some: bool,
    was_emptied: bool,
    challenges: HashMap<String, Arc<CertifiedKey>>,
}

/// The names for which an instance that orders finds the answers of another one.
#[derive(Debug)]
struct Challenges(Arc<Mutex<Vec<(Acme, Recorder)>>>);

// === impl Kit ===

impl Kit {
    pub(crate) fn start(change: impl FnOnce(&mut PebbleConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let ca_file = folder.path().join("pebble.pem");
        std::fs::write(&ca_file, own.cert.pem()).unwrap();
        let reached = Arc::new(Mutex::new(Vec::new()));
        let http = TcpListener::bind("127.0.0.1:0").unwrap();
        let tls = TcpListener::bind("127.0.0.1:0").unwrap();
        let ports = [&http, &tls].map(|listener| listener.local_addr().unwrap().port());
        let mut config = PebbleConfig::new(own.cert.pem(), own.signing_key.serialize_pem(), ports[0], ports[1]);
        change(&mut config);
        let answering = reached.clone();
        std::thread::spawn(move || http.incoming().flatten().for_each(|socket| answer(socket, &answering)));
        let server = tls_config(Challenges(reached.clone()));
        std::thread::spawn(move || tls.incoming().flatten().for_each(|socket| handshake(socket, &server)));
        Self { pebble: Pebble::start(config), folder, ca_file, reached }
    }

    pub(crate) fn storage(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(self.folder.path().join("storage"));
        config.directory = self.pebble.directory();
        config.ca_file = Some(self.ca_file.clone());
        config.email = Some("ops@a.test".into());
        config
    }

    pub(crate) fn keeper(&self, names: &[&str]) -> Keeper {
        self.keeper_of(self.config(), names)
    }

    pub(crate) fn keeper_of(&self, config: Config, names: &[&str]) -> Keeper {
        let recorder = Recorder::default();
        let acme = Acme::new(config, names, recorder.clone()).unwrap();
        // Pebble reaches the last instance alone.
        self.reached.lock().unwrap().push((acme.clone(), recorder.clone()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let running = acme.clone();
        runtime.spawn(async move { running.run().await });
        Keeper { acme, recorder, runtime: Some(runtime) }
    }

    /// A file of the authority's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let storage = self.folder.path().join("storage");
        let folders = std::fs::read_dir(storage).unwrap();
        folders.map(|folder| folder.unwrap().path()).next().unwrap().join(name)
    }

    pub(crate) fn files(&self, folder: &str) -> Vec<PathBuf> {
        std::fs::read_dir(self.file(folder)).unwrap().map(|file| file.unwrap().path()).collect()
    }

    /// Ends the wait after a failure, as operators do.
    pub(crate) fn retry_now(&self, name: &str) {
        let path = self.file("failures").join(format!("{name}.json"));
        eventually("the failure is stored", || std::fs::remove_file(&path).is_ok());
    }
}

// === impl Keeper ===

impl Keeper {
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, done: impl Fn(&Recorder) -> bool) {
        eventually(what, || done(&self.recorder));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:#?}\n{:?}", self.acme.status(), self.acme.stats());
        }
        self.runtime.take().unwrap().shutdown_background();
    }
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().names.clone()
    }

    pub(crate) fn was_never_empty(&self) -> bool {
        !self.0.lock().unwrap().was_emptied
    }
}

impl Install for Recorder {
    fn certificates(&self, certificates: &[Pem<'_>]) -> Result<(), BoxError> {
        let name = |pem: &Pem<'_>| {
            let der = CertificateDer::from_pem_slice(pem.chain).unwrap();
            Facts::of(&der).unwrap().names[0].clone()
        };
        let mut record = self.0.lock().unwrap();
        record.names = certificates.iter().map(name).collect();
        record.was_emptied |= record.had_some && record.names.is_empty();
        record.had_some |= !record.names.is_empty();
        Ok(())
    }

    fn challenges(&self, challenges: &[(&str, Pem<'_>)]) -> Result<(), BoxError> {
        let keys = challenges.iter().map(|(host, pem)| ((*host).to_owned(), Arc::new(certified(pem))));
        self.0.lock().unwrap().challenges = keys.collect();
        Ok(())
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let reached = self.0.lock().unwrap();
        let record = reached.last()?.1.0.lock().unwrap();
        record.challenges.get(hello.server_name()?).cloned()
    }
}

fn certified(pem: &Pem<'_>) -> CertifiedKey {
    let chain = CertificateDer::pem_slice_iter(pem.chain).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem.key).unwrap();
    // `from_der` refuses the critical extension of RFC 8737.
    CertifiedKey::new(chain, ring::sign::any_supported_type(&key).unwrap())
}

fn tls_config(challenges: Challenges) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(challenges));
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    Arc::new(config)
}

fn handshake(mut socket: TcpStream, config: &Arc<ServerConfig>) {
    let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
    let _ = connection.complete_io(&mut socket);
    connection.send_close_notify();
    let _ = connection.complete_io(&mut socket);
}

/// Answers one request by the last instance.
fn answer(mut socket: TcpStream, reached: &Mutex<Vec<(Acme, Recorder)>>) {
    let mut line = String::new();
    let mut reader = BufReader::new(socket.try_clone().unwrap());
    let _ = reader.read_line(&mut line);
    let mut field = String::new();
    while reader.read_line(&mut field).is_ok_and(|read| read > 2) {
        field.clear();
    }
    let path = line.split(' ').nth(1).unwrap_or_default();
    let answer = reached.lock().unwrap().last().and_then(|(acme, _)| acme.answer(path));
    let (status, body) = answer.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
    let length = body.len();
    let _ = write!(socket, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
}
