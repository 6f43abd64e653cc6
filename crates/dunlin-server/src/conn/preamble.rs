//! The bytes before the first request: a PROXY protocol header, a TLS handshake, the choice of
//! protocol.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Transport;
use super::http1::{reject, until};
use super::report::{Incident, report};
use crate::context::Loop;
use crate::framing::Reject;
use crate::ledger::{Ledger, Signal};
use crate::listen::Endpoint;
use crate::proxy_protocol;
use crate::tls;

/// A connection that is about to speak HTTP.
pub(super) struct Ready {
    pub(super) transport: Transport,
    /// Bytes that were read already.
    pub(super) held: BytesMut,
    pub(super) remote: Option<SocketAddr>,
    pub(super) protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The outcome of a preamble.
enum Opening {
    Ready(Ready),
    /// The client speaks plain HTTP where TLS is expected.
    PlainHttp(Transport),
    /// The handshake was the answer to an ACME challenge.
    Challenge,
}

/// The first bytes of a client of HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const PLAIN_HTTP: Reject = Reject::bad("this port speaks TLS; use an https URL");

/// Returns `true` if the connections from this address begin with a PROXY protocol header.
pub(super) fn is_proxied(owner: &Loop, remote: Option<SocketAddr>) -> bool {
    let networks = &owner.shared().config.proxy_protocol_from;
    !networks.is_empty() && remote.is_some_and(|remote| networks.iter().any(|network| network.contains(remote.ip())))
}

/// Returns `true` if there is no preamble, as on most plain sockets.
pub(super) fn is_absent(owner: &Loop, endpoint: &Endpoint, proxied: bool) -> bool {
    !endpoint.state.speaks_tls() && !owner.shared().config.h2c && !proxied
}

/// Reads the preamble. Returns `None` if it is malformed, or does not come in time.
pub(super) async fn read(
    transport: Transport,
    remote: Option<SocketAddr>,
    endpoint: &Endpoint,
    ledger: &Ledger,
    owner: &Loop,
) -> Option<Ready> {
    match until(Signal::Close, ledger, read_all(transport, remote, endpoint, owner)).await? {
        Ok(Opening::Ready(ready)) => {
            ledger.touch();
            Some(ready)
        }
        Ok(Opening::PlainHttp(transport)) => {
            reject(transport, PLAIN_HTTP, false, remote, ledger, owner).await;
            None
        }
        Ok(Opening::Challenge) => None,
        Err(error) => {
            // A client may open a connection and close it without a request.
            if error.kind() != io::ErrorKind::UnexpectedEof {
                owner.stats.rejected();
                report(owner, remote, Incident::Opening(&error));
            }
            None
        }
    }
}

async fn read_all(
    mut transport: Transport,
    mut remote: Option<SocketAddr>,
    endpoint: &Endpoint,
    owner: &Loop,
) -> io::Result<Opening> {
    let config = &owner.shared().config;
    if is_proxied(owner, remote) {
        remote = proxy_protocol::read(&mut transport).await?.or(remote);
    }
    let mut held = BytesMut::new();
    let mut protocol = Protocol::Http1;
    let acceptor = owner.shared().tls.as_ref().filter(|_| endpoint.state.speaks_tls());
    transport = match (transport, acceptor) {
        (Transport::Tcp(socket), Some(_)) if is_plain_http(&socket).await? => {
            return Ok(Opening::PlainHttp(Transport::Tcp(socket)));
        }
        (Transport::Tcp(socket), Some(acceptor)) => {
            let tls::Accepted::Stream(stream) = acceptor.accept(socket).await? else { return Ok(Opening::Challenge) };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                protocol = Protocol::Http2;
            }
            Transport::Tls(stream)
        }
        (transport, _) => transport,
    };
    if config.h2c && !matches!(transport, Transport::Tls(_)) {
        held.reserve(4096);
        while held.len() < PREFACE.len() && PREFACE.starts_with(&held) {
            if transport.read_buf(&mut held).await? == 0 {
                break;
            }
        }
        if held.starts_with(PREFACE) {
            protocol = Protocol::Http2;
        }
    }
    Ok(Opening::Ready(Ready { transport, held, remote, protocol }))
}

/// Returns `true` if the first byte is one of a method. The first byte of TLS is 22 (RFC 8446
/// §5.1).
async fn is_plain_http(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let len = socket.peek(&mut first).await?;
    Ok(len == 1 && first[0].is_ascii_alphabetic())
}
