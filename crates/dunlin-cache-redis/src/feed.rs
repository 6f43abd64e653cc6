//! The subscription: what other instances invalidate, and when some of it may have been missed.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_cache::store::Listener;
use futures_util::StreamExt;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use tokio::time::timeout;

use crate::config::Config;
use crate::event::{self, Event};
use crate::link::{Backoff, Shared};

/// The caches that use a store.
#[derive(Debug, Default)]
pub(crate) struct Ears(Mutex<Vec<Listener>>);

/// Listens for as long as the process wants it, and tells `tell` what it hears.
pub(crate) async fn listen(
    client: redis::Client,
    config: Config,
    instance: String,
    shared: Arc<Shared>,
    ears: Arc<Ears>,
) {
    let channel = format!("{}invalidations", config.prefix);
    let mut backoff = Backoff::new(config.max_backoff);
    let tell = |event| {
        let counters = &shared.counters;
        let counter = if event == Event::Gap { &counters.gaps } else { &counters.heard };
        ears.tell(event);
        // When it is done: who sees the count may rely on it.
        counter.add();
    };
    loop {
        match timeout(config.connect_timeout, subscribe(&client, &channel)).await {
            Ok(Ok(subscription)) => {
                backoff.reset();
                // What was told between the last subscription and this one was not heard.
                tell(Event::Gap);
                shared.listening.store(true, SeqCst);
                hear(subscription, &config, &instance, &tell).await;
                shared.listening.store(false, SeqCst);
                tracing::warn!("the subscription to invalidations is lost");
            }
            Ok(Err(error)) => tracing::debug!(%error, "cannot subscribe to invalidations"),
            Err(_) => tracing::debug!("subscribing to invalidations takes too long"),
        }
        backoff.wait().await;
    }
}

async fn subscribe(client: &redis::Client, channel: &str) -> redis::RedisResult<PubSub> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    Ok(subscription)
}

/// Passes on what comes, until nothing can come any more.
async fn hear(subscription: PubSub, config: &Config, instance: &str, tell: &impl Fn(Event)) {
    let (mut sink, mut messages) = subscription.split();
    let mut last = None;
    while let Some(payload) = next(&mut sink, &mut messages, config.heartbeat, config.timeout).await {
        let message = event::read(&payload);
        let number = message.as_ref().map(|message| message.number);
        // The numbers follow each other, as each is told in the same step that counts it.
        if message.is_none() || last.is_some_and(|last: u64| number != Some(last.wrapping_add(1))) {
            tell(Event::Gap);
        }
        last = number;
        if let Some(message) = message.filter(|message| message.instance != instance) {
            tell(Event::Invalidated(message.batch));
        }
    }
}

/// The next message; `None` when the connection is over, or does not answer.
async fn next(
    sink: &mut PubSubSink,
    messages: &mut PubSubStream,
    heartbeat: Duration,
    patience: Duration,
) -> Option<String> {
    loop {
        match timeout(heartbeat, messages.next()).await {
            Ok(message) => return Some(message?.get_payload().unwrap_or_default()),
            Err(_) => {
                timeout(patience, sink.ping::<redis::Value>()).await.ok()?.ok()?;
            }
        }
    }
}

// === impl Ears ===

impl Ears {
    pub(crate) fn add(&self, listener: Listener) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    fn tell(&self, event: Event) {
        let listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match event {
            Event::Gap => listeners.iter().for_each(Listener::gap),
            Event::Invalidated(batch) => {
                let what = batch.into();
                listeners.iter().for_each(|listener| listener.invalidated(&what));
            }
        }
    }
}
