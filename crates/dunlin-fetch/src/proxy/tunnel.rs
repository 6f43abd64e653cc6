//! Tunnels: connections that changed to another protocol.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::client::{Shared, Stats, Upgraded, UpgradedIo};

/// The size of the buffer for each direction.
const BUFFER: usize = 16 * 1024;

/// Counts an open tunnel until it is dropped.
struct OpenTunnel(Arc<Shared>);

/// Copies in both directions until both have ended, or one has failed.
///
/// The end of one direction is passed on at once, while the other continues.
pub(super) fn spawn(client: OnUpgrade, upstream: Option<OnUpgrade>, upgraded: Upgraded, shared: Arc<Shared>) {
    let open = OpenTunnel::new(shared);
    tokio::spawn(async move {
        let _open = open;
        let Upgraded { io, pending: _pending } = upgraded;
        match io {
            UpgradedIo::Http1 { driver, connection: _connection } => {
                if let Some(driver) = driver {
                    drop(driver.await);
                }
                let Some(upstream) = upstream else { return };
                // The client's side is ready once its 101 (Switching Protocols) has been written.
                match tokio::try_join!(client, upstream) {
                    Ok((client, upstream)) => copy(client, TokioIo::new(upstream)).await,
                    Err(error) => tracing::debug!(%error, "cannot open a tunnel"),
                }
            }
            UpgradedIo::Http2(upstream) => match client.await {
                Ok(client) => copy(client, upstream).await,
                Err(error) => tracing::debug!(%error, "cannot open a tunnel"),
            },
        }
    });
}

async fn copy(client: hyper::upgrade::Upgraded, mut upstream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut client = TokioIo::new(client);
    match tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await {
        Ok((sent, received)) => tracing::debug!(sent, received, "a tunnel ended"),
        Err(error) => tracing::debug!(%error, "a tunnel failed"),
    }
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
