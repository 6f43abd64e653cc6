//! [`Server`]: bound sockets, and the start of the loops that serve them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use dunlin_http::BoxError;

use crate::context::Shared;
use crate::event_loop;
use crate::listen::{self, Bound, Keeper, Listeners, LoopSocket, Predecessor};
use crate::running::Handle;
use crate::tls::Acceptor;
use crate::{Addr, Config, Connect, Running};

/// Bound sockets that are not served yet.
#[derive(Debug)]
pub struct Server {
    config: Config,
    bound: Vec<Bound>,
    addrs: Vec<Addr>,
    tls: Option<Acceptor>,
    predecessor: Option<Predecessor>,
}

/// The loop for which a factory makes a service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoopInfo {
    /// From 0 to [`count`](Self::count) − 1.
    pub index: usize,
    /// The number of loops: one for each worker, or a single
    /// [shared](crate::EventLoop::Shared) one.
    pub count: usize,
}

/// An error of [`Server::bind`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The server cannot listen on an address.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: Addr,
        /// The error of the system.
        source: io::Error,
    },
    /// The certificate or the key cannot be read, or they do not fit together.
    #[error("cannot use the certificate: {0}")]
    Tls(String),
    /// The response about a certificate cannot be used.
    #[error("the certificate is served without this OCSP response: {0}")]
    Ocsp(String),
    /// An invalid setting.
    #[error("{0}")]
    Config(&'static str),
}

/// An error of [`Server::start`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system refused a thread, a runtime or a socket.
    #[error("cannot start an event loop: {0}")]
    Loop(#[from] io::Error),
    /// The factory failed for a loop.
    #[error("cannot make the service: {0}")]
    Service(BoxError),
}

// === impl Server ===

impl Server {
    /// Binds every address of `config`. Clients can connect from here on. They are served once the
    /// server [starts](Self::start).
    ///
    /// # Errors
    /// Returns the error of the first address, of the certificate, or of an invalid setting.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        config.check()?;
        let tls = config.tls.as_ref().map(Acceptor::new).transpose()?;
        let mut predecessor = match &config.handover {
            Some(path) => Predecessor::connect(path, config.user).map_err(|source| handover_error(path, source))?,
            None => None,
        };
        let bound = listen::bind(&config, config.worker_count(), predecessor.as_mut())?;
        let addrs = bound.iter().map(|bound| bound.endpoint.addr.clone()).collect();
        Ok(Self { config, bound, addrs, tls, predecessor })
    }

    /// The bound addresses: those of the configuration in its order, with the ports that the system
    /// chose.
    #[must_use]
    pub fn local_addrs(&self) -> &[Addr] {
        &self.addrs
    }

    /// Starts the loops, and blocks until every one serves. `factory` is called once for each loop,
    /// on the runtime of that loop, so pools and clients that it makes live there.
    ///
    /// # Errors
    /// Returns the error of the system if a thread cannot be made, or the first error of the
    /// factory. The other loops are stopped then.
    pub fn start<F, M, C>(self, factory: F) -> Result<Running, StartError>
    where
        F: Fn(LoopInfo) -> M + Send + Sync + 'static,
        M: Future<Output = Result<C, BoxError>>,
        C: Connect,
    {
        let workers = self.config.worker_count();
        let loops = event_loop::count(&self.config);
        let keeper = match &self.config.handover {
            Some(path) => Some(Keeper::new(path, &self.bound)?),
            None => None,
        };
        let open = Listeners::new(&self.bound, keeper.as_ref().map(Keeper::kept), loops);
        let listeners = listen::spread(self.bound, workers)?;
        let shared = Arc::new(Shared::new(self.config, open, self.tls, keeper, loops));
        let factory = Arc::new(factory);
        let (ready, started) = mpsc::channel();
        let mut threads = Vec::with_capacity(loops);
        let mut listeners = listeners.into_iter();
        for index in 0..loops {
            let sockets: Vec<Vec<LoopSocket>> =
                if loops == 1 { listeners.by_ref().collect() } else { listeners.next().into_iter().collect() };
            let (shared, factory, ready) = (shared.clone(), factory.clone(), ready.clone());
            let thread = std::thread::Builder::new()
                .name(format!("dunlin-{index}"))
                .spawn(move || event_loop::run(index, &shared, sockets, &*factory, &ready))?;
            threads.push(thread);
        }
        drop(ready);
        let running = Running::new(Handle::new(shared), threads);
        for _ in 0..loops {
            match started.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    running.abort();
                    return Err(error);
                }
                Err(_) => return Err(io::Error::other("an event loop ended before it served").into()),
            }
        }
        if let Some(Err(error)) = self.predecessor.map(Predecessor::release) {
            tracing::warn!(%error, "cannot signal the previous server to stop; stop it by SIGTERM");
        }
        Ok(running)
    }
}

fn handover_error(path: &Path, source: io::Error) -> BindError {
    BindError::Listen { addr: Addr::Unix(path.to_owned()), source }
}
