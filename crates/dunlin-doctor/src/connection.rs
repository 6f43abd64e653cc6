//! [`Connection`]: one connection, with the times that it took.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Origin, Url};

use crate::Error;
use crate::facts::{ConnectionFacts, Seen, TlsFacts};

/// The time for each connection and each response.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest content that is read, in bytes.
const MAX_CONTENT: usize = 8 << 20;

/// A connection.
pub(crate) struct Connection {
    sender: Sender,
    server: Origin,
    pub(crate) facts: ConnectionFacts,
    pub(crate) is_resumed: bool,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

// === impl Connection ===

impl Connection {
    /// Connects to the server of `url`.
    pub(crate) async fn open(url: &Url, tls: &Arc<ClientConfig>) -> Result<Self, Error> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        let failed = |reason: String| Error::Connect { host: format!("{host}:{port}"), reason };
        within(Self::connect(url, &host, port, tls)).await.map_err(failed)
    }

    async fn connect(url: &Url, host: &str, port: u16, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let begun = Instant::now();
        let address = host.trim_matches(['[', ']']);
        let socket = TcpStream::connect((address, port)).await.map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let connect = begun.elapsed();
        if url.scheme() != "https" {
            let sender = http1(TokioIo::new(socket)).await?;
            let facts = ConnectionFacts { connect, tls: None, is_http2: false };
            return Ok(Self { sender, server: url.origin(), facts, is_resumed: false });
        }
        let begun = Instant::now();
        let name = ServerName::try_from(address.to_owned()).map_err(text)?;
        let stream = TlsConnector::from(tls.clone()).connect(name, socket).await.map_err(text)?;
        let handshake = begun.elapsed();
        let session = stream.get_ref().1;
        let is_1_3 = session.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let sender = if is_http2 { http2(io).await? } else { http1(io).await? };
        let tls = Some(TlsFacts { handshake, is_1_3, is_resumed: None });
        let facts = ConnectionFacts { connect, tls, is_http2 };
        Ok(Self { sender, server: url.origin(), facts, is_resumed })
    }

    /// Returns `true` if the server of `url` is at the other end.
    pub(crate) fn is_to(&self, url: &Url) -> bool {
        self.server == url.origin()
    }

    /// Sends a request. Returns the response and its content. `None` if the server has closed the
    /// connection before.
    pub(crate) async fn send(&mut self, mut request: Request<Empty<Bytes>>) -> Result<Option<(Seen, Bytes)>, String> {
        within(async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    if sender.ready().await.is_err() {
                        return Ok(None);
                    }
                    // RFC 9112 §3.2.1: the target is the path with the query.
                    let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse();
                    *request.uri_mut() = target.map_err(text)?;
                    let begun = Instant::now();
                    read(begun, sender.send_request(request).await).await.map(Some)
                }
                Sender::Http2(sender) => {
                    if sender.ready().await.is_err() {
                        return Ok(None);
                    }
                    request.headers_mut().remove(HOST);
                    let begun = Instant::now();
                    read(begun, sender.send_request(request).await).await.map(Some)
                }
            }
        })
        .await
    }
}

async fn http1<I>(io: TokioIo<I>) -> Result<Sender, String>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(io).await.map_err(text)?;
    tokio::spawn(connection);
    Ok(Sender::Http1(sender))
}

async fn http2<I>(io: TokioIo<I>) -> Result<Sender, String>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.map_err(text)?;
    tokio::spawn(connection);
    Ok(Sender::Http2(sender))
}

async fn read(begun: Instant, response: hyper::Result<Response<Incoming>>) -> Result<(Seen, Bytes), String> {
    let (parts, body) = response.map_err(text)?.into_parts();
    let first_byte = begun.elapsed();
    let content = Limited::new(body, MAX_CONTENT).collect().await.map_err(text)?.to_bytes();
    Ok((Seen { status: parts.status, headers: parts.headers, size: content.len(), first_byte }, content))
}

/// Waits for [`TIMEOUT`] at most.
async fn within<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let seconds = TIMEOUT.as_secs();
    tokio::time::timeout(TIMEOUT, work).await.unwrap_or_else(|_| Err(format!("nothing came within {seconds} s")))
}

/// An error with its causes.
fn text(error: impl Into<dunlin_http::BoxError>) -> String {
    let error = error.into();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
