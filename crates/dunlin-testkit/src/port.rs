//! [`free_port`]: ports for servers that have to know theirs before they start.

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;

/// The ports that this process has claimed. A UDP socket with the same number holds each of them
/// until the process ends.
static CLAIMED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// A free port of the loopback address. No other call gets it while this process lives, neither in
/// this process nor in another one.
///
/// It is outside the system's range of ephemeral ports. A port from that range, found by a bind to
/// port 0, may be assigned to any other listener or outgoing connection after its release. A client
/// that retries a connection to such a port may even be connected to itself.
///
/// # Panics
/// Panics if all ports are claimed.
#[must_use]
pub fn free_port() -> u16 {
    let ports = fixed_ports();
    let count = ports.len();
    // Processes that start at the same time begin at different ports.
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

/// The ports below the system's range of ephemeral ports.
fn fixed_ports() -> Range<u16> {
    let ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = ephemeral.split_whitespace().next().and_then(|first| first.parse().ok());
    // RFC 6335 §6: without a setting, ephemeral ports begin at 49152.
    let end = first.unwrap_or(49_152_u16);
    if end >= 16_384 { end / 2..end } else { 16_384..u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_is_returned_once_and_is_free() {
        let ports: Vec<_> = (0..50).map(|_| free_port()).collect();
        let listeners: Vec<_> = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).unwrap()).collect();
        let range = fixed_ports();
        assert!(ports.iter().all(|port| range.contains(port)), "{ports:?}");
        drop(listeners);
        let more: Vec<_> = (0..50).map(|_| free_port()).collect();
        assert!(more.iter().all(|port| !ports.contains(port)), "{ports:?} {more:?}");
    }
}
