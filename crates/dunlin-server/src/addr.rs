//! [`Addr`]: an address to listen on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/app.sock`, or
/// `systemd:NAME` for a socket that the service manager passed. `systemd:` alone stands for all of
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// A TCP address. Port 0 stands for a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket. A stale socket file is replaced. A path that another process
    /// listens on is an error.
    Unix(PathBuf),
    /// Sockets in `LISTEN_FDS`, by their name in `LISTEN_FDNAMES` (sd_listen_fds(3)). The empty
    /// name stands for all of them.
    Systemd(String),
}

/// A text that is no [`Addr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address; expected \"127.0.0.1:8080\", \"[::1]:8080\", \"unix:/path/to.sock\" or \"systemd:NAME\""
)]
pub struct ParseAddrError(String);

// === impl Addr ===

impl Addr {
    /// Returns the TCP address. `None` for other kinds.
    #[must_use]
    pub const fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            _ => None,
        }
    }
}

impl FromStr for Addr {
    type Err = ParseAddrError;

    fn from_str(text: &str) -> Result<Self, ParseAddrError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return Ok(Self::Systemd(name.to_owned()));
        }
        text.parse().map(Self::Tcp).map_err(|_| ParseAddrError(text.to_owned()))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_reverses_display() {
        for text in ["127.0.0.1:8080", "[::1]:80", "unix:/run/x.sock", "systemd:web", "systemd:"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
        for text in ["", "8080", "localhost:80", "unix:", "127.0.0.1:66000"] {
            assert!(text.parse::<Addr>().unwrap_err().to_string().contains("expected"), "{text}");
        }
    }
}
