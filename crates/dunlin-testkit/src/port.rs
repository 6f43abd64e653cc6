//! Ports for servers that are told theirs before they start.

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;

/// What this process has claimed: each is held by a UDP socket of the same number, until the
/// process ends.
static CLAIMED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A port of the loopback address that is the caller's alone: nobody listens there, and no other
/// process that asks here is given it while this one lives.
///
/// It is none that the system gives out by itself. A port that was bound to zero and let go is: to
/// any listener and to any outgoing connection, on a machine that runs many tests within moments. A
/// client that tries such a port again and again, while nobody listens there, may even come to be
/// connected to itself.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free_port() -> u16 {
    let ports = not_given_out();
    let count = ports.len();
    // Processes that start at one moment look at different places.
    let start = (std::process::id() as usize).wrapping_mul(641) % count;
    let mut claimed = CLAIMED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let next = start + claimed.len();
    let mut candidates = (0..count).map(|at| ports.start + ((next + at) % count) as u16);
    let found = candidates.find_map(|port| {
        let claim = UdpSocket::bind(("127.0.0.1", port)).ok()?;
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| (port, claim))
    });
    let (port, claim) = found.expect("a free port");
    claimed.push(claim);
    port
}

/// The ports that the system takes for nobody who does not ask for them by number.
fn not_given_out() -> Range<u16> {
    let told = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = told.split_whitespace().next().and_then(|first| first.parse().ok());
    // Elsewhere from 49152 on, as RFC 6335 §6 has it.
    let end = first.unwrap_or(49_152_u16);
    if end >= 16_384 { end / 2..end } else { 16_384..u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_given_once_and_can_be_listened_on() {
        let ports: Vec<_> = (0..50).map(|_| free_port()).collect();
        let listeners: Vec<_> = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
        let range = not_given_out();
        assert!(ports.iter().all(|port| range.contains(port)), "{ports:?}");
        drop(listeners);
        let more: Vec<_> = (0..50).map(|_| free_port()).collect();
        assert!(more.iter().all(|port| !ports.contains(port)), "{ports:?} {more:?}");
    }
}
