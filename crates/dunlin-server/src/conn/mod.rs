//! A connection, from its first byte to its last.

mod call;
mod connect;
mod connection;
mod exchange;
mod http1;
mod http2;
mod metered_io;
mod preamble;
mod refusal;
mod report;
mod request;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod sendfile;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;

use crate::clients::ClientPermit;
use crate::context::Loop;
use crate::ledger::Ledger;
use crate::listen::{Accepted, Endpoint};
use crate::reaper::Registered;
pub use connect::Connect;
pub use connection::{Connection, TunnelEnd};
pub use exchange::Exchange;
use preamble::{Protocol, Ready};
use report::{Incident, report};
use transport::Transport;

/// Serves an accepted connection to its end.
pub(crate) async fn run<C: Connect>(
    accepted: Accepted,
    endpoint: Arc<Endpoint>,
    owner: Arc<Loop>,
    service: C,
    ledger: Arc<Ledger>,
    registered: Registered,
) {
    let remote = match &accepted {
        Accepted::Tcp(_, remote) => Some(*remote),
        Accepted::Unix(_) => None,
    };
    let (transport, held) = (Transport::from(accepted), BytesMut::new());
    // A proxy has many clients. The client of this connection comes with the preamble.
    let proxied = preamble::is_proxied(&owner, remote);
    let permit = if proxied { Ok(None) } else { permit(&owner, remote) };
    let Ok(mut _permit) = permit else { return };
    let ready = if preamble::is_absent(&owner, &endpoint, proxied) {
        Ready { transport, held, remote, protocol: Protocol::Http1 }
    } else {
        match Box::pin(preamble::read(transport, remote, &endpoint, &ledger, &owner)).await {
            Some(ready) => ready,
            None => return,
        }
    };
    if proxied {
        match self::permit(&owner, ready.remote) {
            Ok(permit) => _permit = permit,
            Err(Refused) => return,
        }
    }
    let Ready { transport, held, remote, protocol } = ready;
    let tls = transport.tls_facts();
    let connection = Arc::new(Connection::new(owner.next_id(), remote, endpoint, tls, ledger));
    let handler = service.connect(&connection);
    match protocol {
        Protocol::Http1 => http1::run(transport, held, handler, connection, &registered, &owner).await,
        Protocol::Http2 => Box::pin(http2::run(transport, held, handler, connection, &owner)).await,
    }
}

/// The outcome for a client that has too many connections.
struct Refused;

/// Takes a permit for a client's connection. A Unix socket has no client address.
fn permit(owner: &Loop, remote: Option<SocketAddr>) -> Result<Option<ClientPermit>, Refused> {
    let Some(remote) = remote else { return Ok(None) };
    match owner.shared().clients.take(remote.ip()) {
        Some(permit) => Ok(Some(permit)),
        None => {
            owner.stats.refused();
            report(owner, Some(remote), Incident::Refused);
            Err(Refused)
        }
    }
}
