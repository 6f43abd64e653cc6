//! Notices of the database, which invalidate groups of the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dunlin_pg::{Event, Listener};
use tokio::task::JoinHandle;

use crate::reader::Fingerprint;
use crate::service::{Plan, Service};

/// The task that follows the notices. It ends when this is dropped.
pub(crate) struct Following {
    task: JoinHandle<()>,
    /// The settings of the database.
    database: Fingerprint,
    channel: String,
}

/// The time that the start waits for the notification connection. Responses are right without it,
/// but they are not stored.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Follows the channel of `[cache] notify` in the background; `None` if no stored response depends
/// on the database.
pub(crate) fn follow(service: &Arc<Service>, plan: &Plan) -> Option<Following> {
    let database = plan.config().database.as_ref()?;
    if let Some(warning) = warning(plan) {
        tracing::warn!("{warning}");
    }
    if !is_needed(plan) {
        return None;
    }
    let channel = plan.config().cache.notify.clone();
    let listener = database.listen([channel.clone()]);
    let task = tokio::spawn(follow_channel(listener, channel.clone(), service.clone()));
    Some(Following { task, database: plan.config().fingerprints.database, channel })
}

/// Returns `true` if stored responses depend on notices that can arrive.
fn is_needed(plan: &Plan) -> bool {
    let can_listen = plan.config().database.as_ref().is_some_and(dunlin_pg::Database::can_listen);
    can_listen && !plan.groups().is_empty()
}

/// The warning about groups that no notice can ever name.
pub(crate) fn warning(plan: &Plan) -> Option<&'static str> {
    let is_cut_off = plan.config().database.as_ref().is_some_and(|database| !database.can_listen());
    (is_cut_off && !plan.groups().is_empty()).then_some(
        "pooler = \"transaction\" carries no notices, so no response with cache groups is stored, and events come only \
         after writes through this service; \
         set listen_url in [database] to an address that goes around the pooler",
    )
}

/// Waits for the notification connection, so that the first responses are stored already.
pub(crate) async fn connected(plan: &Plan) {
    let connected = async {
        while plan.notices_lost().load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(FIRST_WAIT, connected).await;
}

// === impl Following ===

impl Following {
    /// Returns `true` if it is right for a plan, too.
    pub(crate) fn is_for(&self, plan: &Plan) -> bool {
        let config = plan.config();
        is_needed(plan) && self.database == config.fingerprints.database && self.channel == config.cache.notify
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Invalidates as the notices say.
///
/// While there is no connection, responses bypass the cache. The stored ones may have changed
/// meanwhile, so they are invalidated before anything is stored again.
async fn follow_channel(mut listener: Listener, channel: String, service: Arc<Service>) {
    loop {
        let event = listener.next().await;
        let plan = service.plan();
        match event {
            Event::Notice { payload, .. } => {
                tracing::debug!(groups = payload, "the database changed these groups");
                let named: Vec<&str> = payload.split_whitespace().collect();
                plan.cache().invalidate_groups(&named);
            }
            Event::Gap => {
                plan.cache().invalidate_groups(plan.groups());
                plan.set_notices_lost(false);
                tracing::info!(channel, "following the notices of the database");
            }
            Event::Lost => {
                plan.set_notices_lost(true);
                tracing::warn!(
                    channel,
                    "lost the notification connection; responses that depend on it are not stored until it is back"
                );
            }
        }
    }
}
