//! How many connections each client address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections by client address.
#[derive(Debug)]
pub(crate) struct Clients {
    counts: Mutex<HashMap<IpAddr, usize>>,
    max: usize,
}

/// One of the connections that a client may have, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    clients: Arc<Clients>,
    addr: IpAddr,
}

// === impl Clients ===

impl Clients {
    pub(crate) fn new(max: usize) -> Self {
        Self { counts: Mutex::default(), max }
    }

    /// A seat for a connection from `addr`, if one is left.
    pub(crate) fn take(self: &Arc<Self>, addr: IpAddr) -> Option<Seat> {
        let addr = network(addr);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(addr).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Seat { clients: self.clone(), addr })
    }
}

/// What one client has: an IPv4 address, or a /64, of which it may use every address.
fn network(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(addr) => Ipv6Addr::from_bits(addr.to_bits() >> 64 << 64).into(),
        addr @ IpAddr::V4(_) => addr,
    }
}

// === impl Seat ===

impl Drop for Seat {
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
    fn a_client_has_as_many_seats_as_it_may() {
        let clients = Arc::new(Clients::new(2));
        let take = |addr: &str| clients.take(addr.parse().unwrap());
        let (first, _second) = (take("192.0.2.1"), take("::ffff:192.0.2.1"));
        assert!(take("192.0.2.1").is_none());
        drop(first);
        assert!(take("192.0.2.1").is_some());
        let _seats = (take("2001:db8::1"), take("2001:db8::2"));
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());
    }
}
