//! The subscription to the invalidations of other instances.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use dunlin_cache::store::Listener;
use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::batch::Batch;
use crate::config::Config;
use crate::message;
use crate::shared::Shared;

/// The caches that use a store.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

/// The task that passes invalidations of other instances on to the caches.
pub(crate) struct Subscriber {
    pub(crate) client: redis::Client,
    pub(crate) config: Config,
    /// The id of this instance, whose own messages are ignored.
    pub(crate) instance: String,
    pub(crate) shared: Arc<Shared>,
    pub(crate) listeners: Arc<Listeners>,
}

// === impl Subscriber ===

impl Subscriber {
    /// Subscribes, and again whenever the subscription is lost.
    pub(crate) async fn run(self) {
        let channel = format!("{}invalidations", self.config.prefix);
        let mut backoff = Backoff::new(self.config.max_backoff);
        loop {
            match timeout(self.config.connect_timeout, subscribe(&self.client, &channel)).await {
                Ok(Ok(subscription)) => {
                    backoff.reset();
                    // Messages between the last subscription and this one are lost.
                    self.report_gap();
                    self.shared.listening.store(true, SeqCst);
                    self.receive(subscription).await;
                    self.shared.listening.store(false, SeqCst);
                    tracing::warn!("shared cache: lost the subscription to invalidations; subscribing again");
                }
                Ok(Err(error)) => tracing::debug!(%error, "shared cache: cannot subscribe to invalidations; retrying"),
                Err(_) => tracing::debug!("shared cache: subscribing to invalidations timed out; retrying"),
            }
            backoff.wait().await;
        }
    }

    /// Passes messages on until the connection ends.
    async fn receive(&self, subscription: PubSub) {
        let (mut sink, mut messages) = subscription.split();
        let mut last = None;
        while let Some(payload) = next(&mut sink, &mut messages, self.config.heartbeat, self.config.timeout).await {
            let message = message::decode(&payload);
            let number = message.as_ref().map(|message| message.number);
            // The numbers are consecutive, because one script both counts and publishes.
            if message.is_none() || last.is_some_and(|last: u64| number != Some(last.wrapping_add(1))) {
                self.report_gap();
            }
            last = number;
            if let Some(message) = message.filter(|message| message.instance != self.instance) {
                self.report(message.batch);
            }
        }
    }

    /// Counts after the caches are done, so that a reader of the count can rely on that.
    fn report(&self, batch: Batch) {
        let invalidation = batch.into();
        self.listeners.for_each(|listener| listener.invalidated(&invalidation));
        self.shared.counters.received.increment();
    }

    fn report_gap(&self) {
        self.listeners.for_each(Listener::gap);
        self.shared.counters.gaps.increment();
    }
}

async fn subscribe(client: &redis::Client, channel: &str) -> redis::RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}

/// Waits for the next message. Returns `None` when the connection has ended or does not answer a
/// ping within `ping_timeout`.
async fn next(
    sink: &mut PubSubSink,
    messages: &mut PubSubStream,
    heartbeat: Duration,
    ping_timeout: Duration,
) -> Option<String> {
    loop {
        match timeout(heartbeat, messages.next()).await {
            Ok(message) => return Some(message?.get_payload().unwrap_or_default()),
            Err(_) => {
                timeout(ping_timeout, sink.ping::<redis::Value>()).await.ok()?.ok()?;
            }
        }
    }
}

// === impl Listeners ===

impl Listeners {
    pub(crate) fn add(&self, listener: Listener) {
        self.0.lock().push(listener);
    }

    /// Calls `report` outside the lock.
    fn for_each(&self, report: impl Fn(&Listener)) {
        let listeners = self.0.lock().clone();
        listeners.iter().for_each(report);
    }
}
