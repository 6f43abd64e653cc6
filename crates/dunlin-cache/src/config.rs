//! What a cache is set to, and what a route asks of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Acquire;
use std::time::Duration;

use http::HeaderName;

/// What a whole cache is set to.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name in `Cache-Status` (RFC 9211 §2): a token.
    pub name: String,
    /// Bytes in memory: bodies, heads, keys and index together.
    pub memory: u64,
    /// The largest body that is kept, if memory has room for it. A larger answer streams through.
    pub max_entry: u64,
    /// Answers kept for one key, one for each variant. Beyond that the oldest goes, and beyond the
    /// part of memory that the key is in.
    pub max_variants: usize,
    /// How long a request waits for another's fill of the same key before it asks the origin
    /// itself.
    pub lock_timeout: Duration,
    /// For how long what is stale is good when the origin cannot be reached at all and nothing
    /// forbids it (RFC 9111 §4.2.4). Only for answers that say nothing of it themselves; zero is
    /// never.
    pub disconnected: Duration,
    /// The targeted fields that count here before `Cache-Control` and `Expires`, the first found
    /// alone (RFC 9213).
    pub targets: Vec<HeaderName>,
    /// Whether `Cache-Status` tells the key.
    pub tell_key: bool,
    /// How long the second level may take for one answer; then it is as if it had none.
    pub store_timeout: Duration,
    /// For how long the second level is left alone after it has failed several times in a row.
    pub store_pause: Duration,
}

/// What a route asks of the cache. The default is what the answers' own header fields allow, as RFC
/// 9111 has it.
#[derive(Clone, Debug)]
pub struct RoutePolicy {
    /// How long good answers are kept, whatever lifetime they name themselves. `no-store`,
    /// `private` and `no-cache` still hold, and so do errors' own lifetimes.
    pub age: Option<Duration>,
    /// How long clients are told to keep an answer. By default it is what the answer says; and
    /// where it says nothing, `age`, or nothing at all with `groups`, so that what is invalidated
    /// here is not used there.
    pub browser: Option<Duration>,
    /// The groups that answers belong to; see
    /// [`Cache::invalidate_groups`](crate::Cache::invalidate_groups).
    pub groups: Vec<String>,
    /// The groups that a successful unsafe request on this route invalidates.
    pub invalidates: Vec<String>,
    /// For how long a stale answer is used while a new one is fetched (RFC 5861 §3). The answer's
    /// own word counts first.
    pub stale_while_revalidate: Option<Duration>,
    /// For how long a stale answer is used when the origin fails (RFC 5861 §4). The answer's own
    /// word counts first.
    pub stale_if_error: Option<Duration>,
    /// Request fields that answers depend on besides those that they name in `Vary`.
    pub vary: Vec<HeaderName>,
    /// Whether answers that set cookies may be kept, by the rules for any other. They hand one
    /// client's cookie to all.
    pub set_cookie: bool,
    /// The part of the path that an outer router has removed before the cache sees the request,
    /// such as `/v1` where axum's `Router::nest("/v1", …)` has this layer inside. Without it,
    /// entries of two nested routers that have the same path left would be one entry. Empty by
    /// default.
    pub prefix: String,
    /// What of the query tells answers apart.
    pub query: QueryKey,
    /// Whether a request's `Cache-Control` counts (RFC 9111 §5.2.1).
    pub request_directives: bool,
    /// While this is true, requests pass by what is stored, and nothing is kept: for as long as
    /// nobody hears what would invalidate it, say. Clients are told the same as otherwise.
    pub pause: Option<Arc<AtomicBool>>,
}

/// What of the query is part of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QueryKey {
    /// All of it, as it stands.
    #[default]
    Whole,
    /// These parameters alone, in whatever order they come: all that the route reads.
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
            prefix: String::new(),
            query: QueryKey::Whole,
            request_directives: true,
            pause: None,
        }
    }
}
