//! [`Clients`]: the limit of connections of each client address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The number of connections of each client address, and their limit.
#[derive(Debug)]
pub(crate) struct Clients {
    counts: Mutex<HashMap<IpAddr, usize>>,
    max: usize,
}

/// The right to one of the connections of a client.
#[derive(Debug)]
pub(crate) struct ClientPermit {
    clients: Arc<Clients>,
    addr: IpAddr,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(max: usize) -> Self {
        Self { counts: Mutex::default(), max }
    }

    /// Returns a permit for a connection from `addr`. `None` at the limit.
    pub(crate) fn take(self: &Arc<Self>, addr: IpAddr) -> Option<ClientPermit> {
        let addr = client_of(addr);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(addr).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(ClientPermit { clients: self.clone(), addr })
    }
}

/// Returns the address that stands for a client: its IPv4 address, or its /64, because it may use
/// every address of that.
fn client_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() >> 64 << 64).into(),
        addr @ IpAddr::V4(_) => addr,
    }
}

// === impl ClientPermit ===

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.addr) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.addr);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_a_limit_of_connections() {
        let clients = Arc::new(Clients::new(2));
        let take = |addr: &str| clients.take(addr.parse().unwrap());
        let (first, _second) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(take("192.0.2.1").is_none());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let _permits = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());
    }
}
