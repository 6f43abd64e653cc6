//! [`Running`]: a server that serves, and its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use rustls_pki_types::CertificateDer;

use crate::context::{Shared, Stage};
use crate::replacement::Replacement;
use crate::tls::Acceptor;
use crate::{Addr, BindError, Listen, LoopStats, Tls};

/// A server that serves. Dropping it cuts every connection and ends its threads.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    threads: Vec<JoinHandle<()>>,
}

/// A handle of a running server, to observe and to stop it.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

/// The end of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// `true` if every request in flight was answered.
    pub drained: bool,
    /// The number of connections that were cut.
    pub cut: usize,
}

// === impl Running ===

impl Running {
    pub(crate) const fn new(handle: Handle, threads: Vec<JoinHandle<()>>) -> Self {
        Self { handle, threads }
    }

    /// Returns a handle, which outlives this value.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The addresses of the listeners.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Addr> {
        self.handle.local_addrs()
    }

    /// Begins to shut down; see [`Handle::shutdown`].
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// Cuts every connection now; see [`Handle::abort`].
    pub fn abort(&self) {
        self.handle.abort();
    }

    /// The figures of each loop.
    #[must_use]
    pub fn stats(&self) -> Vec<LoopStats> {
        self.handle.stats()
    }

    /// Waits until the server has ended: after [`shutdown`](Self::shutdown) or
    /// [`abort`](Self::abort), or because another process took its sockets over.
    pub async fn stopped(mut self) -> Outcome {
        let threads = std::mem::take(&mut self.threads);
        let (sender, ended) = tokio::sync::oneshot::channel();
        let waiter = std::thread::Builder::new().name("dunlin-join".into()).spawn(move || {
            for thread in threads {
                let _ = thread.join();
            }
            let _ = sender.send(());
        });
        if waiter.is_ok() {
            let _ = ended.await;
        }
        let cut = self.handle.0.cut.load(Ordering::Acquire);
        Outcome { drained: cut == 0, cut }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

// === impl Handle ===

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// The addresses of the listeners: those of the configuration in its order, with the ports that
    /// the system chose.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<Addr> {
        self.0.listeners.addrs()
    }

    /// Prepares other listeners, in place of [`Config::listen`](crate::Config::listen), and other
    /// certificates and rules of TLS. Addresses that are not open yet are bound, and clients can
    /// connect to them. Nothing else changes before [`Replacement::apply`].
    ///
    /// An address that stays keeps its socket and its connections. It may change to TLS or back.
    ///
    /// # Errors
    /// An address that cannot be bound, a file that cannot be used, or a listener with TLS of a
    /// server that was started without. Everything stays as it was.
    pub fn replacement(&self, listen: &[Listen], tls: Option<&Tls>) -> Result<Replacement, BindError> {
        Replacement::prepare(self.0.clone(), listen, tls)
    }

    /// Replaces the certificates and the rules of TLS, for connections from then on.
    ///
    /// # Errors
    /// A file that cannot be used, or a server that was started without TLS. Everything stays as it
    /// was.
    pub fn replace_tls(&self, tls: &Tls) -> Result<(), BindError> {
        match &self.0.tls {
            Some(acceptor) => acceptor.replace(tls),
            None => Err(BindError::Config("the server was started without TLS")),
        }
    }

    /// Replaces [`Config::max_body`](crate::Config::max_body), for requests from then on.
    pub fn set_max_body(&self, limit: u64) {
        self.0.set_max_body(limit);
    }

    /// The certificates of the files in use, without their chains.
    #[must_use]
    pub fn file_certificates(&self) -> Vec<CertificateDer<'static>> {
        self.0.tls.as_ref().map(Acceptor::certificates).unwrap_or_default()
    }

    /// Begins to shut down. During [`lame_duck`](crate::Config::lame_duck) everything goes on. Then
    /// the server accepts no more connections, and each one closes behind its next response. Those
    /// that are left after [`drain`](crate::Config::drain) are cut.
    pub fn shutdown(&self) {
        self.0.raise(Stage::Stopping);
    }

    /// Cuts every connection now, with its requests in flight.
    pub fn abort(&self) {
        self.0.raise(Stage::Cutting);
    }

    /// Returns `true` once the server shuts down. It may still accept connections for a time.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        *self.0.stage.borrow() >= Stage::Stopping
    }

    /// Waits until the server shuts down. It may still accept connections for a time.
    pub async fn stopping(&self) {
        let mut stage = self.0.stage.subscribe();
        // It fails only if the server is gone.
        let _ = stage.wait_for(|stage| *stage >= Stage::Stopping).await;
    }

    /// The figures of each loop.
    #[must_use]
    pub fn stats(&self) -> Vec<LoopStats> {
        let loops = self.0.loops.iter().zip(&self.0.stats).enumerate();
        loops.map(|(index, (registry, stats))| stats.read(index, registry)).collect()
    }
}
