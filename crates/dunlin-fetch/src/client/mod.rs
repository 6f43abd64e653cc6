//! [`Client`]: a pool of connections to origins, and requests on them.

mod address;
mod connection;
mod connector;
mod framing;
mod health;
mod http2;
mod io;
mod options;
mod origin;
mod pending;
mod pool;
mod relay;
mod request_body;
mod response_body;
mod send;
mod shared;
mod stats;
mod timer;
mod tls;

use std::sync::Arc;

use dunlin_http::Body;
use http::header::{CONNECTION, HOST, TE, UPGRADE};
use http::{Request, Response, Uri};

use crate::{Config, Error, Protocol};
use pool::Pool;

pub(crate) use address::{Address, without_secrets};
pub(crate) use options::{OnInterim, RequestOptions};
pub(crate) use origin::Origin;
pub(crate) use pending::Pending;
pub(crate) use send::{Failed, Fate, Received, Upgraded, UpgradedIo};
pub(crate) use shared::Shared;
pub use stats::ClientStats;
pub(crate) use stats::Stats;

/// A client with a pool of connections. Clones share the pool.
///
/// Connections belong to the runtime on which they were opened, so each runtime needs a client of
/// its own.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

// === impl Client ===

impl Client {
    /// Makes a client without connections.
    ///
    /// # Errors
    /// [`Error::Certificates`] if `ca_file` cannot be read.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self { pool: Pool::new(config)? })
    }

    /// Sends one request, and returns the head of its response with a body that streams. A redirect
    /// is a response like any other.
    ///
    /// The client sets `Host` and the framing of the body. It removes fields of one connection only
    /// (RFC 9110 §7.6.1) from `request`.
    ///
    /// # Errors
    /// [`Error`]. A failure of the response body is an error of the body instead.
    pub async fn request(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let (origin, target) = self.resolve(request.uri())?;
        let (mut parts, body) = request.into_parts();
        for name in [CONNECTION, TE, UPGRADE] {
            parts.headers.remove(name);
        }
        parts.headers.insert(HOST, origin.host.clone());
        parts.uri = target;
        let request = Request::from_parts(parts, body);
        origin.send(request, self.shared().options(), None, None).await?.not_upgraded()
    }

    /// The requests and connections so far.
    #[must_use]
    pub fn stats(&self) -> ClientStats {
        self.shared().stats.snapshot()
    }

    /// The origin of `uri`, and the request target for it.
    pub(crate) fn resolve(&self, uri: &Uri) -> Result<(Arc<Origin>, Uri), Error> {
        let (origin, path) = self.origin_and_path(uri)?;
        let target = match uri.path_and_query() {
            Some(whole) if path == whole.path() => whole.clone().into(),
            // In the URL of a Unix socket, the path follows that of the socket.
            whole => {
                let query = whole.and_then(|whole| whole.query()).map_or_else(String::new, |query| format!("?{query}"));
                let path = if path.is_empty() { "/" } else { &path };
                format!("{path}{query}").parse().map_err(|_| Error::Uri(without_secrets(uri)))?
            }
        };
        Ok((origin, target))
    }

    /// The origin of `uri`, and the path on it.
    pub(crate) fn origin_and_path(&self, uri: &Uri) -> Result<(Arc<Origin>, String), Error> {
        let (address, path) = Address::of(uri)?;
        let Config { max_connections, protocol, .. } = self.shared().config;
        Ok((self.pool.origin(address, max_connections, protocol)?, path))
    }

    /// The origin at `address`, with a protocol and a limit of connections in use of its own.
    pub(crate) fn origin(
        &self,
        address: Address,
        max_connections: usize,
        protocol: Protocol,
    ) -> Result<Arc<Origin>, Error> {
        self.pool.origin(address, max_connections, protocol)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.pool.shared
    }

    pub(crate) fn shared_state(&self) -> &Arc<Shared> {
        &self.pool.shared
    }
}
