//! [`Source`]: results of one kind, each watched under its key.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::events::{Events, Stream};
use crate::shared::{Invalidate, Shared};
use crate::topic::{Outcome, Snapshot};
use crate::topics::Topics;

/// Results of one kind, for example those of one route, each watched under its key. Clones are
/// handles to the same source.
///
/// `E` is the error of a look.
pub struct Source<E>(Arc<Topics<E>>);

/// A request for a stream of events.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The key of the result. Watchers with equal keys get the same bytes, so it contains whatever
    /// the result depends on, the client's identity included.
    pub key: Vec<u8>,
    /// The id of the last event that the client has seen. The stream begins without a result that
    /// still has this id.
    pub last_event_id: Option<String>,
    /// The time until the stream ends, for example until the client's credentials expire.
    pub lifetime: Option<Duration>,
}

/// The reason why there is no stream.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused<E> {
    /// There is no such thing to watch.
    #[error("there is nothing to watch")]
    Gone,
    /// The first look failed.
    #[error("{0}")]
    Failed(E),
    /// The hub is closed.
    #[error("no more events are sent")]
    Closed,
}

// === impl Source ===

impl<E: Clone + fmt::Display + Send + Sync + 'static> Source<E> {
    pub(crate) fn new(hub: Arc<Shared>, groups: Vec<String>) -> Self {
        Self(Arc::new(Topics::new(hub, groups)))
    }

    pub(crate) fn downgrade(&self) -> Weak<dyn Invalidate> {
        Arc::downgrade(&self.0) as Weak<dyn Invalidate>
    }

    /// Opens a stream of the result under a key. It begins with a result that is not older than
    /// this call, as far as invalidations tell.
    ///
    /// `look` reads the result. It is called by a task on the runtime of the first watcher of the
    /// key, as long as there is one, and never twice at a time. The `look` of later watchers is not
    /// used.
    ///
    /// # Errors
    /// There is no such thing, or the first look failed, or the hub is closed. A look that fails
    /// later is repeated, and the stream goes on.
    pub async fn watch<L, F>(&self, request: Request, look: L) -> Result<Events, Refused<E>>
    where
        L: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Snapshot, E>> + Send + 'static,
    {
        let Request { key, last_event_id, lifetime } = request;
        let ends = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        let hub = self.0.hub();
        if hub.is_closed() {
            return Err(Refused::Closed);
        }
        let (membership, is_new) = Topics::join(&self.0, key.into(), look);
        let topic = membership.topic();
        if hub.is_lost() && !is_new {
            topic.looks.want();
        }
        let needed = topic.looks.current();
        let mut last = topic.last.subscribe();
        let outcome = match last.wait_for(|last| last.number >= needed || last.is_closed()).await {
            Ok(last) => last.outcome.clone(),
            Err(_) => Outcome::Closed,
        };
        match outcome {
            Outcome::Content => Ok(Events::new(Stream::new(membership, last_event_id.as_deref(), ends))),
            Outcome::Gone => Err(Refused::Gone),
            Outcome::Failed(error) => Err(Refused::Failed(error)),
            Outcome::Closed => Err(Refused::Closed),
        }
    }
}

impl<E> Clone for Source<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> fmt::Debug for Source<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
