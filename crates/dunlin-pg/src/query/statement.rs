//! [`Statement`]: a statement of a declared query.

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio_postgres::types::Type;

/// A statement whose parameters are numbered without gaps.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: Arc<str>,
    /// For each of its parameters the index in [`Query::params`](super::Query::params).
    pub(crate) uses: Vec<usize>,
    /// The types of its parameters, for statements that are not kept prepared.
    types: Mutex<Option<Arc<[Type]>>>,
}

// === impl Statement ===

impl Statement {
    pub(crate) fn new(sql: String, uses: Vec<usize>) -> Self {
        Self { sql: sql.into(), uses, types: Mutex::default() }
    }

    /// The types of its parameters at the last look-up.
    pub(crate) fn types(&self) -> Option<Arc<[Type]>> {
        self.remembered().clone()
    }

    pub(crate) fn remember(&self, types: &[Type]) -> Arc<[Type]> {
        self.remembered().insert(types.into()).clone()
    }

    pub(crate) fn forget_types(&self) {
        *self.remembered() = None;
    }

    fn remembered(&self) -> MutexGuard<'_, Option<Arc<[Type]>>> {
        self.types.lock()
    }
}
