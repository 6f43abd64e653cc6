//! Which requests a cache answers (RFC 9111 §4 and §5.2.1), and which it lets pass.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::s4_4_invalidation;

/// Why a request is let pass without a look at what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An unsafe method: its answer may invalidate.
    Unsafe,
    /// OPTIONS, TRACE, CONNECT.
    Method,
    /// It asks for another protocol.
    Upgrade,
    /// A GET or HEAD with content, which may mean anything.
    Content,
    /// `If-Match` and `If-Unmodified-Since` are the origin's to evaluate (§4.3.2).
    Precondition,
    /// `Cache-Control: no-store`.
    NoStore,
    /// The route pauses.
    Paused,
}

/// The fields by which a request asks for anything but the whole answer as it is stored.
const SPECIAL: [HeaderName; 10] = [
    CACHE_CONTROL,
    CONTENT_LENGTH,
    IF_MATCH,
    IF_MODIFIED_SINCE,
    IF_NONE_MATCH,
    IF_RANGE,
    IF_UNMODIFIED_SINCE,
    RANGE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Whether a request has none of the fields that the rest of the policy looks for. One pass tells
/// it, where as many look-ups would cost more than all else of a hit.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    !headers.keys().any(|name| SPECIAL.contains(name))
}

// === impl Reason ===

impl Reason {
    /// Why this request is let pass, if it is. `plain` is what [`is_plain`] says, `empty` tells
    /// that it has no content.
    pub(crate) fn of(parts: &Parts, plain: bool, empty: bool) -> Option<Self> {
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Some(if s4_4_invalidation::is_unsafe(&parts.method) { Self::Unsafe } else { Self::Method });
        }
        if plain {
            return (!empty).then_some(Self::Content);
        }
        let headers = &parts.headers;
        if headers.contains_key(UPGRADE) {
            return Some(Self::Upgrade);
        }
        let none = HeaderValue::from_static("0");
        let declared = headers.contains_key(TRANSFER_ENCODING)
            || headers.get(CONTENT_LENGTH).is_some_and(|length| *length != none);
        if !empty || declared {
            return Some(Self::Content);
        }
        if headers.contains_key(IF_MATCH) || headers.contains_key(IF_UNMODIFIED_SINCE) {
            return Some(Self::Precondition);
        }
        None
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unsafe | Self::Method => "method",
            Self::Upgrade => "upgrade",
            Self::Content => "request-content",
            Self::Precondition => "precondition",
            Self::NoStore => "request-no-store",
            Self::Paused => "paused",
        }
    }
}
