//! Connections that changed to another protocol.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::client::Upgraded;

/// How much is on its way in either direction, at most.
const BUFFER: usize = 16 * 1024;

/// Copies both ways until both sides have ended, or one has failed.
pub(super) fn spawn(client: OnUpgrade, upstream: OnUpgrade, mut upgraded: Upgraded) {
    tokio::spawn(async move {
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
