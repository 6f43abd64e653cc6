//! [`Server`]: sockets that are bound, and the loops that will serve them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use dunlin_http::BoxError;

use crate::context::Shared;
use crate::event_loop;
use crate::listen::{self, Bound, Keeper, Predecessor, Socket};
use crate::running::Handle;
use crate::tls::Acceptor;
use crate::{Addr, Config, Connect, Running};

/// Sockets that are bound, and not yet served.
#[derive(Debug)]
pub struct Server {
    config: Config,
    bound: Vec<Bound>,
    addrs: Vec<Addr>,
    tls: Option<Acceptor>,
    predecessor: Option<Predecessor>,
}

/// Which loop a service is made for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoopInfo {
    /// From 0 to [`count`](Self::count) − 1.
    pub index: usize,
    /// How many loops there are: one for each worker, or one alone that is
    /// [shared](crate::EventLoop::Shared).
    pub count: usize,
}

/// Why a server could not be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// An address could not be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: Addr,
        /// What the system says.
        source: io::Error,
    },
    /// Certificate and key could not be read, or do not belong together.
    #[error("cannot use the certificate: {0}")]
    Tls(String),
    /// A setting that cannot be.
    #[error("{0}")]
    Config(&'static str),
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A thread or a runtime could not be made.
    #[error("cannot start an event loop: {0}")]
    Loop(#[from] io::Error),
    /// The factory failed for a loop.
    #[error("cannot make the service: {0}")]
    Service(BoxError),
}

// === impl Server ===

impl Server {
    /// Binds every address of `config`. From here on clients can connect; they are served once the
    /// server [starts](Self::start).
    ///
    /// # Errors
    /// The first address that cannot be listened on, a certificate that cannot be used, or a setting that cannot be.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        if (config.max_head as u64) < Config::MIN_HEAD {
            return Err(BindError::Config("max_head must be at least 8192 bytes"));
        }
        let tls = config.tls.as_ref().map(Acceptor::new).transpose()?;
        let mut predecessor = match &config.handover {
            Some(path) => Predecessor::ask(path).map_err(|source| handover(path, source))?,
            None => None,
        };
        let bound = listen::bind(&config, config.worker_count(), predecessor.as_mut())?;
        let addrs = bound.iter().map(|bound| bound.addr.clone()).collect();
        Ok(Self { config, bound, addrs, tls, predecessor })
    }

    /// Where the server listens: the addresses of the configuration in its order, with the ports
    /// that the system chose.
    #[must_use]
    pub fn local_addrs(&self) -> &[Addr] {
        &self.addrs
    }

    /// Starts the loops. `factory` is called once for each loop on that loop's own runtime, so
    /// pools and clients that it makes live there. It returns when every loop serves; it blocks its
    /// thread until then.
    ///
    /// # Errors
    /// What the system says when a thread cannot be made, and the first error of the factory. Nothing runs on then.
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
        let listeners = spread(self.bound, workers)?;
        let shared = Arc::new(Shared::new(self.config, self.addrs, self.tls, keeper, loops));
        let factory = Arc::new(factory);
        let (ready, started) = mpsc::channel();
        let mut threads = Vec::with_capacity(loops);
        let mut listeners = listeners.into_iter();
        for index in 0..loops {
            let sockets: Vec<Vec<Socket>> =
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
                Err(_) => return Err(io::Error::other("an event loop ended before it began").into()),
            }
        }
        if let Some(Err(error)) = self.predecessor.map(Predecessor::release) {
            tracing::warn!(%error, "the server that ran before could not be told to stop");
        }
        Ok(running)
    }
}

fn handover(path: &Path, source: io::Error) -> BindError {
    BindError::Listen { addr: Addr::Unix(path.to_owned()), source }
}

/// Gives each loop its own socket of every address, or a share in the one that there is.
fn spread(bound: Vec<Bound>, loops: usize) -> io::Result<Vec<Vec<Socket>>> {
    let mut spread: Vec<Vec<Socket>> = (0..loops).map(|_| Vec::new()).collect();
    for Bound { sockets, .. } in bound {
        for (index, own) in spread.iter_mut().enumerate() {
            own.push(sockets[index % sockets.len()].try_clone()?);
        }
        // Handed over sockets may be more than there are loops: none may be left unserved.
        for (index, socket) in sockets.into_iter().enumerate().skip(loops) {
            spread[index % loops].push(socket);
        }
    }
    Ok(spread)
}
