//! [`Retries`]: the decision to run a query again.

use super::{Pool, transaction};
use crate::error::Error;
use crate::query::Access;

/// The limit of retries after lost connections.
const LOST: u32 = 3;

/// The limit of times that a statement is prepared again for one request.
pub(super) const PREPARED: u32 = 3;

/// The retries of one request so far, by cause.
#[derive(Default)]
pub(super) struct Retries {
    prepared: u32,
    /// A name in a value was unknown.
    unknown_name: u32,
    lost: u32,
    conflicts: u32,
}

// === impl Retries ===

impl Retries {
    /// Returns `true` if the query is to be run again after this error. After a conflict it waits
    /// first, so that the others can finish.
    pub(super) async fn again(&mut self, pool: &Pool, access: Access, error: &Error) -> bool {
        if error.is_transient() && self.conflicts < pool.config().retries {
            transaction::pause(self.conflicts).await;
            self.conflicts += 1;
            return true;
        }
        if error.is_lost() && access == Access::Read {
            // The idle connections may be lost as well, so that the next one fails too.
            self.lost += 1;
            return self.lost <= LOST;
        }
        if error.is_statement_of_another_session() {
            // The idle connections probably remember the same statements.
            pool.evict_idle(access);
        }
        if error.is_about_a_name() {
            self.unknown_name += 1;
            return self.unknown_name <= 1;
        }
        // The server refused a stale plan before it ran. Within a transaction, the error undid the
        // statements before. A stale description shows only afterwards, so that a write must not
        // run again.
        let stale = error.is_stale_plan() || (error.is_stale_description() && access == Access::Read);
        self.prepared += u32::from(stale);
        stale && self.prepared <= PREPARED
    }
}
