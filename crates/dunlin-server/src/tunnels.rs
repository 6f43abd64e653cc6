//! [`Tunnels`]: the limit of upgraded connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::clients::{ClientPermit, Clients};

/// The upgraded connections of a server, in all and by client.
#[derive(Debug)]
pub(crate) struct Tunnels {
    open: AtomicUsize,
    max: usize,
    clients: Arc<Clients>,
}

/// The right to one tunnel.
#[derive(Debug)]
pub(crate) struct TunnelPermit {
    tunnels: Arc<Tunnels>,
    _client: Option<ClientPermit>,
}

// === impl Tunnels ===

impl Tunnels {
    pub(crate) fn new(max: usize, max_per_client: usize) -> Self {
        Self { open: AtomicUsize::new(0), max, clients: Arc::new(Clients::new(max_per_client)) }
    }

    /// Takes a permit for the client at `addr`. A client of a Unix socket has no address. Returns
    /// `None` if there are too many tunnels.
    pub(crate) fn take(self: &Arc<Self>, addr: Option<IpAddr>) -> Option<TunnelPermit> {
        let client = match addr {
            Some(addr) => Some(self.clients.take(addr)?),
            None => None,
        };
        let add = |open: usize| (open < self.max).then_some(open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, add).ok()?;
        Some(TunnelPermit { tunnels: self.clone(), _client: client })
    }
}

// === impl TunnelPermit ===

impl Drop for TunnelPermit {
    fn drop(&mut self) {
        self.tunnels.open.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnels_are_limited_in_all_and_by_client() {
        let tunnels = Arc::new(Tunnels::new(3, 2));
        let take = |addr: &str| tunnels.take(Some(addr.parse().unwrap()));
        let mut one = vec![take("192.0.2.1").unwrap(), take("192.0.2.1").unwrap()];
        assert!(take("192.0.2.1").is_none());
        let other = tunnels.take(None).unwrap();
        assert!(take("192.0.2.2").is_none() && tunnels.take(None).is_none());
        one.pop();
        assert!(take("192.0.2.1").is_some());
        drop(other);
        assert_eq!(tunnels.open.load(Ordering::Relaxed), 1);
    }
}
