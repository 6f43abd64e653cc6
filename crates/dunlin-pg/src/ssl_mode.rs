//! [`SslMode`]: the protection of a connection.

use std::str::FromStr;

use crate::config_error::ConfigError;

/// The encryption of the connection and the checks of the server's certificate, as in libpq's
/// `sslmode`. On a Unix socket there is no TLS in any mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SslMode {
    /// Never encrypted.
    Disable,
    /// The same as [`SslMode::Prefer`]. libpq tries without TLS first, which protects less.
    Allow,
    /// Encrypted if the server offers it, without a check of its certificate. A failed handshake is
    /// an error, and no reason to continue in plain text. That is stricter than libpq.
    #[default]
    Prefer,
    /// Always encrypted. The certificate is not checked, unless a root certificate is given: then
    /// it is the same as [`SslMode::VerifyCa`].
    Require,
    /// Encrypted, and the certificate has a trusted root.
    VerifyCa,
    /// Encrypted, and the certificate has a trusted root and is for the host of the URL.
    VerifyFull,
}

// === impl SslMode ===

impl SslMode {
    /// The name in libpq.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    /// The mode of the client library, which knows fewer.
    pub(crate) const fn negotiated(self) -> tokio_postgres::config::SslMode {
        use tokio_postgres::config::SslMode as Mode;
        match self {
            Self::Disable => Mode::Disable,
            Self::Allow | Self::Prefer => Mode::Prefer,
            Self::Require | Self::VerifyCa | Self::VerifyFull => Mode::Require,
        }
    }
}

impl FromStr for SslMode {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull]
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| {
                ConfigError::new(format!(
                    "sslmode {text:?} is none of disable, allow, prefer, require, verify-ca, verify-full"
                ))
            })
    }
}
