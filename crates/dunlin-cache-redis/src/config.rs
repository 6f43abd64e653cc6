//! [`Config`].

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;

/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// The server's address, and the limits of the store.
#[derive(Clone)]
pub struct Config {
    /// The server: `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database if
    /// the server needs them.
    pub url: String,
    /// The start of the names of all keys and of the channel. Caches that share entries have the
    /// same prefix.
    pub prefix: String,
    /// A PEM file of the certificates to trust instead of the system's, for `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// The timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// The timeout of one command. A command that exceeds it counts as failed.
    pub timeout: Duration,
    /// The longest pause between two connection attempts.
    pub max_backoff: Duration,
    /// The interval of the checks of a quiet connection.
    pub heartbeat: Duration,
    /// The limit of concurrent look-ups. Another look-up is a miss at once.
    pub max_lookups: usize,
    /// The limit of bytes in flight to the server. An entry beyond it is not saved there.
    pub max_unsent: usize,
    /// The longest time that the server keeps an entry.
    pub max_ttl: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults, with the server at `url`.
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
            // The redis crate uses the provider of the process, and rustls panics if it cannot
            // choose one. A provider that the process has installed already stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = match &self.ca_file {
            None => redis::Client::open(self.url.as_str()),
            Some(path) => {
                let read = std::fs::File::open(path).and_then(|file| dunlin_http::read_bounded(file, MAX_FILE));
                let root_cert = read.map_err(|error| Error::Certificates(path.clone(), error))?;
                let certificates = redis::TlsCertificates { client_tls: None, root_cert: Some(root_cert) };
                redis::Client::build_with_tls(self.url.as_str(), certificates)
            }
        };
        client.map_err(Error::Url)
    }
}

impl std::fmt::Debug for Config {
    /// Leaves the URL out, because it may contain a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("prefix", &self.prefix).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
