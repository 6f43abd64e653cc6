//! [`Config`]: the limits of a client.

use std::path::PathBuf;
use std::time::Duration;

/// The limits of a [`Client`](crate::Client). They apply to each origin separately.
#[derive(Clone, Debug)]
pub struct Config {
    /// The time for a connection: the look-up of the name, TCP and the TLS handshake. Default: 3 s.
    pub connect_timeout: Duration,
    /// The time from the request, or from the last progress of its body, to the complete head of
    /// the response. Default: 30 s.
    pub response_timeout: Duration,
    /// The longest pause in the response body while a reader waits for it. Default: 30 s.
    pub read_timeout: Duration,
    /// The time for which an idle connection is kept.
    ///
    /// It should be shorter than the upstream's own limit, so that this side closes first. The
    /// shortest limit of a common server is 5 s. A `Keep-Alive: timeout` of the upstream shortens
    /// it further. Default: 4 s.
    pub idle_timeout: Duration,
    /// The age from which a connection is not used again, so that a changed address takes effect.
    /// Default: 10 min.
    pub max_age: Duration,
    /// The limit of connections in use at once. Default: 256.
    pub max_connections: usize,
    /// The limit of idle connections. Default: 64.
    pub max_idle: usize,
    /// The time for which a request waits for one of `max_connections`. Default: 1 s.
    pub acquire_timeout: Duration,
    /// `true` to retry a request on a new connection, after the upstream has closed the old one
    /// before the first byte of its response.
    ///
    /// Only idempotent requests without a body are retried, and only if the old connection was idle
    /// before (RFC 9112 §9.3.1). Default: `true`.
    pub retry: bool,
    /// The limit of a response's head, in bytes. Default: 64 KiB.
    pub max_head: usize,
    /// The limit of fields in a response's head. Default: 100.
    pub max_fields: usize,
    /// The limit of bytes that [`get_text`](crate::Client::get_text) reads, and a
    /// [`ClientResponse`](crate::ClientResponse) without a limit of its own. Default: 16 MiB.
    pub max_text: usize,
    /// The limit of redirects that [`get_text`](crate::Client::get_text) follows. Default: 5.
    pub max_redirects: usize,
    /// A PEM file of authorities to trust besides those of the system. Default: none.
    ///
    /// A server's own self-signed certificate is refused, unless it has
    /// `basicConstraints=CA:FALSE`.
    pub ca_file: Option<PathBuf>,
    /// The version of HTTP. Default: [`Protocol::Http1`].
    pub protocol: Protocol,
}

/// The version of HTTP that a server receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: chosen by ALPN on TLS, and by prior knowledge without it (RFC 9113 §3.1). A server
    /// that does not speak it is an error. WebSocket uses an extended CONNECT (RFC 8441) if the
    /// server offers it, and a connection of HTTP/1.1 otherwise.
    ///
    /// `max_connections` is then the limit of requests at once; the requests share few connections.
    Http2,
    /// HTTP/2 if the server chooses it by ALPN, and HTTP/1.1 otherwise. Without TLS, HTTP/1.1.
    Auto,
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
            protocol: Protocol::Http1,
        }
    }
}
