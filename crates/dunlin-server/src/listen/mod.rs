//! Listening sockets, and the connections that they accept.

mod accounts;
mod bind;
mod handover;
mod open;
mod options;
mod state;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use socket2::{SockRef, TcpKeepalive};

use crate::{Addr, Config};
use bind::backlog;
pub(crate) use bind::{bind, free_descriptors, own};
pub(crate) use handover::{Keeper, Kept, Predecessor};
pub(crate) use open::{Change, Listeners};
pub use options::Listen;
pub(crate) use state::EndpointState;

/// A listening socket before it belongs to a loop.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// An address that a server listens on.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) addr: Addr,
    pub(crate) state: Arc<EndpointState>,
}

/// A socket for one loop.
#[derive(Debug)]
pub(crate) struct LoopSocket {
    pub(crate) socket: Socket,
    pub(crate) state: Arc<EndpointState>,
}

/// The listening sockets of one address: one for each loop, or one that all of them share.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The setting that the address comes from.
    pub(crate) listen: Listen,
    pub(crate) endpoint: Endpoint,
    pub(crate) sockets: Vec<Socket>,
}

/// A listening socket of a running loop. [`serve`](crate::serve) takes types that convert into one.
#[derive(Debug)]
pub struct Listener {
    kind: Kind,
    state: Arc<EndpointState>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// The time between two probes that are not answered.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);
/// The system counts whole seconds.
const MIN_KEEPALIVE: Duration = Duration::from_secs(1);
/// Linux's limit (`MAX_TCP_KEEPIDLE`).
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);

/// Sets the time after which the system probes an idle TCP connection (RFC 9293 §3.8.4). `None`
/// turns probes off. The connections of a listener inherit it, which saves system calls for each.
fn set_keepalive(socket: &socket2::Socket, idle: Option<Duration>) -> io::Result<()> {
    let Some(idle) = idle else { return socket.set_keepalive(false) };
    let idle = idle.clamp(MIN_KEEPALIVE, MAX_KEEPALIVE);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(PROBE_INTERVAL.min(idle)))
}

/// Gives each loop a socket of every address: one of its own, or a copy of a shared one.
pub(crate) fn spread(bound: Vec<Bound>, loops: usize) -> io::Result<Vec<Vec<LoopSocket>>> {
    let mut spread: Vec<Vec<LoopSocket>> = (0..loops).map(|_| Vec::new()).collect();
    for Bound { endpoint: Endpoint { state, .. }, sockets, .. } in bound {
        for (index, own) in spread.iter_mut().enumerate() {
            own.push(LoopSocket { socket: sockets[index % sockets.len()].try_clone()?, state: state.clone() });
        }
        // A predecessor may hand over more sockets than there are loops. All must be served.
        for (index, socket) in sockets.into_iter().enumerate().skip(loops) {
            spread[index % loops].push(LoopSocket { socket, state: state.clone() });
        }
    }
    Ok(spread)
}

// === impl Socket ===

impl Socket {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }

    /// The address of the socket. A Unix socket without a path comes from the service manager.
    pub(crate) fn addr(&self) -> io::Result<Addr> {
        Ok(match self {
            Self::Tcp(socket) => Addr::Tcp(socket.local_addr()?),
            Self::Unix(socket) => match socket.local_addr()?.as_pathname() {
                Some(path) => Addr::Unix(path.to_owned()),
                None => Addr::Systemd(String::new()),
            },
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

// === impl LoopSocket ===

impl LoopSocket {
    /// Registers the socket with the current runtime.
    pub(crate) fn into_listener(self, config: &Config) -> io::Result<Listener> {
        let listener = match self.socket {
            // `bind` leaves a socket that shares its address without listening.
            Socket::Tcp(socket) if config.reuse_port => {
                SockRef::from(&socket).listen(backlog(config))?;
                Listener::from(TcpListener::from_std(socket)?)
            }
            Socket::Tcp(socket) => TcpListener::from_std(socket)?.into(),
            Socket::Unix(socket) => UnixListener::from_std(socket)?.into(),
        };
        Ok(Listener { state: self.state, ..listener })
    }
}

// === impl Listener ===

impl Listener {
    /// The address of the listener.
    ///
    /// # Errors
    /// Returns the error of the system.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Ok(match &self.kind {
            Kind::Tcp(listener) => Addr::Tcp(listener.local_addr()?),
            Kind::Unix(listener) => {
                Addr::Unix(listener.local_addr()?.as_pathname().map(Into::into).unwrap_or_default())
            }
        })
    }

    /// Makes TCP connections speak TLS, or not.
    pub(crate) fn with_tls(self, speaks_tls: bool) -> Self {
        self.state.set_speaks_tls(speaks_tls && matches!(self.kind, Kind::Tcp(_)));
        self
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        let addr = self.local_addr().unwrap_or_else(|_| Addr::Systemd(String::new()));
        Endpoint { addr, state: self.state.clone() }
    }

    /// Sets the time after which the system probes accepted connections; see [`set_keepalive`].
    pub(crate) fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        match &self.kind {
            Kind::Tcp(listener) => set_keepalive(&SockRef::from(listener), idle),
            Kind::Unix(_) => Ok(()),
        }
    }

    /// Drops the first segments of new connections. The client's system repeats them a second
    /// later, and they reach a listener that is still there. Closing the listener at once would
    /// reset connections that are half open.
    pub(crate) fn drop_new_connections(&self) -> io::Result<()> {
        // A segment whose 14th byte has SYN and not ACK is dropped (RFC 9293 §3.1).
        #[cfg(target_os = "linux")]
        if let Kind::Tcp(listener) = &self.kind {
            use socket2::SockFilter;
            let (load, and, jump_if_equal, ret) = (0x30, 0x54, 0x15, 0x06);
            SockRef::from(listener).attach_filter(&[
                SockFilter::new(load, 0, 0, 13),
                SockFilter::new(and, 0, 0, 0x12),
                SockFilter::new(jump_if_equal, 0, 1, 0x02),
                SockFilter::new(ret, 0, 0, 0),
                SockFilter::new(ret, 0, 0, u32::MAX),
            ])?;
        }
        Ok(())
    }

    /// Accepts the next connection. Dropping the future loses none.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                Accepted::Tcp(stream, remote)
            }
            Kind::Unix(listener) => Accepted::Unix(listener.accept().await?.0),
        })
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { kind: Kind::Tcp(listener), state: Arc::new(EndpointState::new(false)) }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self { kind: Kind::Unix(listener), state: Arc::new(EndpointState::new(false)) }
    }
}
