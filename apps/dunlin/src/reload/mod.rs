//! The reload: the files are read again, and the service goes on by what they say.
//!
//! A reload makes everything new first: the plan, the parts of every loop, the sockets. Whatever
//! fails leaves all as it was. Then it exchanges the parts. Requests in flight end on the parts
//! that they began with.
//!
//! Reloads run one after the other. Those that are requested during one are one reload after it.

mod background;
mod outcome;
mod restart;
mod steps;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use dunlin_server::Addr;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::config::{Config, FIRST_FILE};
use crate::failure::Failure;
pub(crate) use background::Background;
pub(crate) use outcome::{Outcome, Outcomes};
pub(crate) use steps::Reloader;

/// The place of the configuration, and what the command line says instead of it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) file: PathBuf,
    /// The addresses to listen on, in place of those of the file.
    pub(crate) listen: Vec<Addr>,
}

/// The entrance for requests of a reload. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Reloads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    waiting: Mutex<Vec<oneshot::Sender<Outcome>>>,
    requested: Notify,
    outcomes: Mutex<Outcomes>,
}

// === impl Origin ===

impl Origin {
    /// Reads a configuration that has a route.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        let database_url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
        let mut config = Config::load(&self.file, database_url.as_deref())?;
        if config.routes.is_empty() {
            return Err(Failure::Config(format!("{}: there is no route. {}\n", config.file(), FIRST_FILE)));
        }
        if !self.listen.is_empty() {
            config.server.listen = self.listen.iter().cloned().map(Into::into).collect();
        }
        Ok(config)
    }
}

// === impl Reloads ===

impl Reloads {
    /// Requests a reload, and does not wait for it.
    pub(crate) fn request(&self) {
        self.0.requested.notify_one();
    }

    /// Requests a reload, and waits for its outcome. `None` if the service stops before.
    pub(crate) async fn run(&self) -> Option<Outcome> {
        let (sender, outcome) = oneshot::channel();
        self.0.waiting.lock().push(sender);
        self.request();
        outcome.await.ok()
    }

    /// The outcomes so far.
    pub(crate) fn outcomes(&self) -> Outcomes {
        self.0.outcomes.lock().clone()
    }

    /// Runs reloads whenever they are requested, for ever.
    pub(crate) async fn serve(self, mut reloader: Reloader) {
        reloader.follow_files(&self);
        loop {
            self.0.requested.notified().await;
            // Whoever requests one from here on may have changed a file that is read already.
            let waiting = std::mem::take(&mut *self.0.waiting.lock());
            let outcome = reloader.reload().await;
            reloader.follow_files(&self);
            self.0.outcomes.lock().add(outcome.clone());
            for sender in waiting {
                let _ = sender.send(outcome.clone());
            }
        }
    }
}
