//! [`Listen`]: an address to listen on, with the properties of its socket.

use std::str::FromStr;

use crate::{Addr, ParseAddrError};

/// An address to listen on, with the properties of its socket.
///
/// ```
/// use dunlin_server::{Addr, Listen};
///
/// let https = Listen { tls: Some(true), ..Addr::Tcp(([0, 0, 0, 0], 443).into()).into() };
/// let local = Addr::Unix("/run/dunlin.sock".into());
/// let local = Listen { mode: Some(0o660), group: Some("www-data".into()), ..local.into() };
/// # assert_eq!((https.mode, local.tls), (None, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub addr: Addr,
    /// `Some(true)` if connections speak TLS, with the certificate of
    /// [`Config::tls`](crate::Config::tls).
    /// `None`: TCP connections do, if there is a certificate, and no listener has `Some(true)`.
    pub tls: Option<bool>,
    /// The mode of the socket file of [`Addr::Unix`], such as `0o660`. A client needs the
    /// permission to write. `None`: the umask decides.
    pub mode: Option<u32>,
    /// The owner of the socket file, as a name or a number.
    pub user: Option<String>,
    /// The group of the socket file, as a name or a number.
    pub group: Option<String>,
}

// === impl Listen ===

impl Listen {
    /// Checks that the properties fit the address.
    ///
    /// # Errors
    /// The reason why they do not.
    pub const fn check(&self) -> Result<(), &'static str> {
        let is_unix = matches!(self.addr, Addr::Unix(_));
        if is_unix && matches!(self.tls, Some(true)) {
            return Err("a Unix socket cannot have tls = true; leave it out");
        }
        if !is_unix && (self.mode.is_some() || self.user.is_some() || self.group.is_some()) {
            return Err("mode, user and group are for addresses such as \"unix:/run/app.sock\"");
        }
        match self.mode {
            Some(mode) if mode > 0o777 => Err("the mode of a socket file must be between 0 and 0777"),
            _ => Ok(()),
        }
    }
}

impl From<Addr> for Listen {
    fn from(addr: Addr) -> Self {
        Self { addr, tls: None, mode: None, user: None, group: None }
    }
}

impl FromStr for Listen {
    type Err = ParseAddrError;

    fn from_str(text: &str) -> Result<Self, ParseAddrError> {
        text.parse().map(Addr::into)
    }
}
