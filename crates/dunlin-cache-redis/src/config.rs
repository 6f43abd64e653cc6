//! What the store is set to.

use std::path::PathBuf;
use std::time::Duration;

use crate::store::Error;

/// Where the server is, and how long anything may take.
#[derive(Clone)]
pub struct Config {
    /// `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database where the
    /// server asks for them.
    pub url: String,
    /// What the names of all keys and of the channel begin with. Caches that are to share have the
    /// same.
    pub prefix: String,
    /// A PEM file of the certificates to trust instead of the system's, for `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the server may take for one command. Past it the command counts as failed.
    pub timeout: Duration,
    /// The longest time between two attempts to connect.
    pub max_backoff: Duration,
    /// How often a quiet subscription is asked whether it still stands.
    pub heartbeat: Duration,
    /// Look-ups under way at one time. One more is a miss at once.
    pub max_lookups: usize,
    /// Bytes on their way to the server at one time. What is more is not kept there.
    pub max_unsent: usize,
    /// The longest time that anything is kept.
    pub max_ttl: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults, with the server at this URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "dunlin:".to_owned(),
            ca_file: None,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(250),
            max_backoff: Duration::from_secs(1),
            heartbeat: Duration::from_secs(2),
            max_lookups: 1024,
            max_unsent: 32 << 20,
            max_ttl: Duration::from_secs(24 * 3600),
        }
    }

    pub(crate) fn client(&self) -> Result<redis::Client, Error> {
        if self.url.starts_with("rediss:") {
            // redis asks rustls for the process's provider, and rustls panics where there is more
            // than one to choose from, or none. Whoever has chosen is left alone.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = match &self.ca_file {
            None => redis::Client::open(self.url.as_str()),
            Some(path) => {
                let root_cert = std::fs::read(path).map_err(|error| Error::Certificates(path.clone(), error))?;
                let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                redis::Client::build_with_tls(self.url.as_str(), certificates)
            }
        };
        client.map_err(Error::Url)
    }
}

impl std::fmt::Debug for Config {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("prefix", &self.prefix).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
