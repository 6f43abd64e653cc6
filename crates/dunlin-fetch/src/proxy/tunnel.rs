//! Connections that changed to another protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::client::{Origin, Stats, Upgraded};

/// The limit of bytes in flight, for each direction.
const BUFFER: usize = 16 * 1024;

/// Copies both ways until both sides have ended, or one has failed.
///
/// The end of one direction is passed on at once, while the other goes on.
pub(super) fn spawn(client: OnUpgrade, upstream: OnUpgrade, mut upgraded: Upgraded, origin: Arc<Origin>) {
    let open = Open::new(origin);
    tokio::spawn(async move {
        let _open = open;
        if let Some(driver) = upgraded.driver.take() {
            drop(driver.await);
        }
        // The client's side comes once its 101 has been written.
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "a tunnel did not come about"),
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        match tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await {
            Ok((sent, received)) => tracing::debug!(sent, received, "a tunnel ended"),
            Err(error) => tracing::debug!(%error, "a tunnel broke"),
        }
        drop(upgraded);
    });
}

/// Counts an open tunnel, until it is dropped.
struct Open(Arc<Origin>);

impl Open {
    fn new(origin: Arc<Origin>) -> Self {
        let stats = &origin.shared.stats;
        Stats::count(&stats.tunnels);
        Stats::count(&stats.open_tunnels);
        Self(origin)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.shared.stats.open_tunnels.fetch_sub(1, Ordering::Relaxed);
    }
}
