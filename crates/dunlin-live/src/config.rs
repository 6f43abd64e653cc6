//! [`Config`]: the times and limits of a hub.

use std::time::Duration;

/// The times and limits of a [`Hub`](crate::Hub).
#[derive(Clone, Debug)]
pub struct Config {
    /// The longest time without a byte on a stream. A comment is sent before it has passed, so that
    /// no proxy takes the connection for dead. 15 s by default.
    pub heartbeat: Duration,
    /// The time from an invalidation to the look that it causes. Invalidations that come meanwhile
    /// share the look. 2 ms by default.
    pub gather: Duration,
    /// The shortest time between the starts of two looks at one topic. 100 ms by default: a storm
    /// of invalidations costs ten looks a second.
    pub pause: Duration,
    /// The limit of looks in flight, over all topics. 4 by default.
    pub max_looks: usize,
    /// The time after which a failed look is repeated. It doubles with each failure, up to
    /// [`Config::retry_limit`], and is random by half. 100 ms by default.
    pub retry: Duration,
    /// The limit of [`Config::retry`]. 5 s by default.
    pub retry_limit: Duration,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(15),
            gather: Duration::from_millis(2),
            pause: Duration::from_millis(100),
            max_looks: 4,
            retry: Duration::from_millis(100),
            retry_limit: Duration::from_secs(5),
        }
    }
}
