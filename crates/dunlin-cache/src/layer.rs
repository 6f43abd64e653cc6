//! [`CacheLayer`].

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use crate::config::RoutePolicy;
use crate::core::Core;
use crate::service::CacheService;

/// The cache as a layer with the policy of one route; see [`Cache::layer`](crate::Cache::layer).
#[derive(Clone)]
#[must_use]
pub struct CacheLayer {
    core: Arc<Core>,
    policy: Arc<RoutePolicy>,
}

// === impl CacheLayer ===

impl CacheLayer {
    pub(crate) fn new(core: Arc<Core>, policy: RoutePolicy) -> Self {
        Self { core, policy: Arc::new(policy) }
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, Arc::clone(&self.core), Arc::clone(&self.policy))
    }
}

impl fmt::Debug for CacheLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheLayer").field("policy", &self.policy).finish_non_exhaustive()
    }
}
