//! Loops of even load: `SO_REUSEPORT` spreads connections by a hash, which is not even when there
//! are few.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Addr;
use crate::listen::Accepted;
use crate::reaper::Registry;

/// A connection on its way from the loop that accepted it to one that has fewer.
#[derive(Debug)]
pub(crate) struct Handed {
    socket: std::net::TcpStream,
    remote: SocketAddr,
    pub(crate) local: Arc<Addr>,
}

/// The ways between the loops.
#[derive(Debug)]
pub(crate) struct Balance {
    senders: Vec<UnboundedSender<Handed>>,
    receivers: Mutex<Vec<Option<UnboundedReceiver<Handed>>>>,
}

/// A loop may have so many connections more than the one that has the fewest, and a quarter on top
/// of that.
const SLACK: usize = 16;

// === impl Balance ===

impl Balance {
    pub(crate) fn new(loops: usize) -> Self {
        let (senders, receivers) = (0..loops).map(|_| unbounded_channel()).map(|(tx, rx)| (tx, Some(rx))).unzip();
        Self { senders, receivers: Mutex::new(receivers) }
    }

    /// What comes to this loop from others. It can be had once.
    pub(crate) fn receiver(&self, index: usize) -> Option<UnboundedReceiver<Handed>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.take()
    }

    /// Hands `accepted` to the loop with the fewest connections if this one, `own`, has far more.
    /// Gives it back otherwise.
    pub(crate) fn offer(
        &self,
        accepted: Accepted,
        local: &Arc<Addr>,
        own: usize,
        loops: &[Arc<Registry>],
    ) -> Option<Accepted> {
        let Some(to) = target(own, loops.iter().map(|registry| registry.len())) else { return Some(accepted) };
        let (socket, remote) = match accepted {
            Accepted::Tcp(socket, remote) => (socket, remote),
            accepted @ Accepted::Unix(_) => return Some(accepted),
        };
        let Ok(socket) = socket.into_std() else { return None };
        match self.senders[to].send(Handed { socket, remote, local: local.clone() }) {
            Ok(()) => None,
            // That loop has stopped already.
            Err(back) => back.0.into_accepted().ok(),
        }
    }
}

/// The loop that should have the connection that `own` accepted, if it is another.
fn target(own: usize, lens: impl Iterator<Item = usize> + Clone) -> Option<usize> {
    let mine = lens.clone().nth(own)?;
    let (to, fewest) = lens.enumerate().min_by_key(|(_, len)| *len)?;
    (mine > fewest + fewest / 4 + SLACK).then_some(to)
}

// === impl Handed ===

impl Handed {
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
