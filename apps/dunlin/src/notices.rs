//! What the database says has changed, turned into invalidations of the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use dunlin_pg::{Event, Listener};
use tokio::task::JoinHandle;

use crate::service::Plan;

/// A task that ends with its owner.
pub(crate) struct Following(JoinHandle<()>);

/// How long the start waits until the database is heard. Answers are right without, they are only not kept.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// Follows the channel of `[cache] notify` in the background until it is dropped; `None` when nothing that is kept depends
/// on the database.
pub(crate) fn follow(plan: &Arc<Plan>) -> Option<Following> {
    let database = plan.config().database.as_ref()?;
    if let Some(warning) = unheard(plan) {
        tracing::warn!("{warning}");
    }
    if plan.groups().is_empty() || !database.can_listen() {
        return None;
    }
    let listener = database.listen([plan.config().cache.notify.clone()]);
    Some(Following(tokio::spawn(hear(listener, plan.clone()))))
}

/// What to tell when answers have groups that no notice will ever name.
pub(crate) fn unheard(plan: &Plan) -> Option<&'static str> {
    let deaf = plan.config().database.as_ref().is_some_and(|database| !database.can_listen());
    (deaf && !plan.groups().is_empty()).then_some(
        "pooler = \"transaction\" carries no notices, so nothing with cache groups is kept: \
         give [database] a listen_url that goes around the pooler",
    )
}

/// Waits until the database is heard, if somebody listens, so that what is asked first is kept already.
pub(crate) async fn heard(plan: &Plan) {
    let heard = async {
        while plan.deaf().load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(FIRST_WORD, heard).await;
}

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// While nobody hears the database, its answers pass by the cache; what was kept before may have changed meanwhile, so it
/// is forgotten before anything is kept again.
async fn hear(mut listener: Listener, plan: Arc<Plan>) {
    let channel = &plan.config().cache.notify;
    loop {
        match listener.next().await {
            Event::Notice { payload, .. } => {
                tracing::debug!(groups = payload, "the database has changed");
                let named: Vec<&str> = payload.split_whitespace().collect();
                plan.cache().invalidate_groups(&named);
            }
            Event::Gap => {
                plan.cache().invalidate_groups(plan.groups());
                plan.deaf().store(false, Ordering::Release);
                tracing::info!(channel, "listening to the database");
            }
            Event::Lost => {
                plan.deaf().store(true, Ordering::Release);
                tracing::warn!(channel, "the database is not heard; nothing that depends on it is kept");
            }
        }
    }
}
