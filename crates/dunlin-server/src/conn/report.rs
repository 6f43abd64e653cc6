//! Log lines about clients that reach no handler, and so have no access line.

use std::fmt;
use std::net::SocketAddr;

use http::StatusCode;

use crate::context::Loop;
use crate::framing::Fault;

/// An error of a client, or a limit that it reached.
#[derive(Clone, Copy, Debug)]
pub(super) enum Incident<'e> {
    /// A request that was answered by the server itself.
    Rejected { status: StatusCode, reason: &'e str },
    /// A connection that ended before its first request.
    Opening(&'e std::io::Error),
    /// A connection of HTTP/2 that ended with an error.
    Http2(&'e h2::Error),
    /// A connection of HTTP/2 that ended because of a frame.
    Frame(Fault),
    /// A connection that was closed at once, because its client has too many.
    Refused,
}

/// The client of an incident.
struct Peer(Option<SocketAddr>);

/// Logs an incident, within the limit of lines per second.
#[cold]
pub(super) fn report(owner: &Loop, remote: Option<SocketAddr>, incident: Incident<'_>) {
    let Some(suppressed) = owner.log_limit.allow(owner.registry.seconds()) else { return };
    let peer = Peer(remote);
    let suppressed = (suppressed > 0).then_some(suppressed);
    match incident {
        Incident::Rejected { status, reason } => {
            let reason = if reason.is_empty() { status.canonical_reason().unwrap_or_default() } else { reason };
            tracing::info!(%peer, status = status.as_u16(), reason, suppressed, "rejected a request");
        }
        Incident::Opening(error) => {
            tracing::info!(%peer, %error, suppressed, "a connection failed before its first request");
        }
        Incident::Http2(error) => tracing::info!(%peer, %error, suppressed, "an HTTP/2 connection failed"),
        Incident::Frame(fault) => {
            tracing::info!(%peer, error = fault.as_str(), suppressed, "an HTTP/2 connection failed");
        }
        Incident::Refused => {
            tracing::info!(%peer, suppressed, "refused a connection, because its client has too many");
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(addr) => addr.fmt(f),
            None => f.write_str("unix"),
        }
    }
}
