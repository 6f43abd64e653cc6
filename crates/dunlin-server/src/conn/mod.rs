//! A connection, from its first byte to its last.

mod call;
mod gate;
mod http1;
mod http2;
mod inbound;
mod preamble;
mod refusal;
mod request;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod sendfile;
mod state;
mod turn;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use dunlin_http::{Body, BoxError, Interim, Reply, SendInterim};
use http::{HeaderMap, Request, StatusCode, Version};
use tower_service::Service;

use crate::Addr;
use crate::clients::Seat;
use crate::event_loop::Loop;
use crate::listen::Accepted;
use crate::reaper::Registered;
use preamble::{Protocol, Ready};
pub(crate) use state::{Phase, Signal, State, Tick, Ticks};
pub(crate) use wire::Wire;

/// What is known of a connection for as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    remote: Option<SocketAddr>,
    local: Arc<Addr>,
    secure: bool,
    state: Arc<State>,
}

/// Makes the service of a connection when one opens, so that a service can know its connection without a cost for each
/// request.
///
/// Every cloneable [`Service`] of requests is one that does not care: each connection gets a clone.
pub trait Connect: Clone + Send + 'static {
    /// The service of one connection. It answers with a [`Response`](http::Response) of any body, or with a [`Reply`]. Streams of HTTP/2 have a clone each; HTTP/1.1 calls the one, request by request.
    type Service: Service<Request<Body>, Response: Into<Reply>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static;

    /// A connection opened.
    fn connect(&self, connection: &Arc<Connection>) -> Self::Service;
}

impl<S> Connect for S
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: Into<Reply>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Service = S;

    fn connect(&self, _: &Arc<Connection>) -> S {
        self.clone()
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

    /// Where interim responses to `request` go, such as 103; ask when the service is called with it. There are none for
    /// HTTP/1.0 (RFC 9110 §15.2), and none for requests that ask for an upgrade, whose implementation here has no way
    /// to send them.
    #[must_use]
    pub fn interim<B>(self: &Arc<Self>, request: &Request<B>) -> Option<Interim> {
        match request.version() {
            Version::HTTP_2 => return http2::ask().map(|voice| Interim::new(voice, 0)),
            Version::HTTP_11 if self.state.phase() != Phase::Opaque => {}
            _ => return None,
        }
        let number = self.state.called();
        self.state.interim.open(number);
        Some(Interim::new(self.clone(), number))
    }
}

impl SendInterim for Connection {
    fn send_interim(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let taken = self.state.interim.push(request, status, headers);
        if taken {
            self.state.wake();
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
    state: Arc<State>,
    registered: Registered,
) {
    let remote = match &accepted {
        Accepted::Tcp(_, remote) => Some(*remote),
        Accepted::Unix(_) => None,
    };
    let (wire, held) = (Wire::from(accepted), BytesMut::new());
    // A proxy speaks for many clients; which one it is comes with the preamble.
    let proxied = preamble::is_proxied(&owner, remote);
    let seat = if proxied { Ok(None) } else { seat(&owner, remote) };
    let Ok(mut _seat) = seat else { return };
    let ready = if preamble::is_needless(&owner, proxied) {
        Ready { wire, held, remote, protocol: Protocol::Http1 }
    } else {
        match Box::pin(preamble::read(wire, remote, &state, &owner)).await {
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
    let Ready { wire, held, remote, protocol } = ready;
    let secure = matches!(wire, Wire::Tls(_));
    let connection = Arc::new(Connection { id: owner.next_id(), remote, local, secure, state: state.clone() });
    let service = service.connect(&connection);
    match protocol {
        Protocol::Http1 => http1::run::<C>(wire, held, service, &state, &registered, &owner).await,
        Protocol::Http2 => Box::pin(http2::run::<C>(wire, held, service, &state, &owner)).await,
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
