//! [`ProxyState`]: the destination of a proxy, with all settings resolved.

use std::sync::Arc;

use http::{HeaderValue, Uri};

use super::config::ProxyConfig;
use super::fields::Via;
use super::target::Base;
use crate::client::{Origin, RequestOptions, Shared};
use crate::upstream::{Balancer, Upstream};
use crate::{Client, Error};

/// The destination of a proxy, with all settings resolved.
#[derive(Debug)]
pub(super) struct ProxyState {
    pub(super) destination: Destination,
    pub(super) base: Base,
    pub(super) config: ProxyConfig,
    pub(super) via: Option<Via>,
    pub(super) options: RequestOptions,
    /// Keeps the pool alive.
    pub(super) client: Client,
}

/// The server, or the servers, of a proxy.
#[derive(Debug)]
pub(super) enum Destination {
    Origin(Arc<Origin>),
    Upstream(Balancer),
}

// === impl ProxyState ===

impl ProxyState {
    pub(super) fn new(client: Client, uri: &Uri, config: ProxyConfig) -> Result<Self, Error> {
        let (origin, path) = client.origin_and_path(uri)?;
        Ok(Self::build(client, Destination::Origin(origin), &path, config))
    }

    pub(super) fn with_upstream(
        client: Client,
        upstream: Arc<Upstream>,
        path: &str,
        config: ProxyConfig,
    ) -> Result<Self, Error> {
        let balancer = Balancer::new(&client, upstream)?;
        Ok(Self::build(client, Destination::Upstream(balancer), path, config))
    }

    fn build(client: Client, destination: Destination, path: &str, config: ProxyConfig) -> Self {
        let defaults = client.shared().options();
        let options = RequestOptions {
            response_timeout: config.response_timeout.unwrap_or(defaults.response_timeout),
            read_timeout: config.read_timeout.unwrap_or(defaults.read_timeout),
            retry: config.retry.unwrap_or(defaults.retry),
            expect_timeout: None,
        };
        let via = config.via.as_deref().and_then(Via::new);
        Self { destination, base: Base::of(path), config, via, options, client }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.client.shared_state()
    }
}

// === impl Destination ===

impl Destination {
    /// The `Host` of requests. `None` if each server has its own.
    pub(super) fn host(&self) -> Option<&HeaderValue> {
        match self {
            Self::Origin(origin) => Some(&origin.host),
            Self::Upstream(_) => None,
        }
    }
}
