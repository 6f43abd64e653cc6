//! [`WatchedFiles`]: files that are read again when they change.

use std::fmt::{self, Debug};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

/// The files that are watched, on a thread that starts with the first of them.
#[derive(Clone, Default)]
pub(crate) struct WatchedFiles(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    watched: Vec<Watched>,
    has_thread: bool,
}

/// A file is watched as long as this lives.
pub(crate) struct Watch(Arc<()>);

struct Watched {
    path: PathBuf,
    state: Option<State>,
    read: Box<dyn Fn() -> anyhow::Result<()> + Send>,
    watch: Weak<()>,
}

/// The facts that tell two contents of a file apart.
type State = (SystemTime, u64);

/// The time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);

// === impl WatchedFiles ===

impl WatchedFiles {
    /// Calls `read` when the file changes. Its error is logged, and what was read before stays in
    /// use.
    pub(super) fn add(&self, path: &Path, read: impl Fn() -> anyhow::Result<()> + Send + 'static) -> Watch {
        let (path, state, watch) = (path.to_owned(), state(path), Arc::new(()));
        self.0.lock().watched.push(Watched { path, state, read: Box::new(read), watch: Arc::downgrade(&watch) });
        Watch(watch)
    }

    /// Reads the files again that have changed.
    pub(crate) fn look(&self) {
        let mut files = self.0.lock();
        files.watched.retain(|file| file.watch.strong_count() > 0);
        files.watched.iter_mut().for_each(Watched::look);
    }

    /// Begins to watch, on a thread of its own, for as long as the process lives. Without files,
    /// there is no thread.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let mut files = self.0.lock();
        if files.has_thread || files.watched.is_empty() {
            return Ok(());
        }
        let this = self.clone();
        let watch = move || {
            loop {
                std::thread::sleep(INTERVAL);
                this.look();
            }
        };
        std::thread::Builder::new().name("dunlin-files".to_owned()).spawn(watch)?;
        files.has_thread = true;
        Ok(())
    }
}

impl Debug for WatchedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WatchedFiles").field(&self.0.lock().watched.len()).finish()
    }
}

impl Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&Arc::strong_count(&self.0)).finish()
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
