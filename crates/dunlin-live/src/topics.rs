//! [`Topics`]: the results of one kind that are watched, and who watches them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::shared::{Invalidate, Shared};
use crate::topic::{Snapshot, Topic};

/// The results of one kind that are watched, each under its key.
pub(crate) struct Topics<E> {
    hub: Arc<Shared>,
    groups: Box<[String]>,
    topics: Mutex<HashMap<Arc<[u8]>, Entry<E>, RandomState>>,
}

/// A topic with its task.
struct Entry<E> {
    topic: Arc<Topic<E>>,
    /// The number of streams and of requests for one.
    watchers: usize,
    task: AbortHandle,
}

/// The part of one watcher in a topic. The last one ends the topic.
pub(crate) struct Membership<E> {
    source: Arc<Topics<E>>,
    key: Arc<[u8]>,
    topic: Arc<Topic<E>>,
}

// === impl Topics ===

impl<E: Clone + fmt::Display + Send + Sync + 'static> Topics<E> {
    pub(crate) fn new(hub: Arc<Shared>, groups: Vec<String>) -> Self {
        Self { hub, groups: groups.into(), topics: Mutex::default() }
    }

    pub(crate) const fn hub(&self) -> &Arc<Shared> {
        &self.hub
    }

    /// Joins the topic of a key. Returns `true` beside it if it is a new one.
    pub(crate) fn join<L, F>(this: &Arc<Self>, key: Arc<[u8]>, look: L) -> (Membership<E>, bool)
    where
        L: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<Snapshot, E>> + Send + 'static,
    {
        let mut topics = this.topics.lock();
        if let Some(entry) = topics.get_mut(&key).filter(|entry| !entry.topic.is_closed()) {
            entry.watchers += 1;
            return (Membership { source: this.clone(), key, topic: entry.topic.clone() }, false);
        }
        let topic = Arc::new(Topic::new());
        let task = tokio::spawn(topic.clone().run(this.hub.clone(), look)).abort_handle();
        this.hub.counters.begun.increment();
        if topics.insert(key.clone(), Entry { topic: topic.clone(), watchers: 1, task }).is_some() {
            this.hub.counters.ended.increment();
        }
        (Membership { source: this.clone(), key, topic }, true)
    }
}

impl<E: Clone + fmt::Display + Send + Sync + 'static> Invalidate for Topics<E> {
    fn groups(&self) -> &[String] {
        &self.groups
    }

    fn invalidate(&self) {
        self.topics.lock().values().for_each(|entry| entry.topic.looks.want());
    }

    fn close(&self) {
        self.topics.lock().values().for_each(|entry| entry.topic.close());
    }
}

// === impl Membership ===

impl<E> Membership<E> {
    pub(crate) fn topic(&self) -> &Topic<E> {
        &self.topic
    }

    pub(crate) fn hub(&self) -> &Shared {
        &self.source.hub
    }
}

impl<E> Drop for Membership<E> {
    fn drop(&mut self) {
        let mut topics = self.source.topics.lock();
        let Some(entry) = topics.get_mut(&self.key).filter(|entry| Arc::ptr_eq(&entry.topic, &self.topic)) else {
            return;
        };
        entry.watchers -= 1;
        if entry.watchers == 0 {
            entry.task.abort();
            topics.remove(&self.key);
            self.source.hub.counters.ended.increment();
        }
    }
}
