//! [`CompressLayer`] and what its services share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dunlin_http::Metric;
use tower_layer::Layer;

use crate::assess::Listed;
use crate::store::Store;
use crate::workers::Workers;
use crate::{Compress, Config, ConfigError};

/// The most contents that wait for a better encoding. Each is held in memory meanwhile.
const BACKLOG: usize = 256;

/// Compresses the answers of the services that it wraps.
///
/// All of them share the layer's configuration, its threads and the encodings that it keeps; a
/// clone is the same layer. A service that is not wrapped is not compressed: that is how a route is
/// left out.
#[derive(Clone)]
pub struct CompressLayer {
    shared: Arc<Shared>,
}

/// What a layer did and holds; see [`CompressLayer::stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Encodings that are kept now.
    pub kept: u64,
    /// Bytes that they take, what is kept about them included.
    pub kept_bytes: u64,
    /// Encodings that were made to be kept.
    pub made: u64,
    /// Encodings that were replaced with a better one.
    pub improved: u64,
    /// Times that the threads had too much to do, so that work had to wait for them, and times that
    /// there were none, so that the event loop did it in slices.
    pub overflowed: u64,
}

// === impl Stats ===

impl Stats {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let Self { kept, kept_bytes, made, improved, overflowed } = *self;
        vec![
            Metric::gauge("dunlin_compress_kept", "Encodings that are kept.", kept as f64),
            Metric::gauge("dunlin_compress_kept_bytes", "Bytes of kept encodings.", kept_bytes as f64),
            Metric::counter("dunlin_compress_made_total", "Encodings made to be kept.", made),
            Metric::counter("dunlin_compress_improved_total", "Encodings replaced with a better one.", improved),
            Metric::counter("dunlin_compress_overflowed_total", "Encodings that waited for a worker.", overflowed),
        ]
    }
}

/// What all services of one layer share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) listed: Listed,
    /// `None` when nothing is to be kept.
    pub(crate) store: Option<Arc<Store>>,
    /// For what somebody waits for.
    pub(crate) workers: Arc<Workers>,
    /// For better encodings.
    pub(crate) background: Workers,
    pub(crate) improved: AtomicU64,
    pub(crate) overflowed: AtomicU64,
}

/// A service's hold on what all share. It is counted by itself, so that requests on different
/// threads do not contend for one count.
pub(crate) struct Held(pub(crate) Arc<Shared>);

// === impl CompressLayer ===

impl CompressLayer {
    /// A layer that works as `config` says.
    ///
    /// # Errors
    /// When a level is out of its scale.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: Config) -> Self {
        let shared = Shared {
            listed: Listed::new(config.types.clone()),
            store: (config.store > 0).then(|| Arc::new(Store::new(config.store))),
            workers: Arc::new(Workers::new(config.threads)),
            background: Workers::background(BACKLOG),
            improved: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            config,
        };
        Self { shared: Arc::new(shared) }
    }

    /// What it did and holds now. Not for the hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (kept, kept_bytes, made) = self.shared.store.as_ref().map_or((0, 0, 0), |store| store.figures());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (improved, overflowed) = (count(&self.shared.improved), count(&self.shared.overflowed));
        Stats { kept, kept_bytes, made, improved, overflowed }
    }
}

impl Default for CompressLayer {
    fn default() -> Self {
        Self::of(Config::default())
    }
}

impl<S> Layer<S> for CompressLayer {
    type Service = Compress<S>;

    fn layer(&self, inner: S) -> Compress<S> {
        Compress::new(inner, Arc::clone(&self.shared))
    }
}

impl std::fmt::Debug for CompressLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompressLayer").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
