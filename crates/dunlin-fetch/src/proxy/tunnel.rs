//! Tunnels: connections that changed to another protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::client::{Shared, Stats, Upgraded};

/// The size of the buffer for each direction.
const BUFFER: usize = 16 * 1024;

/// Counts an open tunnel until it is dropped.
struct OpenTunnel(Arc<Shared>);

/// Copies in both directions until both have ended, or one has failed.
///
/// The end of one direction is passed on at once, while the other continues.
pub(super) fn spawn(client: OnUpgrade, upstream: OnUpgrade, mut upgraded: Upgraded, shared: Arc<Shared>) {
    let open = OpenTunnel::new(shared);
    tokio::spawn(async move {
        let _open = open;
        if let Some(driver) = upgraded.driver.take() {
            drop(driver.await);
        }
        // The client's side is ready once its 101 (Switching Protocols) has been written.
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "cannot open a tunnel"),
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        match tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await {
            Ok((sent, received)) => tracing::debug!(sent, received, "a tunnel ended"),
            Err(error) => tracing::debug!(%error, "a tunnel failed"),
        }
        drop(upgraded);
    });
}

// === impl OpenTunnel ===

impl OpenTunnel {
    fn new(shared: Arc<Shared>) -> Self {
        let stats = &shared.stats;
        Stats::count(&stats.tunnels);
        Stats::count(&stats.open_tunnels);
        Self(shared)
    }
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.0.stats.open_tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
