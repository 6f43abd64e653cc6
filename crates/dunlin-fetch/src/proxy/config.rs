//! What a proxy passes on, and how.

use std::time::Duration;

use dunlin_http::Network;

/// What a [`Proxy`](crate::Proxy) passes on, and how.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Sends the path of the request as it came, also from
    /// [`Proxy::forward`](crate::Proxy::forward). Default: no.
    pub keep_path: bool,
    /// Sends the `Host` of the request instead of the upstream's own. Default: no.
    pub preserve_host: bool,
    /// As [`Config::response_timeout`](crate::Config::response_timeout). Default: the client's.
    pub response_timeout: Option<Duration>,
    /// As [`Config::read_timeout`](crate::Config::read_timeout). Default: the client's.
    pub read_timeout: Option<Duration>,
    /// How long an upstream that was asked by `Expect: 100-continue` has to answer before the body
    /// is sent all the same (RFC 9110 §10.1.1). Default: 1 s.
    pub expect_timeout: Duration,
    /// As [`Config::retry`](crate::Config::retry). Default: the client's.
    pub retry: Option<bool>,
    /// Peers whose `Forwarded` and `X-Forwarded` fields are believed and added to. From others,
    /// they are replaced. Default: none.
    pub trusted: Vec<Network>,
    /// Tells the upstream `X-Forwarded-For`, `-Proto` and `-Host`. Default: yes.
    pub x_forwarded: bool,
    /// Tells the upstream `Forwarded` (RFC 7239). Default: no.
    pub forwarded: bool,
    /// Who this proxy says it is in `Via`, a token. `None` leaves the field as it came. Default:
    /// `dunlin`.
    pub via: Option<String>,
    /// The protocols that a connection may change to by `Upgrade`. Others are not asked for: a
    /// tunnel hides what is in it from everything that stands in front of the upstream, and `h2c`
    /// would hide whole requests. Default: `websocket`.
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
