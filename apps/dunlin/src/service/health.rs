//! Readiness: the state of the parts that the service needs.

use std::sync::Arc;
use std::time::Duration;

use dunlin_pg::Pool;
use parking_lot::Mutex;

use super::Plan;

/// The state of the parts that can be away.
#[derive(Debug)]
pub(crate) struct Health {
    /// The reason why the database cannot be used; `None` if it can, or none is needed.
    database: Mutex<Option<String>>,
}

// === impl Health ===

impl Health {
    /// A database that has not answered yet counts as away.
    pub(crate) fn new(plan: &Plan) -> Self {
        let needed = plan.config().database.is_some();
        Self { database: Mutex::new(needed.then(|| "the database was not asked yet".to_owned())) }
    }

    /// No database is needed.
    pub(crate) fn no_database(&self) {
        *self.database.lock() = None;
    }

    /// The reason why the service is not ready.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.database.lock().clone()
    }

    /// Asks the database from time to time, for ever.
    pub(crate) async fn watch(self: Arc<Self>, pool: Pool) {
        loop {
            let trouble = pool.ready().await.err().map(|error| error.to_string());
            let pause = if trouble.is_some() { 200 } else { 1000 };
            self.update(trouble);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Stores the state, and logs a change.
    fn update(&self, trouble: Option<String>) {
        let mut known = self.database.lock();
        match (&*known, &trouble) {
            (None, Some(reason)) => tracing::warn!(reason, "not ready"),
            (Some(_), None) => tracing::info!("ready: the database answers"),
            _ => {}
        }
        *known = trouble;
    }
}
