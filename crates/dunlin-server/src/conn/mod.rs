//! A connection, from its first byte to its last.

mod gate;
mod http1;
mod inbound;
mod refusal;
mod service;
mod state;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dunlin_http::{Body, BoxError};
use http::{Request, Response};
use tower_service::Service;

use crate::Addr;
use crate::event_loop::Loop;
use crate::listen::Accepted;
use crate::reaper::Registered;
use refusal::refuse;
pub(crate) use state::{Phase, Signal, State, Tick, Ticks};
pub(crate) use wire::Wire;

/// What is known of a connection for as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    remote: Option<SocketAddr>,
    local: Arc<Addr>,
    secure: bool,
}

/// Makes the service of a connection when one opens, so that a service can know its connection without a cost for each
/// request.
///
/// Every cloneable [`Service`] of requests is one that does not care: each connection gets a clone.
pub trait Connect: Clone + Send + 'static {
    /// The body of its answers.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
    /// The service of one connection. It is cloned for each request.
    type Service: Service<Request<Body>, Response = Response<Self::Body>, Error: Into<BoxError>, Future: Send + 'static>
        + Clone
        + Send
        + 'static;

    /// A connection opened.
    fn connect(&self, connection: &Arc<Connection>) -> Self::Service;
}

impl<S, B> Connect for S
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;
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
    let wire = Wire::from(accepted);
    let connection = Arc::new(Connection { id: owner.next_id(), remote, local, secure: false });
    let service = service.connect(&connection);
    http1::run::<C>(wire, BytesMut::new(), service, &state, &registered, &owner).await;
}
