//! [`Balance`]: connections that go from a loop with many to a loop with few.
//!
//! `SO_REUSEPORT` spreads connections by a hash, which is uneven when there are few.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::listen::{Accepted, Endpoint};
use crate::reaper::Registry;

/// A connection on its way from the loop that accepted it to one that has fewer connections.
#[derive(Debug)]
pub(crate) struct HandedOver {
    socket: std::net::TcpStream,
    remote: SocketAddr,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// The channels between the loops.
#[derive(Debug)]
pub(crate) struct Balance {
    senders: Vec<UnboundedSender<HandedOver>>,
    receivers: Mutex<Vec<Option<UnboundedReceiver<HandedOver>>>>,
}

/// The number of connections that a loop may have beyond five quarters of the smallest number.
const SLACK: usize = 16;

// === impl Balance ===

impl Balance {
    pub(crate) fn new(loops: usize) -> Self {
        let (senders, receivers) = (0..loops).map(|_| unbounded_channel()).map(|(tx, rx)| (tx, Some(rx))).unzip();
        Self { senders, receivers: Mutex::new(receivers) }
    }

    /// Takes the receiver of the connections that other loops hand to this one. `None` at the
    /// second call.
    pub(crate) fn receiver(&self, index: usize) -> Option<UnboundedReceiver<HandedOver>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.take()
    }

    /// Hands `accepted` to the loop with the fewest connections if this one, `own`, has far more.
    /// Returns it otherwise.
    pub(crate) fn offer(
        &self,
        accepted: Accepted,
        endpoint: &Arc<Endpoint>,
        own: usize,
        loops: &[Arc<Registry>],
    ) -> Option<Accepted> {
        let Some(to) = target(own, loops.iter().map(|registry| registry.len())) else { return Some(accepted) };
        let (socket, remote) = match accepted {
            Accepted::Tcp(socket, remote) => (socket, remote),
            accepted @ Accepted::Unix(_) => return Some(accepted),
        };
        let Ok(socket) = socket.into_std() else { return None };
        match self.senders[to].send(HandedOver { socket, remote, endpoint: endpoint.clone() }) {
            Ok(()) => None,
            // The other loop has stopped.
            Err(back) => back.0.into_accepted().ok(),
        }
    }
}

/// Returns the loop for a connection that `own` accepted. `None` if it is `own`.
fn target(own: usize, lens: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let mine = lens.clone().nth(own)?;
    let (to, fewest) = lens.enumerate().min_by_key(|(_, len)| *len)?;
    (mine > fewest + fewest / 4 + SLACK).then_some(to)
}

// === impl HandedOver ===

impl HandedOver {
    pub(crate) fn into_accepted(self) -> io::Result<Accepted> {
        TcpStream::from_std(self.socket).map(|socket| Accepted::Tcp(socket, self.remote))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_a_loop_with_far_more_connections_hands_one_over() {
        for (lens, expect) in [
            (&[10, 0][..], None),
            (&[16, 0], None),
            (&[17, 0], Some(1)),
            (&[140, 100], None),
            (&[142, 100, 101], Some(1)),
            (&[0, 100], None),
            (&[5], None),
        ] {
            assert_eq!(super::target(0, lens.iter().copied()), expect, "{lens:?}");
        }
    }
}
