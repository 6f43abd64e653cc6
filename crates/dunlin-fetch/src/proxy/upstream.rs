//! [`Upstream`]: the upstream of a proxy, with all settings resolved.

use std::sync::Arc;

use http::Uri;

use super::config::ProxyConfig;
use super::fields::Via;
use super::target::Base;
use crate::client::{Origin, RequestOptions};
use crate::{Client, Error};

/// The upstream of a proxy, with all settings resolved.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) origin: Arc<Origin>,
    pub(super) base: Base,
    pub(super) config: ProxyConfig,
    pub(super) via: Option<Via>,
    pub(super) options: RequestOptions,
    /// Keeps the pool alive.
    _client: Client,
}

// === impl Upstream ===

impl Upstream {
    pub(super) fn new(client: Client, uri: &Uri, config: ProxyConfig) -> Result<Self, Error> {
        let (origin, path) = client.origin_and_path(uri)?;
        let defaults = client.shared().options();
        let options = RequestOptions {
            response_timeout: config.response_timeout.unwrap_or(defaults.response_timeout),
            read_timeout: config.read_timeout.unwrap_or(defaults.read_timeout),
            retry: config.retry.unwrap_or(defaults.retry),
            expect_timeout: None,
        };
        let via = config.via.as_deref().and_then(Via::new);
        Ok(Self { origin, base: Base::of(&path), config, via, options, _client: client })
    }
}
