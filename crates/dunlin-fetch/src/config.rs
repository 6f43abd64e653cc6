//! What a client may do, and for how long.

use std::path::PathBuf;
use std::time::Duration;

/// What a [`Client`](crate::Client) may do, and for how long. Limits count for each origin and each
/// client by itself.
#[derive(Clone, Debug)]
pub struct Config {
    /// From the first look-up of the name to the end of the TLS handshake. Default: 3 s.
    pub connect_timeout: Duration,
    /// From the request, or from the last progress of its body, to the complete head of the answer.
    /// Default: 30 s.
    pub response_timeout: Duration,
    /// The longest pause within the answer's body while somebody waits for it. Default: 30 s.
    pub read_timeout: Duration,
    /// How long an unused connection is kept. It is less than the 5 s of the most impatient common
    /// servers, so that this side closes first; a `Keep-Alive: timeout` of the upstream shortens it
    /// further. Default: 4 s.
    pub idle_timeout: Duration,
    /// The age from which a connection is not used again, so that changed addresses are noticed.
    /// Default: 10 min.
    pub max_age: Duration,
    /// The most connections in use at once. Default: 256.
    pub max_connections: usize,
    /// The most unused connections that are kept. Default: 64.
    pub max_idle: usize,
    /// How long a request waits for one of `max_connections`. Default: 1 s.
    pub acquire_timeout: Duration,
    /// Whether a request is sent once more, on a new connection, when the upstream closed a kept
    /// connection before the first byte of its answer. Only idempotent requests without a body are
    /// (RFC 9112 §9.3.1). Default: yes.
    pub retry: bool,
    /// The largest head of an answer, in bytes. Default: 64 KiB.
    pub max_head: usize,
    /// The number of fields in the head of an answer. Default: 100.
    pub max_fields: usize,
    /// The most bytes that [`Client::get_text`](crate::Client::get_text) reads. Default: 16 MiB.
    pub max_text: usize,
    /// How many redirects [`Client::get_text`](crate::Client::get_text) follows. Default: 5.
    pub max_redirects: usize,
    /// A PEM file of certificates to trust besides those of the system. They are certificates of
    /// authorities: a self-signed certificate of a server itself is refused unless it was made with
    /// `basicConstraints=CA:FALSE`. Default: none.
    pub ca_file: Option<PathBuf>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            response_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(4),
            max_age: Duration::from_secs(600),
            max_connections: 256,
            max_idle: 64,
            acquire_timeout: Duration::from_secs(1),
            retry: true,
            max_head: 64 * 1024,
            max_fields: 100,
            max_text: 16 * 1024 * 1024,
            max_redirects: 5,
            ca_file: None,
        }
    }
}
