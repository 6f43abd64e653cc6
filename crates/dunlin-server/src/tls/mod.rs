//! TLS: certificates by host name, which are exchanged while the server runs.

mod certificates;
mod config;
mod load;
mod ocsp;
mod resolver;
mod store;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use dunlin_http::Clock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ProducesTickets;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::BindError;
use certificates::Certificates;
pub use config::{ClientCertificates, Pair, Tls, TlsVersion};
use resolver::Resolver;
pub use store::{CertificateError, CertificateStore, PemPair};

/// Accepts TLS on sockets, with the newest valid certificates.
///
/// All loops share it, so a client can resume a session on any of them.
#[derive(Clone)]
pub(crate) struct Acceptor(Arc<State>);

struct State {
    config: ArcSwap<ServerConfig>,
    /// The keys of session tickets. They outlive a change of certificates.
    tickets: Arc<dyn ProducesTickets>,
    files: Mutex<Files>,
}

/// The files in use.
#[derive(Clone, Debug)]
struct Files {
    tls: Tls,
    /// Of the files before they were read, so that a change meanwhile is seen later.
    stamps: Vec<Stamp>,
    /// The certificates of the pairs, without their chains.
    certificates: Vec<CertificateDer<'static>>,
    /// The time at which the first stapled response expires.
    until: Option<SystemTime>,
}

/// Certificates and rules that are not in use yet.
#[derive(Debug)]
pub(crate) struct NewRules {
    config: Arc<ServerConfig>,
    files: Files,
}

/// A connection after its handshake.
pub(crate) enum Accepted {
    Stream(Box<TlsStream<TcpStream>>),
    /// The handshake was the answer to an ACME challenge (RFC 8737 §3). There is no request.
    Challenge,
}

/// The facts about a TLS connection.
#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    pub(crate) version: &'static str,
    /// The chain that proves who the client is; empty without one.
    pub(crate) client: Vec<CertificateDer<'static>>,
}

/// The time of modification and the length of a file; `None` if it cannot be read.
type Stamp = Option<(SystemTime, u64)>;

/// The time between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

// === impl Tls ===

impl Tls {
    /// Reads the files, and checks that they fit together.
    ///
    /// # Errors
    /// Returns an error that names the file and the reason.
    pub fn check(&self) -> Result<(), BindError> {
        self.keys().and_then(|keys| self.server_config(keys, None)).map(drop).map_err(BindError::Tls)
    }

    fn keys(&self) -> Result<Vec<CertifiedKey>, String> {
        if self.pairs.is_empty() && self.store.is_none() {
            return Err("there is no certificate".into());
        }
        self.pairs.iter().map(load::pair).collect()
    }

    fn server_config(
        &self,
        keys: Vec<CertifiedKey>,
        tickets: Option<Arc<dyn ProducesTickets>>,
    ) -> Result<ServerConfig, String> {
        let resolver = Resolver::new(Certificates::new(keys.into_iter().map(Arc::new)), self.store.clone());
        let versions: &[_] = match self.min_version {
            TlsVersion::V1_2 => &[&TLS13, &TLS12],
            TlsVersion::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(load::verifier(clients)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        // RFC 7301 §3.2: the server selects its first protocol that the client offers.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.store.is_some() {
            config.alpn_protocols.push(store::ACME_PROTOCOL.to_vec());
        }
        if let Some(tickets) = tickets {
            config.ticketer = tickets;
        }
        Ok(config)
    }

    /// All files, and `true` for those that have to be there.
    fn paths(&self) -> impl Iterator<Item = (&Path, bool)> {
        let clients = self.clients.iter().map(|clients| (&*clients.authorities, true));
        let responses = self.pairs.iter().filter_map(|pair| Some((pair.ocsp.as_deref()?, false)));
        let pairs = self.pairs.iter().flat_map(|pair| [(&*pair.certificate, true), (&*pair.key, true)]);
        pairs.chain(clients).chain(responses)
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |(path, _)| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        self.paths().map(stamp).collect()
    }
}

// === impl ClientCertificates ===

impl ClientCertificates {
    /// Reads the file of the authorities.
    ///
    /// # Errors
    /// Returns an error that names the file and the reason.
    pub fn check(&self) -> Result<(), BindError> {
        load::verifier(self).map(drop).map_err(BindError::Tls)
    }
}

// === impl Acceptor ===

impl Acceptor {
    pub(crate) fn new(tls: &Tls) -> Result<Self, BindError> {
        let tickets = tickets().map_err(BindError::Tls)?;
        let stamps = tls.stamps();
        let (keys, until) = tls.stapled_keys()?;
        let files = Files { stamps, tls: tls.clone(), certificates: certificates(&keys), until };
        let config = tls.server_config(keys, Some(tickets.clone())).map_err(BindError::Tls)?;
        let config = ArcSwap::from_pointee(config);
        Ok(Self(Arc::new(State { config, tickets, files: Mutex::new(files) })))
    }

    /// Accepts a client.
    pub(crate) async fn accept(&self, socket: TcpStream) -> std::io::Result<Accepted> {
        let stream = TlsAcceptor::from(self.0.config.load_full()).accept(socket).await?;
        Ok(match stream.get_ref().1.alpn_protocol() {
            Some(store::ACME_PROTOCOL) => Accepted::Challenge,
            _ => Accepted::Stream(Box::new(stream)),
        })
    }

    /// Replaces the certificates and the rules. Connections stay as they are.
    ///
    /// # Errors
    /// A file that cannot be used. Everything stays as it was.
    pub(crate) fn replace(&self, tls: &Tls) -> Result<(), BindError> {
        self.prepare(tls).map(|rules| self.apply(rules))
    }

    /// Makes other certificates and rules. Nothing changes yet.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub(crate) fn prepare(&self, tls: &Tls) -> Result<NewRules, BindError> {
        let stamps = tls.stamps();
        let (keys, until) = tls.stapled_keys()?;
        let files = Files { stamps, tls: tls.clone(), certificates: certificates(&keys), until };
        // A resumed session keeps the client's certificate, which other authorities may not know.
        let tickets = match tls.clients {
            None => self.0.tickets.clone(),
            Some(_) => tickets().map_err(BindError::Tls)?,
        };
        let config = tls.server_config(keys, Some(tickets)).map_err(BindError::Tls)?;
        Ok(NewRules { config: Arc::new(config), files })
    }

    /// Uses other certificates and rules, for connections from then on.
    pub(crate) fn apply(&self, NewRules { config, files }: NewRules) {
        *self.0.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        self.0.config.store(config);
    }

    /// Reads the files again whenever they change. It never ends. Files that cannot be used are
    /// logged once, and the last valid ones are kept.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let this = self.clone();
            if tokio::task::spawn_blocking(move || this.read_again()).await.is_err() {
                return;
            }
        }
    }

    fn read_again(&self) {
        let Files { tls, stamps: last, until, .. } = self.files();
        let stamps = tls.stamps();
        let is_missing = tls.paths().zip(&stamps).any(|((_, is_needed), stamp)| is_needed && stamp.is_none());
        let expires = until.is_some_and(|until| until <= Clock::system().now());
        // Of two files that are replaced, one changes first. A pair that does not fit yet is read
        // again at the next change.
        if (stamps == last && !expires) || is_missing {
            return;
        }
        let changed = tls.paths().zip(stamps.iter().zip(&last)).find(|(_, (now, last))| now != last);
        let path = changed.map(|((path, _), _)| path.display().to_string());
        match self.replace(&tls) {
            Ok(()) if path.is_none() => tracing::debug!("left an OCSP response out that has expired"),
            Ok(()) => tracing::info!(file = path, "loaded the changed certificates"),
            Err(error) => {
                tracing::error!(%error, "cannot use the changed certificates; serving the last valid ones");
                let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
                (files.stamps, files.until) = (stamps, None);
            }
        }
    }

    /// The certificates of the files in use, without their chains.
    pub(crate) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.files().certificates
    }

    fn files(&self) -> Files {
        self.0.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Acceptor").field(&self.files().tls).finish()
    }
}

// === impl TlsFacts ===

impl TlsFacts {
    pub(crate) fn of(stream: &TlsStream<TcpStream>) -> Self {
        let connection = stream.get_ref().1;
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            _ => "1.2",
        };
        let client = connection.peer_certificates().unwrap_or_default();
        Self { version, client: client.iter().cloned().map(CertificateDer::into_owned).collect() }
    }
}

fn certificates(keys: &[CertifiedKey]) -> Vec<CertificateDer<'static>> {
    keys.iter().filter_map(|key| key.cert.first().cloned()).collect()
}

/// The keys of session tickets, which rustls replaces every six hours.
fn tickets() -> Result<Arc<dyn ProducesTickets>, String> {
    ring::Ticketer::new().map_err(|error| error.to_string())
}
