//! [`Address`]: the address of an origin.

use std::fmt;
use std::path::PathBuf;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::Error;

/// The address of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// A host and a port. The host is in lower case, and the scheme's default port is left out.
    Tcp { https: bool, authority: Authority },
    /// A Unix socket, as in `http://unix:/run/app.sock`.
    Unix { socket: PathBuf },
}

// === impl Address ===

impl Address {
    /// The address in a URL, and the path.
    ///
    /// A Unix socket is written as in nginx: `http://unix:/run/app.sock`, followed by `:/path` if
    /// there is a path.
    ///
    /// # Errors
    /// Returns an error if the URL is not an absolute `http` or `https` URL with a host, or if its
    /// port is empty.
    pub(crate) fn of(uri: &Uri) -> Result<(Self, String), Error> {
        let invalid = || Error::Uri(without_secrets(uri));
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(invalid()),
        };
        let authority = uri.authority().ok_or_else(invalid)?.as_str();
        if authority == "unix:" && !https {
            let (socket, path) = uri.path().split_once(':').unwrap_or((uri.path(), "/"));
            let is_path = socket.len() > 1 && (path.starts_with('/') || path.is_empty());
            return if is_path { Ok((Self::Unix { socket: socket.into() }, path.to_owned())) } else { Err(invalid()) };
        }
        // RFC 3986 §3.2.3 allows an empty port, but it is usually a mistake.
        if authority.ends_with(':') {
            return Err(invalid());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(invalid)?.to_ascii_lowercase();
        // RFC 9110 §4.2.3: an absent port and the default one are the same.
        let authority = match uri.port_u16() {
            Some(port) if port != if https { 443 } else { 80 } => format!("{host}:{port}"),
            _ => host,
        };
        let authority = authority.parse().map_err(|_| invalid())?;
        Ok((Self::Tcp { https, authority }, uri.path().to_owned()))
    }

    pub(crate) const fn is_https(&self) -> bool {
        matches!(self, Self::Tcp { https: true, .. })
    }

    /// The value of the `Host` field.
    pub(crate) fn host(&self) -> &str {
        match self {
            Self::Tcp { authority, .. } => authority.as_str(),
            Self::Unix { .. } => "localhost",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { https: true, authority } => write!(f, "https://{authority}"),
            Self::Tcp { https: false, authority } => write!(f, "http://{authority}"),
            Self::Unix { socket } => write!(f, "http://unix:{}", socket.display()),
        }
    }
}

/// A URL for messages. It has no user, password or query, because these may be secrets.
pub(crate) fn without_secrets(uri: &Uri) -> String {
    let after_user = |text: &str| text.rsplit_once('@').map_or(text, |(_, after)| after).to_owned();
    match uri.authority() {
        Some(authority) => {
            let scheme = uri.scheme_str().map_or_else(String::new, |scheme| format!("{scheme}://"));
            format!("{scheme}{}{}", after_user(authority.as_str()), uri.path())
        }
        // The path of a URL whose scheme was forgotten: `//user:password@host/path`.
        None => after_user(uri.path()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths() {
        let check = |uri: &str, address: &str, path: &str| {
            let (found, rest) = Address::of(&uri.parse().unwrap()).unwrap();
            assert_eq!((found.to_string().as_str(), rest.as_str()), (address, path), "{uri}");
        };
        check("http://Example.COM:80", "http://example.com", "/");
        check("https://example.com:443/a/", "https://example.com", "/a/");
        check("http://[::1]:8080/a", "http://[::1]:8080", "/a");
        check("http://unix:/run/app.sock", "http://unix:/run/app.sock", "/");
        check("http://unix:/run/app.sock:/base/", "http://unix:/run/app.sock", "/base/");
        check("http://unix:/run/app.sock:", "http://unix:/run/app.sock", "");
    }

    #[test]
    fn invalid_addresses() {
        for uri in
            ["/a", "ftp://a/", "http://a:/", "http://unix:", "http://unix:/", "http://unix:/a:b", "https://unix:/a"]
        {
            assert!(Address::of(&uri.parse().unwrap()).is_err(), "{uri}");
        }
        for uri in ["ftp://u:secret@a/b?token=secret", "//u:secret@a/b?token=secret"] {
            let error = Address::of(&uri.parse().unwrap()).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
