//! [`EndpointState`]: the part of a listener that changes while it is open.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::watch;

/// The part of a listener that changes while it is open. The loops share it.
#[derive(Debug)]
pub(crate) struct EndpointState {
    /// A number that no other listener of this process has.
    id: u64,
    speaks_tls: AtomicBool,
    closed: watch::Sender<bool>,
}

// === impl EndpointState ===

impl EndpointState {
    pub(crate) fn new(speaks_tls: bool) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = LAST.fetch_add(1, Ordering::Relaxed);
        Self { id, speaks_tls: AtomicBool::new(speaks_tls), closed: watch::Sender::new(false) }
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Returns `true` if the TCP connections from here on speak TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.speaks_tls.load(Ordering::Relaxed)
    }

    pub(crate) fn set_speaks_tls(&self, speaks_tls: bool) {
        self.speaks_tls.store(speaks_tls, Ordering::Relaxed);
    }

    /// Makes every loop close its socket of the listener.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// Waits until the listener is to be closed.
    pub(crate) async fn closed(&self) {
        let mut closed = self.closed.subscribe();
        // The sender lives as long as this.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}
