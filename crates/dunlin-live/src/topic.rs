//! [`Topic`]: one watched result, and the task that looks at it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::Event;
use crate::looks::Looks;
use crate::shared::Shared;

/// The result of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// The content, in UTF-8.
    Content(Bytes),
    /// There is no such thing. A watcher that has seen it gets `null`.
    Gone,
}

/// One watched result.
pub(crate) struct Topic<E> {
    pub(crate) looks: Looks,
    /// The newest result, for streams. They wake up only if it changes.
    pub(crate) newest: watch::Sender<Newest>,
    /// The last look, for requests that wait for one.
    pub(crate) last: watch::Sender<Last<E>>,
}

/// The newest result of a topic.
#[derive(Default)]
pub(crate) struct Newest {
    /// The result, with the number of changes up to it.
    pub(crate) event: Option<(Event, u64)>,
    /// `true` if no other one will come.
    pub(crate) is_closed: bool,
}

/// The last look that is done.
pub(crate) struct Last<E> {
    pub(crate) number: u64,
    pub(crate) outcome: Outcome<E>,
}

/// The outcome of a look.
#[derive(Clone)]
pub(crate) enum Outcome<E> {
    Content,
    Gone,
    Failed(E),
    /// There will be no more looks.
    Closed,
}

/// The end of a topic's task, which ends its streams even if the task panics.
struct Ending<E>(Arc<Topic<E>>);

// === impl Topic ===

impl<E> Topic<E> {
    /// Makes a topic that wants its first look.
    pub(crate) fn new() -> Self {
        let last = Last { number: 0, outcome: Outcome::Gone };
        let topic = Self { looks: Looks::default(), newest: watch::Sender::default(), last: watch::Sender::new(last) };
        topic.looks.want();
        topic
    }

    /// Ends every stream.
    pub(crate) fn close(&self) {
        self.newest.send_modify(|newest| newest.is_closed = true);
        self.last.send_modify(|last| last.outcome = Outcome::Closed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.newest.borrow().is_closed
    }
}

impl<E: Clone + fmt::Display + Send + Sync + 'static> Topic<E> {
    /// Looks whenever a look is wanted, and publishes the result.
    pub(crate) async fn run<L, F>(self: Arc<Self>, hub: Arc<Shared>, look: L)
    where
        L: Fn() -> F + Send,
        F: Future<Output = Result<Snapshot, E>> + Send,
    {
        let ending = Ending(self);
        let topic = &ending.0;
        let config = &hub.config;
        let mut last: Option<Instant> = None;
        let mut failures = 0;
        loop {
            topic.looks.wanted().await;
            if let Some(last) = last {
                let due = (last + config.pause).max(Instant::now() + config.gather);
                tokio::time::sleep_until(due).await;
            }
            let permit = hub.permits.acquire().await;
            let number = topic.looks.begin();
            last = Some(Instant::now());
            hub.counters.looks.increment();
            let result = look().await;
            drop(permit);
            match &result {
                Ok(_) if failures > 0 => tracing::info!(failures, "a watched result can be read again"),
                Err(error) if failures == 0 => tracing::warn!(%error, "a watched result cannot be read; retrying"),
                _ => {}
            }
            failures = if result.is_ok() { 0 } else { failures + 1 };
            topic.publish(number, result, &hub);
            if failures > 0 {
                tokio::time::sleep(pause(failures, config.retry, config.retry_limit)).await;
                topic.looks.want();
            }
        }
    }

    fn publish(&self, number: u64, result: Result<Snapshot, E>, hub: &Shared) {
        let (outcome, event) = match result {
            Ok(Snapshot::Content(content)) => (Outcome::Content, Event::new(&content)),
            Ok(Snapshot::Gone) => (Outcome::Gone, Event::new(b"null")),
            Err(error) => {
                hub.counters.failed.increment();
                return self.finish(number, Outcome::Failed(error));
            }
        };
        self.newest.send_if_modified(|newest| match &newest.event {
            Some((last, _)) if last.id() == event.id() => {
                hub.counters.unchanged.increment();
                false
            }
            last => {
                let version = last.as_ref().map_or(0, |(_, version)| version + 1);
                newest.event = Some((event, version));
                true
            }
        });
        self.finish(number, outcome);
    }

    /// Wakes the requests that wait for a look.
    fn finish(&self, number: u64, outcome: Outcome<E>) {
        self.last.send_if_modified(|last| {
            let is_open = !last.is_closed();
            if is_open {
                *last = Last { number, outcome };
            }
            is_open
        });
    }
}

// === impl Last ===

impl<E> Last<E> {
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.outcome, Outcome::Closed)
    }
}

impl<E> Drop for Ending<E> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The random time before a repeated look.
fn pause(failures: u32, first: Duration, limit: Duration) -> Duration {
    let time = first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limit);
    time.mul_f64(0.5 + fastrand::f64() / 2.0)
}
