//! [`Config`], of a whole cache, and [`RoutePolicy`], of one route.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use http::HeaderName;

/// The settings of a whole cache.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name in `Cache-Status` (RFC 9211 §2): a token.
    pub name: String,
    /// The limit of memory in bytes: bodies, heads, keys and index together.
    pub memory: u64,
    /// The largest body that is stored, if memory has room for it. A larger one is passed on.
    pub max_entry: u64,
    /// The limit of variants of one key. The oldest is replaced.
    pub max_variants: usize,
    /// The longest time that a request waits for another request's fill. Then it calls the origin
    /// itself.
    pub lock_timeout: Duration,
    /// The time for which a stale response is used while the origin is unreachable, unless the
    /// response says otherwise (RFC 9111 §4.2.4). Zero is never.
    pub disconnected: Duration,
    /// The targeted fields that replace `Cache-Control` and `Expires` for this cache. The first one
    /// that a response has counts (RFC 9213).
    pub targets: Vec<HeaderName>,
    /// `true` if `Cache-Status` contains the key.
    pub tell_key: bool,
    /// The timeout of a look-up in the second level. Past it the look-up is a miss.
    pub store_timeout: Duration,
    /// The time without calls to the second level after several failures in a row.
    pub store_pause: Duration,
}

/// The settings of one route. The default follows the responses' own fields, by RFC 9111.
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    /// The lifetime of successful responses, in place of their own. `no-store`, `private` and
    /// `no-cache` still apply, and so do the lifetimes of errors.
    pub age: Option<Duration>,
    /// The `max-age` that clients see. By default it is the response's own. A response without one
    /// gets `age`, or zero if the route has `groups`, because an invalidation cannot reach clients.
    pub browser: Option<Duration>,
    /// The groups of the responses; see
    /// [`Cache::invalidate_groups`](crate::Cache::invalidate_groups).
    pub groups: Vec<String>,
    /// The groups that a successful unsafe request on this route invalidates.
    pub invalidates: Vec<String>,
    /// The time for which a stale response is used while it is revalidated (RFC 5861 §3), unless
    /// the response says otherwise.
    pub stale_while_revalidate: Option<Duration>,
    /// The time for which a stale response replaces an error of the origin (RFC 5861 §4), unless
    /// the response says otherwise.
    pub stale_if_error: Option<Duration>,
    /// Request fields that responses depend on, in addition to their own `Vary`.
    pub vary: Vec<HeaderName>,
    /// `true` if responses with `Set-Cookie` may be stored. Then all clients get the same cookie.
    pub set_cookie: bool,
    /// `true` if each client with a verified identity has entries of its own: the subject of its
    /// identity belongs to the key, and `private` responses are stored too. Otherwise a response to
    /// such a client is stored, for all, only if it has `public`, `s-maxage` or `must-revalidate`
    /// (RFC 9111 §3.5).
    pub per_identity: bool,
    /// The part of the path that an outer router has removed, such as `/v1` inside axum's
    /// `Router::nest("/v1", …)`. Without it, nested routes whose remaining paths are equal share
    /// entries. Empty by default.
    pub prefix: String,
    /// The part of the query that belongs to the key.
    pub query: QueryKey,
    /// `true` if a request's `Cache-Control` counts (RFC 9111 §5.2.1).
    pub request_directives: bool,
    /// While it is `true`, requests bypass the cache and nothing is stored, for example while
    /// invalidations cannot arrive. Clients get the same fields as otherwise.
    pub pause: Option<Arc<AtomicBool>>,
    /// A name of the route's settings. It is a group of each of its responses, but clients get the
    /// same fields as without it. When a route with other settings takes the place of this one,
    /// [`Cache::invalidate_groups`](crate::Cache::invalidate_groups) with this name removes what
    /// was stored for the earlier one.
    pub scope: Option<Arc<str>>,
}

/// The part of the query that belongs to the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryKey {
    /// The whole query, byte for byte.
    #[default]
    Whole,
    /// These parameters in any order: all that the route reads.
    Only(Vec<String>),
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "dunlin".to_owned(),
            memory: 128 << 20,
            max_entry: 8 << 20,
            max_variants: 32,
            lock_timeout: Duration::from_secs(5),
            disconnected: Duration::from_secs(24 * 3600),
            targets: vec![HeaderName::from_static("cdn-cache-control")],
            tell_key: false,
            store_timeout: Duration::from_millis(250),
            store_pause: Duration::from_secs(5),
        }
    }
}

// === impl RoutePolicy ===

impl RoutePolicy {
    pub(crate) fn is_paused(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.load(Acquire))
    }
}

impl Default for RoutePolicy {
    fn default() -> Self {
        Self {
            age: None,
            browser: None,
            groups: Vec::new(),
            invalidates: Vec::new(),
            stale_while_revalidate: None,
            stale_if_error: None,
            vary: Vec::new(),
            set_cookie: false,
            per_identity: false,
            prefix: String::new(),
            query: QueryKey::Whole,
            request_directives: true,
            pause: None,
            scope: None,
        }
    }
}
