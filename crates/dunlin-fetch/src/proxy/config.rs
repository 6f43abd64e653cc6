//! [`ProxyConfig`]: the settings of a reverse proxy.

use std::time::Duration;

use dunlin_http::Network;

/// The settings of a [`Proxy`](crate::Proxy).
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// `true` if the whole path of the request is sent, even if a router matched only the rest of
    /// it for the proxy ([`Context::rest`](crate::Context::rest)). Default: no.
    pub keep_path: bool,
    /// `true` if the `Host` of the request is sent instead of the upstream's own. Default: no.
    pub preserve_host: bool,
    /// As [`Config::response_timeout`](crate::Config::response_timeout). Default: the client's.
    pub response_timeout: Option<Duration>,
    /// As [`Config::read_timeout`](crate::Config::read_timeout). Default: the client's.
    pub read_timeout: Option<Duration>,
    /// The time for which a body with `Expect: 100-continue` waits for 100 (Continue). After it,
    /// the body is sent without (RFC 9110 §10.1.1). Default: 1 s.
    pub expect_timeout: Duration,
    /// As [`Config::retry`](crate::Config::retry). Default: the client's.
    pub retry: Option<bool>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` fields are kept and added to. From others, they
    /// are replaced. Default: none.
    pub trusted: Vec<Network>,
    /// `true` if `X-Forwarded-For`, `-Proto` and `-Host` are sent. Default: yes.
    pub x_forwarded: bool,
    /// `true` if `Forwarded` (RFC 7239) is sent. Default: no.
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
