//! [`Addr`]: where a server listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/app.sock`, or `systemd:NAME`
/// for a socket that the service manager hands over (`systemd:` alone takes all of them).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket. A stale socket file is replaced; one that is listened on is an
    /// error.
    Unix(PathBuf),
    /// Sockets handed over in `LISTEN_FDS`, by their name in `LISTEN_FDNAMES`; the empty name takes
    /// all of them.
    Systemd(String),
}

/// What was no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address: expected \"127.0.0.1:8080\", \"[::1]:8080\", \"unix:/path/to.sock\" or \"systemd:NAME\"")]
pub struct ParseAddrError(String);

// === impl Addr ===

impl Addr {
    /// The TCP address, if it is one.
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
    fn an_address_reads_as_it_is_written() {
        for text in ["127.0.0.1:8080", "[::1]:80", "unix:/run/x.sock", "systemd:web", "systemd:"] {
            assert_eq!(text.parse::<Addr>().unwrap().to_string(), text);
        }
        for text in ["", "8080", "localhost:80", "unix:", "127.0.0.1:66000"] {
            assert!(text.parse::<Addr>().unwrap_err().to_string().contains("expected"), "{text}");
        }
    }
}
