//! [`Shared`]: the state that a client and its origins share.

use std::sync::{Arc, OnceLock, Weak};

use rustls::RootCertStore;
use tokio_rustls::TlsConnector;

use super::options::RequestOptions;
use super::stats::Stats;
use super::tls;
use crate::{Config, Error};

/// The state that a client and its origins share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) stats: Stats,
    extra_roots: Option<RootCertStore>,
    tls: OnceLock<TlsConnector>,
    sweeper: Weak<dyn Sweep>,
}

/// Closes idle connections in time.
pub(super) trait Sweep: Send + Sync {
    /// Starts to close idle connections, and goes on as long as there are any.
    fn start(self: Arc<Self>);
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(config: Config, extra_roots: Option<RootCertStore>, sweeper: Weak<dyn Sweep>) -> Self {
        Self { config, stats: Stats::default(), extra_roots, tls: OnceLock::new(), sweeper }
    }

    /// The options of a request that has none of its own.
    pub(crate) fn options(&self) -> RequestOptions {
        let Config { response_timeout, read_timeout, retry, .. } = self.config;
        RequestOptions { response_timeout, read_timeout, retry, expect_timeout: None }
    }

    /// The TLS connector that offers `protocols` (RFC 7301). Its certificates are read at the first
    /// use.
    pub(super) fn tls(&self, protocols: &[&[u8]]) -> Result<TlsConnector, Error> {
        let tls = match self.tls.get() {
            Some(tls) => tls.clone(),
            None => {
                let tls = TlsConnector::from(Arc::new(tls::config(self.extra_roots.as_ref())?));
                self.tls.get_or_init(|| tls).clone()
            }
        };
        if protocols.is_empty() {
            return Ok(tls);
        }
        let mut config = (**tls.config()).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// Starts to close idle connections in time, unless that has started already.
    pub(super) fn start_sweeping(&self) {
        if let Some(sweeper) = self.sweeper.upgrade() {
            sweeper.start();
        }
    }
}
