//! `[server] watch`: a change of the files is a reload.

use std::path::PathBuf;
use std::time::Duration;

use super::Reloads;
use crate::config::Files;

/// The time between two looks. A change is taken when two looks see the same, because writers may
/// change several files, or one in several steps.
const INTERVAL: Duration = Duration::from_millis(500);

/// Requests a reload whenever the files have changed, for ever. `taken` are the files that are in
/// use.
pub(super) async fn watch(file: PathBuf, mut taken: Files, reloads: Reloads) {
    let mut before = taken.clone();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let file = file.clone();
        let Ok(now) = tokio::task::spawn_blocking(move || Files::look(&file)).await else { return };
        if now == before && now != taken {
            tracing::info!("the files of the configuration have changed; reading them again");
            taken.clone_from(&now);
            reloads.run().await;
        }
        before = now;
    }
}
