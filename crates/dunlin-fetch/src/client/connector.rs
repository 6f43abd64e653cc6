//! [`Connector`]: the way to open a connection to an origin.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dunlin_http::{BoxError, Histogram};
use http::Uri;
use http::uri::Scheme;
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tower_service::Service as _;

use super::address::Address;
use super::connection::Connection;
use super::http2::Opened;
use super::shared::Shared;
use crate::{Config, Error, Protocol};

/// The silence after which TCP asks whether the peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// The name of HTTP/2 in TLS (RFC 9113 §3.1).
const HTTP2: &[u8] = b"h2";

/// The way to open a connection to an origin.
pub(super) struct Connector {
    route: Route,
    protocol: Protocol,
    /// The histogram of the times to connect.
    times: Mutex<Option<Arc<Histogram>>>,
}

enum Route {
    Tcp { uri: Uri, http: HttpConnector, tls: Option<(TlsConnector, ServerName<'static>)> },
    Unix(PathBuf),
}

/// A new connection, by the protocol that was chosen.
pub(super) enum Connected {
    Http1(Connection),
    Http2(Opened),
}

// === impl Connector ===

impl Connector {
    /// The connector for `address`.
    pub(super) fn new(address: &Address, protocol: Protocol, shared: &Shared) -> Result<Self, Error> {
        Ok(Self { route: Route::new(address, protocol, shared)?, protocol, times: Mutex::new(None) })
    }

    /// Opens a connection within the connect timeout.
    pub(super) async fn connect(&self, config: &Config) -> Result<Connected, Error> {
        let start = Instant::now();
        let connected = tokio::time::timeout(config.connect_timeout, self.open(config)).await;
        let connected =
            connected.map_err(|_| Error::ConnectTimeout(config.connect_timeout))?.map_err(Error::Connect)?;
        if let Some(times) = &*self.times.lock() {
            times.record(start.elapsed());
        }
        Ok(connected)
    }

    /// Records the times to connect from now on.
    pub(super) fn observe(&self, times: &Arc<Histogram>) {
        *self.times.lock() = Some(times.clone());
    }

    /// As [`Connector::connect`], for a connector of HTTP/1.1.
    pub(super) async fn connect_http1(&self, config: &Config) -> Result<Connection, Error> {
        match self.connect(config).await? {
            Connected::Http1(connection) => Ok(connection),
            Connected::Http2(_) => Err(Error::Protocol("HTTP/2 where HTTP/1.1 was offered".into())),
        }
    }

    async fn open(&self, config: &Config) -> Result<Connected, BoxError> {
        let is_http2 = self.protocol == Protocol::Http2;
        match &self.route {
            Route::Unix(socket) => speak(UnixStream::connect(socket).await?, is_http2, config).await,
            Route::Tcp { uri, http, tls } => {
                let tcp = http.clone().call(uri.clone()).await?.into_inner();
                let Some((tls, name)) = tls else { return speak(tcp, is_http2, config).await };
                let io = tls.connect(name.clone(), tcp).await?;
                let chosen = io.get_ref().1.alpn_protocol();
                if is_http2 && chosen != Some(HTTP2) {
                    return Err("the server did not choose HTTP/2 (ALPN); protocol = \"auto\" takes both".into());
                }
                let is_http2 = chosen == Some(HTTP2);
                speak(io, is_http2, config).await
            }
        }
    }
}

/// Starts the protocol on a connection.
async fn speak<T>(io: T, is_http2: bool, config: &Config) -> Result<Connected, BoxError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Ok(match is_http2 {
        true => Connected::Http2(Opened::open(io, config).await?),
        false => Connected::Http1(Connection::open(io, config).await?),
    })
}

// === impl Route ===

impl Route {
    fn new(address: &Address, protocol: Protocol, shared: &Shared) -> Result<Self, Error> {
        let invalid = || Error::Uri(address.to_string());
        let offers: &[&[u8]] = match protocol {
            Protocol::Http1 => &[],
            Protocol::Http2 => &[HTTP2],
            Protocol::Auto => &[HTTP2, b"http/1.1"],
        };
        let (https, authority) = match address {
            Address::Unix { socket } => return Ok(Self::Unix(socket.clone())),
            Address::Tcp { https, authority } => (*https, authority),
        };
        let scheme = if https { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build();
        let name = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = match https {
            true => Some((shared.tls(offers)?, ServerName::try_from(name).map_err(|_| invalid())?)),
            false => None,
        };
        Ok(Self::Tcp { uri: uri.map_err(|_| invalid())?, http: http_connector(), tls })
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
