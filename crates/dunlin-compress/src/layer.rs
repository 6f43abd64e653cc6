//! [`CompressLayer`] and what its services share.

use std::sync::Arc;

use tower_layer::Layer;

use crate::{Compress, Config, ConfigError};

/// Compresses the answers of the services that it wraps.
///
/// All of them share the layer's configuration and the encodings that it keeps; a clone is the same layer.
#[derive(Clone)]
pub struct CompressLayer {
    shared: Arc<Shared>,
}

/// What all services of one layer share.
pub(crate) struct Shared {
    pub(crate) config: Config,
}

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
        Self { shared: Arc::new(Shared { config }) }
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
