//! [`Cache`], the handle, and [`CacheLayer`].

use std::fmt;
use std::sync::Arc;

use dunlin_http::Clock;
use http::Uri;
use tower_layer::Layer;

use crate::config::{Config, RoutePolicy};
use crate::core::Core;
use crate::service::CacheService;
use crate::stats::Stats;
use crate::store::second::Second;
use crate::store::{Invalidation, Listener, Store};

/// A shared cache. Its clones are one cache.
#[derive(Clone)]
pub struct Cache {
    core: Arc<Core>,
}

/// The cache as a layer with what one route asks of it; see [`Cache::layer`].
#[derive(Clone)]
#[must_use]
pub struct CacheLayer {
    core: Arc<Core>,
    policy: Arc<RoutePolicy>,
}

// === impl Cache ===

impl Cache {
    /// A cache in memory, with the system's clock.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_clock(config, Clock::system())
    }

    /// A cache in memory that asks this clock for the time.
    #[must_use]
    pub fn with_clock(config: Config, clock: Clock) -> Self {
        Self { core: Arc::new(Core::new(config, clock, None)) }
    }

    /// A cache in memory, with a store behind it that other instances share: what the memory does
    /// not have is looked for there before the origin is asked, what is stored is given to it, and
    /// what one instance invalidates is gone for all.
    #[must_use]
    pub fn with_store(config: Config, clock: Clock, store: impl Store) -> Self {
        let second = Second::new(store, config.store_timeout, config.store_pause);
        let core = Arc::new(Core::new(config, clock, Some(second)));
        if let Some(second) = &core.second {
            second.listen(Listener::new(&core));
        }
        Self { core }
    }

    /// The cache as a layer for one route. All layers of one cache share what is stored: the same
    /// URL is the same entry.
    ///
    /// Entries are told apart by scheme, `Host`, path and query:
    ///
    /// - The path has to be whole. A router such as axum's `nest` removes a prefix before an inner
    ///   layer sees the request: put the layer outside of it, or name what was removed in
    ///   [`RoutePolicy::prefix`]. Otherwise `/v1/me` and `/v2/me` are one entry.
    /// - The scheme is the URI's, or else a [`http::uri::Scheme`] among the request's extensions, or
    ///   else `http`. Behind a proxy that ends TLS, a layer outside has to set it.
    /// - **Cookies are not part of the key.** With [`RoutePolicy::age`], a response that depends on
    ///   `Cookie` is stored for all, unless it says `private` or `Vary: Cookie`. Use the cache on routes
    ///   that answer all clients alike.
    ///
    /// Fields that `Connection` names are removed first, because the origin must not see them (RFC
    /// 9110 §7.6.1).
    pub fn layer(&self, policy: RoutePolicy) -> CacheLayer {
        CacheLayer { core: Arc::clone(&self.core), policy: Arc::new(policy) }
    }

    /// Invalidates all answers of these groups, of any origin and route: those that are stored and
    /// those under way. What was asked of the origin before this returns is never kept.
    pub fn invalidate_groups<G: AsRef<str>>(&self, groups: &[G]) {
        let groups = groups.iter().map(|group| group.as_ref().to_owned()).collect();
        self.core.invalidate(&Invalidation { groups, ..Invalidation::default() });
    }

    /// Removes what is stored for a URL, every variant of it; where a route's key is made from some
    /// parameters, all that is stored for its path. A path without a host stands for all that is
    /// stored for it, whatever the host and the query.
    pub fn purge_url(&self, url: &Uri) {
        let mut what = Invalidation::default();
        let Some(authority) = url.authority() else {
            what.groups.push(Core::path_anywhere("", url.path()));
            return self.core.invalidate(&what);
        };
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        for secure in [false, true] {
            let asked = url.scheme().is_none_or(|scheme| (*scheme == http::uri::Scheme::HTTPS) == secure);
            if asked {
                Core::url(&mut what, secure, authority.as_str(), target);
            }
        }
        self.core.invalidate(&what);
    }

    /// Removes everything.
    pub fn flush(&self) {
        self.core.invalidate(&Invalidation { all: true, ..Invalidation::default() });
    }

    /// The number of responses in memory that can still be used.
    ///
    /// It looks at each of them, which takes a moment: it is for an operator, not for each request.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.core.memory.current(&self.core.generations)
    }

    /// What it has done, and what it holds.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.counters.read(self.core.memory.size())
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("config", &self.core.config).finish_non_exhaustive()
    }
}

// === impl CacheLayer ===

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
