//! Whether what the service needs is there.

use std::sync::Arc;
use std::time::Duration;

use dunlin_pg::Pool;
use parking_lot::Mutex;

use crate::service::Plan;

/// What is known of the parts that can be away.
#[derive(Debug)]
pub(crate) struct Health {
    /// Why the database cannot be used; nothing when it can, or none is needed.
    database: Mutex<Option<String>>,
}

// === impl Health ===

impl Health {
    /// A database that was not seen yet counts as away.
    pub(crate) fn new(plan: &Plan) -> Self {
        let needed = plan.config().database.is_some();
        Self { database: Mutex::new(needed.then(|| "the database was not asked yet".to_owned())) }
    }

    /// What is wrong, a reason each.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.database.lock().clone()
    }

    /// Asks the database from time to time, for as long as the loop lives that it runs on.
    pub(crate) async fn watch(self: Arc<Self>, pool: Pool) {
        loop {
            let trouble = pool.ready().await.err().map(|error| error.to_string());
            let pause = if trouble.is_some() { 200 } else { 1000 };
            self.tell(trouble);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Keeps what was found, and says in the log what is new.
    fn tell(&self, trouble: Option<String>) {
        let mut known = self.database.lock();
        match (&*known, &trouble) {
            (None, Some(reason)) => tracing::warn!(reason, "not ready"),
            (Some(_), None) => tracing::info!("ready: the database answers"),
            _ => {}
        }
        *known = trouble;
    }
}
