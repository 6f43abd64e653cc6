//! [`Reload`]: files that are read again when they change.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// The files that are watched.
#[derive(Clone, Default)]
pub(crate) struct Reload(Arc<Mutex<Vec<Watched>>>);

struct Watched {
    path: PathBuf,
    state: Option<State>,
    read: Box<dyn Fn() -> anyhow::Result<()> + Send>,
}

/// The facts that tell two contents of a file apart.
type State = (SystemTime, u64);

/// The time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

// === impl Reload ===

impl Reload {
    /// Calls `read` when the file changes. Its error is logged, and what was read before stays in
    /// use.
    pub(super) fn add(&self, path: &Path, read: impl Fn() -> anyhow::Result<()> + Send + 'static) {
        let (path, state) = (path.to_owned(), state(path));
        self.0.lock().push(Watched { path, state, read: Box::new(read) });
    }

    /// Begins to watch, on a thread of its own, for as long as the process lives. Without files,
    /// there is no thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        if self.0.lock().is_empty() {
            return Ok(());
        }
        let files = self.0.clone();
        let watch = move || {
            loop {
                std::thread::sleep(INTERVAL);
                files.lock().iter_mut().for_each(Watched::look);
            }
        };
        std::thread::Builder::new().name("dunlin-files".to_owned()).spawn(watch).map(drop)
    }
}

impl Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reload").field(&self.0.lock().len()).finish()
    }
}

// === impl Watched ===

impl Watched {
    fn look(&mut self) {
        let now = state(&self.path);
        if now.is_none() || now == self.state {
            return;
        }
        self.state = now;
        match (self.read)() {
            Ok(()) => tracing::info!(file = %self.path.display(), "read again after a change"),
            Err(error) => {
                tracing::error!(error = %format_args!("{error:#}"), "a changed file cannot be used; the earlier content stays in use");
            }
        }
    }
}

fn state(path: &Path) -> Option<State> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
