//! [`Connector`]: the way to open a connection to an origin.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::address::Address;
use super::connection::Connection;
use super::shared::Shared;
use crate::{Config, Error};

/// The silence after which TCP asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// The way to open a connection to an origin.
pub(super) enum Connector {
    Tcp { uri: Uri, http: HttpConnector, tls: Option<(TlsConnector, ServerName<'static>)> },
    Unix(PathBuf),
}

// === impl Connector ===

impl Connector {
    /// The connector for `address`.
    pub(super) fn new(address: &Address, shared: &Shared) -> Result<Self, Error> {
        let invalid = || Error::Uri(address.to_string());
        let (https, authority) = match address {
            Address::Unix { socket } => return Ok(Self::Unix(socket.clone())),
            Address::Tcp { https, authority } => (*https, authority),
        };
        let scheme = if https { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build();
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match https {
            true => Some((shared.tls()?, ServerName::try_from(name).map_err(|_| invalid())?)),
            false => None,
        };
        Ok(Self::Tcp { uri: uri.map_err(|_| invalid())?, http: http_connector(), tls })
    }

    /// Opens a connection within the connect timeout.
    pub(super) async fn connect(&self, config: &Config) -> Result<Connection, Error> {
        let connected = tokio::time::timeout(config.connect_timeout, self.open(config)).await;
        connected.map_err(|_| Error::ConnectTimeout(config.connect_timeout))?
    }

    async fn open(&self, config: &Config) -> Result<Connection, Error> {
        let unreachable = |error: dunlin_http::BoxError| Error::Connect(error);
        let connection = match self {
            Self::Unix(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|error| unreachable(error.into()))?;
                Connection::open(stream, config).await
            }
            Self::Tcp { uri, http, tls } => {
                let tcp = http.clone().call(uri.clone()).await.map_err(|error| unreachable(error.into()))?;
                let tcp = tcp.into_inner();
                match tls {
                    None => Connection::open(tcp, config).await,
                    Some((tls, name)) => {
                        let io = tls.connect(name.clone(), tcp).await.map_err(|error| unreachable(error.into()))?;
                        Connection::open(io, config).await
                    }
                }
            }
        };
        connection.map_err(|error| unreachable(error.into()))
    }
}

fn http_connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Detects dead peers of tunnels and long responses.
    connector.set_keepalive(Some(KEEP_ALIVE));
    connector
}
