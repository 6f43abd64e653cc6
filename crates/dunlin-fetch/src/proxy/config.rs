//! [`ProxyConfig`]: the settings of a reverse proxy.

use std::time::Duration;

use dunlin_http::Network;

/// The settings of a [`Proxy`](crate::Proxy).
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// `true` to send the whole path of a request, even if a router matched only a part of it for
    /// the proxy ([`Context::rest`](crate::Context::rest)). Default: `false`.
    pub keep_path: bool,
    /// `true` to send the `Host` of the request instead of the upstream's. Default: `false`.
    pub preserve_host: bool,
    /// As [`Config::response_timeout`](crate::Config::response_timeout). Default: the client's.
    pub response_timeout: Option<Duration>,
    /// As [`Config::read_timeout`](crate::Config::read_timeout). Default: the client's.
    pub read_timeout: Option<Duration>,
    /// The time for which a request with `Expect: 100-continue` waits for 100 (Continue). When it
    /// has passed, the body is sent (RFC 9110 §10.1.1). Default: 1 s.
    pub expect_timeout: Duration,
    /// As [`Config::retry`](crate::Config::retry). Default: the client's.
    pub retry: Option<bool>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are kept and added to. From others, they
    /// are replaced. Default: none.
    pub trusted: Vec<Network>,
    /// `true` to send `X-Forwarded-For`, `-Proto` and `-Host`. Default: `true`.
    pub x_forwarded: bool,
    /// `true` to send `Forwarded` (RFC 7239). Default: `false`.
    pub forwarded: bool,
    /// The name of this proxy in `Via`, a token. `None` adds no `Via`. Default: `dunlin`.
    pub via: Option<String>,
    /// The protocols that a connection may change to by `Upgrade`. Default: `websocket`.
    ///
    /// Others are removed from the request: nothing in front of the upstream can look into a
    /// tunnel, and `h2c` would hide whole requests in it.
    pub upgrades: Vec<String>,
}

// === impl ProxyConfig ===

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            keep_path: false,
            preserve_host: false,
            response_timeout: None,
            read_timeout: None,
            expect_timeout: Duration::from_secs(1),
            retry: None,
            trusted: Vec::new(),
            x_forwarded: true,
            forwarded: false,
            via: Some("dunlin".to_owned()),
            upgrades: vec!["websocket".to_owned()],
        }
    }
}
