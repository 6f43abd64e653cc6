//! [`Listeners`]: the listeners of a running server, which can be replaced.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Bound, Endpoint, EndpointState, Kept, Listen, Listener, LoopSocket, Socket, own, spread};
use crate::{Addr, BindError, Config};

/// The listeners of a running server, which can be replaced.
#[derive(Debug)]
pub(crate) struct Listeners {
    open: Mutex<Vec<Open>>,
    /// The sockets for a successor, if there can be one.
    kept: Option<Kept>,
    senders: Vec<UnboundedSender<LoopSocket>>,
    receivers: Mutex<Vec<Option<UnboundedReceiver<LoopSocket>>>>,
}

/// An open listener.
#[derive(Clone, Debug)]
struct Open {
    listen: Listen,
    addr: Addr,
    state: Arc<EndpointState>,
}

/// New listeners, bound and not served yet, and the setting of those that stay.
#[derive(Debug)]
pub(crate) struct Change {
    open: Vec<Open>,
    /// TLS or not, for each of `open`.
    speaks_tls: Vec<bool>,
    /// The new sockets of each loop.
    sockets: Vec<Vec<LoopSocket>>,
    copies: Vec<(Addr, Arc<Socket>)>,
}

// === impl Listeners ===

impl Listeners {
    pub(crate) fn new(bound: &[Bound], kept: Option<Kept>, loops: usize) -> Self {
        let (senders, receivers) = (0..loops).map(|_| unbounded_channel()).map(|(tx, rx)| (tx, Some(rx))).unzip();
        let open = Mutex::new(bound.iter().map(Open::of).collect());
        Self { open, kept, senders, receivers: Mutex::new(receivers) }
    }

    /// The listener of a caller.
    pub(crate) fn of(listener: &Listener) -> Self {
        let Endpoint { addr, state } = listener.endpoint();
        let open = Open { listen: addr.clone().into(), addr, state };
        Self { open: Mutex::new(vec![open]), ..Self::new(&[], None, 1) }
    }

    /// The addresses, in the order of the settings.
    pub(crate) fn addrs(&self) -> Vec<Addr> {
        self.open().iter().map(|open| open.addr.clone()).collect()
    }

    /// Takes the receiver of the sockets that a loop gets later. `None` at the second call.
    pub(crate) fn receiver(&self, index: usize) -> Option<UnboundedReceiver<LoopSocket>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.take()
    }

    /// Binds the addresses of `config` that are not open yet.
    ///
    /// # Errors
    /// The first address that cannot be bound. Nothing has changed then.
    pub(crate) fn prepare(&self, config: &Config, workers: usize) -> Result<Change, BindError> {
        let before = self.open().clone();
        let is_open = |listen: &&Listen| before.iter().any(|open| open.listen.addr == listen.addr);
        let new: Vec<Listen> = config.listen.iter().filter(|listen| !is_open(listen)).cloned().collect();
        let bound = super::bind(&Config { listen: new, ..config.clone() }, workers, None)?;
        let mut open = Vec::new();
        for listen in &config.listen {
            let kept = before.iter().filter(|open| open.listen.addr == listen.addr);
            open.extend(kept.map(|open| Open { listen: listen.clone(), ..open.clone() }));
            open.extend(bound.iter().filter(|bound| bound.listen.addr == listen.addr).map(Open::of));
        }
        // An address with port 0 may be there several times, for several ports.
        let mut seen = HashSet::new();
        open.retain(|open| seen.insert(open.state.id()));
        let speaks_tls = open.iter().map(|open| open.is_tcp() && config.speaks_tls(&open.listen)).collect();
        let error = |source| BindError::Listen { addr: Addr::Systemd(String::new()), source };
        let copies = if self.kept.is_some() { Kept::copies(&bound).map_err(error)? } else { Vec::new() };
        let mut sockets = spread(bound, workers).map_err(error)?;
        if self.senders.len() == 1 {
            sockets = vec![sockets.into_iter().flatten().collect()];
        }
        Ok(Change { open, speaks_tls, sockets, copies })
    }

    /// Serves the new listeners, and closes those that are gone.
    pub(crate) fn apply(&self, change: Change) {
        let Change { open, speaks_tls, sockets, copies } = change;
        for (open, speaks_tls) in open.iter().zip(speaks_tls) {
            open.state.set_speaks_tls(speaks_tls);
        }
        let before = std::mem::replace(&mut *self.open(), open.clone());
        for (sender, sockets) in self.senders.iter().zip(sockets) {
            // A loop that has ended serves nothing.
            sockets.into_iter().for_each(|socket| drop(sender.send(socket)));
        }
        if let Some(kept) = &self.kept {
            kept.add(copies);
        }
        for gone in before.iter().filter(|gone| open.iter().all(|open| !Arc::ptr_eq(&open.state, &gone.state))) {
            gone.state.close();
            if let Some(kept) = &self.kept {
                kept.remove(&gone.addr);
            }
            if let Addr::Unix(path) = &gone.addr {
                let _ = std::fs::remove_file(path);
            }
        }
        for open in &open {
            let changed = before.iter().any(|old| Arc::ptr_eq(&old.state, &open.state) && old.listen != open.listen);
            if let (true, Addr::Unix(path)) = (changed, &open.addr)
                && let Err(error) = own(path, &open.listen)
            {
                tracing::error!(%error, listener = %open.addr, "cannot change the owner or the mode of the socket file");
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Open ===

impl Open {
    fn of(bound: &Bound) -> Self {
        let (listen, addr) = (bound.listen.clone(), bound.endpoint.addr.clone());
        Self { listen, addr, state: bound.endpoint.state.clone() }
    }

    const fn is_tcp(&self) -> bool {
        matches!(self.addr, Addr::Tcp(_))
    }
}

// === impl Change ===

impl Change {
    /// Returns `true` if a listener will speak TLS.
    pub(crate) fn needs_tls(&self) -> bool {
        self.speaks_tls.contains(&true)
    }
}
