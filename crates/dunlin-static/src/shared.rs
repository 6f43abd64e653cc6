//! [`Shared`]: the state that all clones of a service share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::Config;
use crate::pool::Pool;
use crate::root::Root;
use crate::rules::Rules;
use crate::table::Table;

/// The state that all clones of a service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) rules: Rules,
    pub(crate) root: Root,
    pub(crate) table: Table,
    pub(crate) pool: Pool,
    /// The time of the last comparison of the root with its path, in nanoseconds since 1970.
    pub(crate) root_checked: AtomicU64,
    /// Locks for loading, one for all paths of a stripe. Concurrent requests for one path load it
    /// once.
    loads: [Arc<Mutex<()>>; 64],
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(root: Root, config: Config) -> Self {
        Self {
            rules: Rules::new(&config),
            table: Table::new(config.memory),
            pool: Pool::new(),
            loads: std::array::from_fn(|_| Arc::default()),
            root_checked: AtomicU64::new(0),
            root,
            config,
        }
    }

    /// The age at which an entry is compared with the disk again.
    ///
    /// It is half of [`Config::seen_within`]. The other half is left for a writer to finish.
    pub(crate) fn check_interval(&self) -> Duration {
        self.config.seen_within / 2
    }

    /// The length limit for the file at `path` to be held in memory. A hot file keeps the higher
    /// limit when it changes.
    pub(crate) fn len_limit(&self, path: &str) -> u64 {
        let is_held = self.table.get(path).is_some_and(|entry| entry.is_in_memory());
        if is_held { self.config.max_file.max(self.hot_len_limit()) } else { self.config.max_file }
    }

    /// The length limit for a hot file to be held in memory.
    pub(crate) const fn hot_len_limit(&self) -> u64 {
        self.config.memory as u64 / 4
    }

    /// The lock that is held while the file at `path` is loaded.
    pub(crate) fn load_lock(&self, path: &str) -> &Arc<Mutex<()>> {
        let sum = path.bytes().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        &self.loads[sum % self.loads.len()]
    }
}
