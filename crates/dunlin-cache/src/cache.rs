//! [`Cache`], the handle.

use std::fmt;
use std::sync::Arc;

use dunlin_http::Clock;
use http::Uri;
use http::uri::Scheme;

use crate::config::{Config, RoutePolicy};
use crate::core::Core;
use crate::invalidate::add_url;
use crate::key::path_group;
use crate::layer::CacheLayer;
use crate::stats::Stats;
use crate::store::second::Second;
use crate::store::{Invalidation, Listener, Store};

/// A shared cache. Clones are handles to the same cache.
#[derive(Clone)]
pub struct Cache {
    core: Arc<Core>,
}

// === impl Cache ===

impl Cache {
    /// A cache in memory, with the system's clock.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_clock(config, Clock::system())
    }

    /// A cache in memory, with this clock.
    #[must_use]
    pub fn with_clock(config: Config, clock: Clock) -> Self {
        Self { core: Arc::new(Core::new(config, clock, None)) }
    }

    /// A cache in memory in front of a store that other instances share.
    ///
    /// After a miss in memory the cache looks there before it calls the origin. It saves what it
    /// stores there, and an invalidation by one instance applies to all.
    #[must_use]
    pub fn with_store(config: Config, clock: Clock, store: impl Store) -> Self {
        let second = Second::new(store, config.store_timeout, config.store_pause);
        let core = Arc::new(Core::new(config, clock, Some(second)));
        if let Some(second) = &core.second {
            second.listen(Listener::new(&core));
        }
        Self { core }
    }

    /// The cache as a layer for one route. All layers of a cache share its entries: the same URL is
    /// the same entry.
    ///
    /// The key of an entry is scheme, `Host`, path and query:
    ///
    /// - The path has to be whole. A router such as axum's `nest` removes a prefix before an inner
    ///   layer sees the request. Put the layer outside of it, or name the prefix in
    ///   [`RoutePolicy::prefix`]. Otherwise `/v1/me` and `/v2/me` are one entry.
    /// - The scheme is the URI's, or else a [`http::uri::Scheme`] among the request's extensions,
    ///   or else `http`. Behind a proxy that ends TLS, a layer outside has to set it.
    /// - **Cookies are not part of the key.** With [`RoutePolicy::age`], a response that depends on
    ///   `Cookie` is stored for all, unless it says `private` or `Vary: Cookie`. Use the cache on
    ///   routes whose responses are the same for all clients.
    /// - A verified [`Identity`](dunlin_http::Identity) counts like `Authorization` (RFC 9111
    ///   §3.5). With [`RoutePolicy::per_identity`] its subject is part of the key. The identity is
    ///   the context's, or, for a tower service, an `Arc<Identity>` among the request's extensions.
    ///
    /// Fields that `Connection` names are removed first, because the origin must not get them (RFC
    /// 9110 §7.6.1).
    pub fn layer(&self, policy: RoutePolicy) -> CacheLayer {
        CacheLayer::new(Arc::clone(&self.core), policy)
    }

    /// Invalidates all responses of these groups, of any origin and route, stored or in flight. A
    /// response that was requested before this returns is never stored.
    ///
    /// The cost does not depend on the number of responses. [`Cache::purge_groups`] counts them.
    pub fn invalidate_groups<G: AsRef<str>>(&self, groups: &[G]) {
        self.core.invalidate(&of_groups(groups));
    }

    /// As [`Cache::invalidate_groups`]. Returns the number of responses in memory that were
    /// removed.
    ///
    /// Every purge looks at each entry in memory. It is for operators, not for the path of a
    /// request.
    pub fn purge_groups<G: AsRef<str>>(&self, groups: &[G]) -> u64 {
        self.core.purge(&of_groups(groups))
    }

    /// Removes every variant of a URL. Where a part of the query or the client belongs to the key,
    /// it removes all responses of the path. A path without a host means that path on every host,
    /// with any query. Returns the number of responses in memory that were removed.
    pub fn purge_url(&self, url: &Uri) -> u64 {
        let mut invalidation = Invalidation::default();
        let Some(authority) = url.authority() else {
            invalidation.groups.push(path_group("", url.path()));
            return self.core.purge(&invalidation);
        };
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        for (secure, _) in schemes(url) {
            add_url(&mut invalidation, secure, authority.as_str(), target);
        }
        self.core.purge(&invalidation)
    }

    /// Removes all responses whose path begins with the path of `url`: with `/blog/`, everything in
    /// that folder. Without a host it applies to every host. Returns the number of responses in
    /// memory that were removed.
    ///
    /// In a second level that cannot search by prefix, it removes everything.
    pub fn purge_prefix(&self, url: &Uri) -> u64 {
        let prefixes = match url.authority() {
            None => vec![url.path().to_owned()],
            Some(authority) => {
                let authority = authority.as_str().to_ascii_lowercase();
                schemes(url).map(|(_, scheme)| format!("{scheme}://{authority}{}", url.path())).collect()
            }
        };
        self.core.purge(&Invalidation { prefixes, ..Invalidation::default() })
    }

    /// Removes everything. Returns the number of responses in memory that were removed.
    #[allow(clippy::must_use_candidate, reason = "the number is not the purpose of the call")]
    pub fn purge_all(&self) -> u64 {
        self.core.purge(&Invalidation::all())
    }

    /// Calls `observer` after each invalidation, by this instance or by another one that shares the
    /// store. It runs on the thread of the invalidation, so it must be quick.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// use dunlin_cache::{Cache, Config};
    ///
    /// let (cache, seen) = (Cache::new(Config::default()), Arc::new(AtomicUsize::new(0)));
    /// let count = Arc::clone(&seen);
    /// cache.observe(move |invalidation| {
    ///     count.fetch_add(invalidation.groups.len(), Ordering::SeqCst);
    /// });
    /// cache.invalidate_groups(&["users", "orders"]);
    /// assert_eq!(seen.load(Ordering::SeqCst), 2);
    /// ```
    pub fn observe(&self, observer: impl Fn(&Invalidation) + Send + Sync + 'static) {
        self.core.observers.write().push(Box::new(observer));
    }

    /// The number of responses in memory that no invalidation has overtaken. It looks at each of
    /// them.
    #[must_use]
    pub fn responses(&self) -> u64 {
        self.core.memory.select(|entry| self.core.is_current(entry)).len() as u64
    }

    /// The counts so far, and the size of the memory.
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

fn of_groups<G: AsRef<str>>(groups: &[G]) -> Invalidation {
    let groups = groups.iter().map(|group| group.as_ref().to_owned()).collect();
    Invalidation { groups, ..Invalidation::default() }
}

/// The schemes that a URL means, each with `true` if it is `https`. A URL without one means both.
fn schemes(url: &Uri) -> impl Iterator<Item = (bool, &'static str)> {
    let secure = url.scheme().map(|scheme| *scheme == Scheme::HTTPS);
    [(false, "http"), (true, "https")].into_iter().filter(move |(is_https, _)| secure.is_none_or(|s| s == *is_https))
}
