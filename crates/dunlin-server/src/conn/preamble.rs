//! What comes before the first request: a PROXY protocol header, a TLS handshake, the choice of protocol.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;

use super::Transport;
use crate::context::Loop;
use crate::ledger::{Ledger, Signal};
use crate::proxy_protocol;

/// A connection that is about to speak HTTP.
pub(super) struct Ready {
    pub(super) transport: Transport,
    /// What was read already.
    pub(super) held: BytesMut,
    pub(super) remote: Option<SocketAddr>,
    pub(super) protocol: Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What a client of HTTP/2 says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether this is one of the proxies whose connections begin with a PROXY protocol header.
pub(super) fn is_proxied(owner: &Loop, remote: Option<SocketAddr>) -> bool {
    let listed = &owner.shared().config.proxy_protocol_from;
    !listed.is_empty() && remote.is_some_and(|remote| proxy_protocol::is_listed(listed, remote.ip()))
}

/// Whether there is nothing of the kind, as on most plain sockets.
pub(super) fn is_needless(owner: &Loop, proxied: bool) -> bool {
    owner.shared().tls.is_none() && !owner.shared().config.h2c && !proxied
}

/// Reads what comes first. `None` if it was not what it should be, or did not come in time.
pub(super) async fn read(
    transport: Transport,
    remote: Option<SocketAddr>,
    ledger: &Ledger,
    owner: &Loop,
) -> Option<Ready> {
    let ready = super::http1::until(Signal::Close, ledger, read_all(transport, remote, owner)).await;
    match ready {
        Some(Ok(ready)) => {
            ledger.touch();
            Some(ready)
        }
        Some(Err(error)) => {
            tracing::debug!(%error, "a connection ended before its first request");
            None
        }
        None => None,
    }
}

async fn read_all(mut transport: Transport, mut remote: Option<SocketAddr>, owner: &Loop) -> io::Result<Ready> {
    let config = &owner.shared().config;
    if is_proxied(owner, remote) {
        remote = proxy_protocol::read(&mut transport).await?.or(remote);
    }
    let mut held = BytesMut::new();
    let mut protocol = Protocol::Http1;
    transport = match (transport, &owner.shared().tls) {
        (Transport::Tcp(socket), Some(tls)) => {
            let stream = tls.accept(socket).await?;
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                protocol = Protocol::Http2;
            }
            Transport::Tls(Box::new(stream))
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
    Ok(Ready { transport, held, remote, protocol })
}
