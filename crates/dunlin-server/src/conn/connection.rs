//! [`Connection`]: the facts about a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_http::SendInterim;
use http::{HeaderMap, StatusCode};
use rustls_pki_types::CertificateDer;

use super::http1::InterimQueue;
use crate::Addr;
use crate::ledger::Ledger;
use crate::listen::Endpoint;
use crate::tls::TlsFacts;

/// The facts about a connection, for as long as it lasts.
#[derive(Debug)]
pub struct Connection {
    id: u64,
    remote: Option<SocketAddr>,
    endpoint: Arc<Endpoint>,
    /// `None` if the connection is not encrypted.
    tls: Option<Box<TlsFacts>>,
    pub(super) ledger: Arc<Ledger>,
    /// Interim responses over HTTP/1.
    pub(super) interim: InterimQueue,
    tunnel_end: Mutex<Option<Callback>>,
}

/// The figures of a tunnel that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TunnelEnd {
    /// The bytes that the client sent behind its request.
    pub received: u64,
    /// The bytes that the server sent behind the 101 response.
    pub sent: u64,
    /// The time since the 101 response.
    pub duration: Duration,
    /// `true` if the server ended it: it was idle for too long, or the server shut down.
    pub cut: bool,
}

struct Callback(Box<dyn FnOnce(TunnelEnd) + Send>);

// === impl Connection ===

impl Connection {
    pub(super) fn new(
        id: u64,
        remote: Option<SocketAddr>,
        endpoint: Arc<Endpoint>,
        tls: Option<TlsFacts>,
        ledger: Arc<Ledger>,
    ) -> Self {
        let tls = tls.map(Box::new);
        Self { id, remote, endpoint, tls, ledger, interim: InterimQueue::default(), tunnel_end: Mutex::default() }
    }

    /// A number that no other connection of this server has.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The address of the client, from the PROXY protocol header if there is one. `None` for a Unix
    /// socket.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// The address of the listener that accepted the connection.
    #[must_use]
    pub fn local(&self) -> &Addr {
        &self.endpoint.addr
    }

    /// Returns `true` if the connection is encrypted.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The version of TLS: `1.2` or `1.3`. `None` if the connection is not encrypted.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        self.tls.as_ref().map(|tls| tls.version)
    }

    /// The chain that proves who the client is, in DER, with its own certificate first. It is
    /// verified. It is empty if the client has shown none: see
    /// [`ClientCertificates`](crate::ClientCertificates).
    #[must_use]
    pub fn client_certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().map_or(&[], |tls| &tls.client)
    }

    /// `https` or `http`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.is_secure() { "https" } else { "http" }
    }

    /// Calls `f` at the end of the tunnel that the connection becomes by a 101 (Switching
    /// Protocols) response, for example to log it. The last callback counts; a connection that
    /// becomes no tunnel never calls it.
    pub fn on_tunnel_end(&self, f: impl FnOnce(TunnelEnd) + Send + 'static) {
        *self.tunnel_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Callback(Box::new(f)));
    }

    pub(super) fn tunnel_ended(&self, end: TunnelEnd) {
        let callback = self.tunnel_end.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Callback(call)) = callback {
            call(end);
        }
    }
}

impl SendInterim for Connection {
    fn send_interim(&self, request: u64, status: StatusCode, headers: &HeaderMap) -> bool {
        let is_taken = self.interim.push(request, status, headers);
        if is_taken {
            self.ledger.wake();
        }
        is_taken
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}
