//! [`CompressLayer`].

use std::sync::Arc;

use tower_layer::Layer;

use crate::shared::Shared;
use crate::{Compress, Config, Error, Stats};

/// Compresses the responses of the services that it wraps.
///
/// They share the layer's configuration, its threads and its kept encodings, and so do clones of
/// the layer. To leave a route uncompressed, do not wrap its service.
#[derive(Clone)]
pub struct CompressLayer {
    shared: Arc<Shared>,
}

// === impl CompressLayer ===

impl CompressLayer {
    /// Makes a layer with this configuration.
    ///
    /// # Errors
    /// Fails if a level is outside its scale.
    pub fn new(config: Config) -> Result<Self, Error> {
        config.validate()?;
        Ok(Self { shared: Arc::new(Shared::new(config)) })
    }

    /// The figures at this moment. The call takes locks, so it is not for the hot path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }
}

impl Default for CompressLayer {
    fn default() -> Self {
        Self { shared: Arc::new(Shared::new(Config::default())) }
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
