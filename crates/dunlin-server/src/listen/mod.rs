//! Listening sockets: how they come to be, and what comes out of them.

mod bind;
mod handover;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::Addr;
pub(crate) use bind::{bind, free_descriptors};
pub(crate) use handover::{Keeper, Predecessor};

/// A listening socket before it belongs to a loop.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The listening sockets of one address: one for each loop, or one that all of them share.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) addr: Addr,
    pub(crate) sockets: Vec<Socket>,
}

/// A listening socket of a running loop. [`serve`](crate::serve) takes what turns into one.
#[derive(Debug)]
pub struct Listener(Kind);

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

// === impl Socket ===

impl Socket {
    /// Registers the socket with the runtime that this is called on.
    pub(crate) fn into_listener(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(socket) => TcpListener::from_std(socket).map(Into::into),
            Self::Unix(socket) => UnixListener::from_std(socket).map(Into::into),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }

    /// Where it listens; a socket without a path is one of the service manager's.
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

// === impl Listener ===

impl Listener {
    /// Where it listens.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub fn local_addr(&self) -> io::Result<Addr> {
        Ok(match &self.0 {
            Kind::Tcp(listener) => Addr::Tcp(listener.local_addr()?),
            Kind::Unix(listener) => {
                Addr::Unix(listener.local_addr()?.as_pathname().map(Into::into).unwrap_or_default())
            }
        })
    }

    /// The next connection. Cancelling it loses none.
    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        Ok(match &self.0 {
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
        Self(Kind::Tcp(listener))
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self(Kind::Unix(listener))
    }
}
