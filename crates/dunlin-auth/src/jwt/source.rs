//! [`Keys`]: the current keys, given or fetched.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use dunlin_http::BoxError;
use tokio::sync::Mutex;

use super::KeySet;

/// The age after which keys are fetched again in the background.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The shortest time between two fetches for unknown keys, and after a failure.
const MIN_INTERVAL: Duration = Duration::from_secs(30);
/// The time between attempts while there are no keys at all.
const MIN_INTERVAL_WITHOUT_KEYS: Duration = Duration::from_secs(1);
/// The time limit of a fetch.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Fetches a JWK set (RFC 7517 §5), for example from the issuer's `jwks_uri`.
pub trait FetchKeys: Send + Sync + 'static {
    /// Fetches the set's JSON.
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>>;
}

impl<F, R> FetchKeys for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Bytes, BoxError>> + Send + 'static,
{
    fn fetch(&self) -> Pin<Box<dyn Future<Output = Result<Bytes, BoxError>> + Send>> {
        Box::pin(self())
    }
}

/// The current keys and their source. Clones share them.
#[derive(Clone)]
pub(super) struct Keys(Arc<Shared>);

struct Shared {
    loaded: ArcSwapOption<Loaded>,
    source: Option<Box<dyn FetchKeys>>,
    /// The time of the last attempt. The lock is held during a fetch, so that only one runs.
    attempt: Mutex<Option<Instant>>,
}

/// A set of keys that was given or fetched.
#[derive(Debug)]
pub(super) struct Loaded {
    keys: KeySet,
    number: u64,
    at: Instant,
    is_fetched: bool,
}

// === impl Loaded ===

impl Loaded {
    pub(super) const fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// A number that differs for each set.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn is_old(&self) -> bool {
        self.is_fetched && self.at.elapsed() > MAX_AGE
    }
}

// === impl Keys ===

impl Keys {
    pub(super) fn fixed(keys: KeySet) -> Self {
        let loaded = Loaded { keys, number: 0, at: Instant::now(), is_fetched: false };
        let loaded = ArcSwapOption::from_pointee(loaded);
        Self(Arc::new(Shared { loaded, source: None, attempt: Mutex::default() }))
    }

    pub(super) fn fetched(source: impl FetchKeys) -> Self {
        let source: Option<Box<dyn FetchKeys>> = Some(Box::new(source));
        Self(Arc::new(Shared { loaded: ArcSwapOption::empty(), source, attempt: Mutex::default() }))
    }

    pub(super) fn loaded(&self) -> Option<Arc<Loaded>> {
        self.0.loaded.load_full()
    }

    /// Returns `true` if a fetch could bring an unknown key now.
    pub(super) fn may_refresh(&self) -> bool {
        self.0.source.is_some() && self.0.attempt.try_lock().is_ok_and(|last| self.0.is_due(*last))
    }

    /// Fetches the keys again, unless the last attempt was too recent. Returns the current keys.
    pub(super) async fn refresh(&self) -> Option<Arc<Loaded>> {
        let mut last = self.0.attempt.lock().await;
        if self.0.is_due(*last)
            && let Some(source) = &self.0.source
        {
            *last = Some(Instant::now());
            self.0.fetch(&**source).await;
        }
        self.loaded()
    }

    /// Fetches the keys again while requests use the old ones.
    pub(super) fn refresh_in_background(&self) {
        if self.may_refresh() {
            let keys = self.clone();
            tokio::spawn(async move { drop(keys.refresh().await) });
        }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("loaded", &self.loaded()).finish_non_exhaustive()
    }
}

// === impl Shared ===

impl Shared {
    fn is_due(&self, last: Option<Instant>) -> bool {
        let interval = if self.loaded.load().is_some() { MIN_INTERVAL } else { MIN_INTERVAL_WITHOUT_KEYS };
        last.is_none_or(|last| last.elapsed() >= interval)
    }

    async fn fetch(&self, source: &dyn FetchKeys) {
        let fetched = match tokio::time::timeout(TIMEOUT, source.fetch()).await {
            Ok(Ok(json)) => KeySet::from_jwks(&json).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no response within {TIMEOUT:?}")),
        };
        match fetched {
            Ok(keys) => {
                let number = self.loaded.load().as_ref().map_or(1, |loaded| loaded.number + 1);
                self.loaded.store(Some(Arc::new(Loaded { keys, number, at: Instant::now(), is_fetched: true })));
            }
            Err(error) if self.loaded.load().is_some() => {
                tracing::warn!(%error, "cannot fetch the JWK set; the known keys stay in use");
            }
            Err(error) => tracing::error!(%error, "cannot fetch the JWK set; responding to tokens with 503"),
        }
    }
}
