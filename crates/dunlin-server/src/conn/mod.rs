//! A connection, from its first byte to its last.

mod call;
mod exchange;
mod http1;
mod http2;
mod metered_io;
mod preamble;
mod refusal;
mod request;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod sendfile;
mod transport;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use dunlin_http::{Body, BoxError, FromTower, Handler, Reply, SendInterim};
use http::{HeaderMap, Request, StatusCode};
use tower_service::Service;

use crate::Addr;
use crate::clients::Seat;
use crate::context::Loop;
use crate::ledger::Ledger;
use crate::listen::Accepted;
use crate::reaper::Registered;
pub use exchange::Exchange;
use http1::InterimQueue;
use preamble::{Protocol, Ready};
pub(crate) use transport::Transport;

/// What is known of a connection for as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    remote: Option<SocketAddr>,
    local: Arc<Addr>,
    secure: bool,
    ledger: Arc<Ledger>,
    /// Interim responses over HTTP/1.
    interim: InterimQueue,
}

/// Makes the handler of a connection when one opens, so that a handler can know its connection
/// without a cost for each request.
///
/// Every cloneable [`Service`] of requests implements it: it is cloned for each request. The service
/// answers with a [`Response`](http::Response) of any body, or with a [`Reply`]. An error of it, or of
/// its readiness, ends the connection, or resets the stream.
pub trait Connect: Clone + Send + 'static {
    /// The handler of one connection. Each stream of HTTP/2 has a clone.
    type Handler: Handler<Exchange, Error: Into<BoxError>> + Clone + Send + 'static;

    /// Makes the handler of a connection that opened.
    fn connect(&self, connection: &Arc<Connection>) -> Self::Handler;
}

impl<S> Connect for S
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: Into<Reply>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Handler = FromTower<S>;

    fn connect(&self, _: &Arc<Connection>) -> FromTower<S> {
        FromTower(self.clone())
    }
}

// === impl Connection ===

impl Connection {
    /// A number that no other connection of this server has.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The client's address; what a PROXY protocol header from a listed address says outweighs the socket's. `None`
    /// for a Unix socket.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The address that it was accepted on, as the server listens on it.
    #[must_use]
    pub fn local(&self) -> &Addr {
        &self.local
    }

    /// Whether it is encrypted.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

impl SendInterim for Connection {
    fn send_interim(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let taken = self.interim.push(request, status, headers);
        if taken {
            self.ledger.wake();
        }
        taken
    }
}

/// Serves an accepted connection to its end.
pub(crate) async fn run<C: Connect>(
    accepted: Accepted,
    local: Arc<Addr>,
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
    // A proxy speaks for many clients; which one it is comes with the preamble.
    let proxied = preamble::is_proxied(&owner, remote);
    let seat = if proxied { Ok(None) } else { seat(&owner, remote) };
    let Ok(mut _seat) = seat else { return };
    let ready = if preamble::is_needless(&owner, proxied) {
        Ready { transport, held, remote, protocol: Protocol::Http1 }
    } else {
        match Box::pin(preamble::read(transport, remote, &ledger, &owner)).await {
            Some(ready) => ready,
            None => return,
        }
    };
    if proxied {
        match self::seat(&owner, ready.remote) {
            Ok(own) => _seat = own,
            Err(Refused) => return,
        }
    }
    let Ready { transport, held, remote, protocol } = ready;
    let secure = matches!(transport, Transport::Tls(_));
    let connection = Arc::new(Connection {
        id: owner.next_id(),
        remote,
        local,
        secure,
        ledger: ledger.clone(),
        interim: InterimQueue::default(),
    });
    let handler = service.connect(&connection);
    match protocol {
        Protocol::Http1 => http1::run(transport, held, handler, connection, &registered, &owner).await,
        Protocol::Http2 => Box::pin(http2::run(transport, held, handler, connection, &owner)).await,
    }
}

/// A client has too many connections.
struct Refused;

/// A seat for a client's connection; a Unix socket has no client address.
fn seat(owner: &Loop, remote: Option<SocketAddr>) -> Result<Option<Seat>, Refused> {
    let Some(remote) = remote else { return Ok(None) };
    match owner.shared().clients.take(remote.ip()) {
        Some(seat) => Ok(Some(seat)),
        None => {
            owner.stats.refused();
            Err(Refused)
        }
    }
}
