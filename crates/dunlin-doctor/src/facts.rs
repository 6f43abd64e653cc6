//! [`Facts`]: what was seen of a site. The checks judge it.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;

/// Everything that was seen of a site.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The URL of the page, after redirects.
    pub(crate) url: Url,
    /// The redirects that led to it.
    pub(crate) redirects: usize,
    /// The response at the same host by plain HTTP, if the page is encrypted.
    pub(crate) plain: Option<Seen>,
    pub(crate) connection: ConnectionFacts,
    /// `true` if a second request was answered on the same connection.
    pub(crate) is_kept: bool,
    /// The page without a coding.
    pub(crate) page: Seen,
    /// The page, asked for once more.
    pub(crate) again: Option<Seen>,
    /// The page in each coding that was asked for.
    pub(crate) coded: Vec<(Coding, Seen)>,
    /// The size of the page when it is encoded here with brotli, in bytes.
    pub(crate) possible: usize,
    /// The response to a request with the page's validators.
    pub(crate) conditional: Option<Seen>,
    /// Files that the page names.
    pub(crate) assets: Vec<Asset>,
}

/// A file that the page names.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) url: Url,
    pub(crate) seen: Seen,
    /// The size when it is encoded here with brotli, in bytes.
    pub(crate) possible: usize,
}

/// A coding of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Brotli,
    Zstd,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The bytes of its content, as they were sent.
    pub(crate) size: usize,
    /// The time from the request to the head of the response.
    pub(crate) first_byte: Duration,
}

/// The facts about the first connection, and the one after it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionFacts {
    /// The time for TCP, and for TLS if there is any.
    pub(crate) connect: Duration,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) is_http2: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    pub(crate) handshake: Duration,
    pub(crate) is_1_3: bool,
    /// `true` if the second connection resumed the session of the first; `None` if there was none.
    pub(crate) is_resumed: Option<bool>,
}

// === impl Coding ===

impl Coding {
    pub(crate) const ALL: [Self; 3] = [Self::Gzip, Self::Brotli, Self::Zstd];

    /// Its name in `Accept-Encoding`.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

// === impl Seen ===

impl Seen {
    /// The lines of a field as one list; empty without the field.
    pub(crate) fn field(&self, name: &HeaderName) -> String {
        let lines = self.headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines.collect::<Vec<_>>().join(", ")
    }
}
