//! What the store is set to.

use std::time::Duration;

use crate::store::Error;

/// Where the server is, and how long anything may take.
#[derive(Clone)]
pub struct Config {
    /// `redis://`, `rediss://` (TLS) or `unix://`, with user, password and database where the server asks for them.
    pub url: String,
    /// What the names of all keys and of the channel begin with. Caches that are to share have the same.
    pub prefix: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the server may take for one command. Past it the command counts as failed.
    pub timeout: Duration,
    /// The longest time between two attempts to connect.
    pub max_backoff: Duration,
    /// How often a quiet subscription is asked whether it still stands.
    pub heartbeat: Duration,
    /// Look-ups under way at one time. One more is a miss at once.
    pub max_lookups: usize,
    /// Bytes on their way to the server at one time. What is more is not kept there.
    pub max_unsent: usize,
    /// The longest time that anything is kept.
    pub max_ttl: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults, with the server at this URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "dunlin:".to_owned(),
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_millis(250),
            max_backoff: Duration::from_secs(1),
            heartbeat: Duration::from_secs(2),
            max_lookups: 1024,
            max_unsent: 32 << 20,
            max_ttl: Duration::from_secs(24 * 3600),
        }
    }

    pub(crate) fn client(&self) -> Result<redis::Client, Error> {
        redis::Client::open(self.url.as_str()).map_err(Error::Url)
    }
}

impl std::fmt::Debug for Config {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config").field("prefix", &self.prefix).field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
