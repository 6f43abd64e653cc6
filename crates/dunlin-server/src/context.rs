//! The context of connections: the state of a server, and of one of its loops.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

use crate::balance::Balance;
use crate::clients::Clients;
use crate::framing::HeadLimits;
use crate::listen::{Keeper, Listeners, free_descriptors};
use crate::log_limit::LogLimit;
use crate::reaper::{Registry, Rules};
use crate::stats::Stats;
use crate::tls::Acceptor;
use crate::tunnels::Tunnels;
use crate::{Addr, Config, Listen};

/// The stages of a server's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Serving,
    /// Shutting down: lame duck first, then draining.
    Stopping,
    /// The remaining connections are cut.
    Cutting,
}

/// The state that all loops of a server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) listeners: Listeners,
    pub(crate) tls: Option<Acceptor>,
    /// Taken by the first loop.
    pub(crate) keeper: Mutex<Option<Keeper>>,
    pub(crate) loops: Vec<Arc<Registry>>,
    pub(crate) stats: Vec<Arc<Stats>>,
    pub(crate) stage: watch::Sender<Stage>,
    /// The connections over all loops, and their limit.
    pub(crate) open: AtomicUsize,
    pub(crate) max_connections: usize,
    pub(crate) room: Notify,
    pub(crate) clients: Arc<Clients>,
    pub(crate) tunnels: Arc<Tunnels>,
    pub(crate) balance: Balance,
    /// Connections that were cut at the end of the drain.
    pub(crate) cut: AtomicUsize,
    next_id: AtomicU64,
    /// The largest body of a request, in bytes.
    max_body: AtomicU64,
}

/// The state of one loop that its connections share.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) index: usize,
    shared: Arc<Shared>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) log_limit: LogLimit,
    /// `true` once a stopping loop accepts no more.
    pub(crate) closing: watch::Sender<bool>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(
        config: Config,
        listeners: Listeners,
        tls: Option<Acceptor>,
        keeper: Option<Keeper>,
        loops: usize,
    ) -> Self {
        let max_connections = match config.max_connections {
            0 => free_descriptors(),
            max => max,
        };
        let per_client = match config.max_connections_per_client {
            0 => max_connections - max_connections / 8,
            max => max,
        };
        let tunnels_per_client = match config.max_connections_per_client {
            0 => config.max_tunnels - config.max_tunnels / 8,
            max => max,
        };
        let rules = Rules::new(&config);
        Self {
            listeners,
            tls,
            keeper: Mutex::new(keeper),
            loops: (0..loops).map(|_| Arc::new(Registry::new(rules))).collect(),
            stats: (0..loops).map(|_| Arc::default()).collect(),
            stage: watch::Sender::new(Stage::Serving),
            open: AtomicUsize::new(0),
            max_connections,
            room: Notify::new(),
            clients: Arc::new(Clients::new(per_client)),
            tunnels: Arc::new(Tunnels::new(config.max_tunnels, tunnels_per_client)),
            balance: Balance::new(loops),
            cut: AtomicUsize::new(0),
            next_id: AtomicU64::new(1),
            max_body: AtomicU64::new(config.max_body),
            config,
        }
    }

    /// The largest body of a request, in bytes.
    pub(crate) fn max_body(&self) -> u64 {
        self.max_body.load(Ordering::Relaxed)
    }

    pub(crate) fn set_max_body(&self, limit: u64) {
        self.max_body.store(limit, Ordering::Relaxed);
    }

    /// Raises the stage. It never goes back.
    pub(crate) fn raise(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let is_raised = *stage < to;
            *stage = to.max(*stage);
            is_raised
        });
    }

    /// Returns `true` if sockets come from the service manager. Then the next process starts only
    /// when this one has ended, and new connections would wait for as long as it drains.
    pub(crate) fn has_passed_sockets(&self) -> bool {
        self.config.listen.iter().any(|listen| matches!(listen.addr, Addr::Systemd(_)))
    }

    /// Returns `true` if other processes may have sockets of their own at the addresses of these
    /// listeners. Sockets of the service manager, and those that are handed over, stay open with
    /// the connections that wait in them.
    pub(crate) fn leaves_listeners_to_others(&self) -> bool {
        let config = &self.config;
        let is_own = |listen: &Listen| !matches!(listen.addr, Addr::Systemd(_));
        config.reuse_port && config.handover.is_none() && config.listen.iter().all(is_own)
    }
}

// === impl Loop ===

impl Loop {
    pub(crate) fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self {
            index,
            registry: shared.loops[index].clone(),
            stats: shared.stats[index].clone(),
            log_limit: LogLimit::default(),
            closing: watch::Sender::new(false),
            shared,
        }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn head_limits(&self) -> HeadLimits {
        let config = &self.shared.config;
        HeadLimits { bytes: config.max_head, fields: config.max_fields, target: config.max_target }
    }
}
