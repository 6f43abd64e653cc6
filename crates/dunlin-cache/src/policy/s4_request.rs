//! The requests that a cache answers (RFC 9111 §4 and §5.2.1), and those that bypass it.

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::s4_4_invalidation;
use crate::request::RequestHead;

/// The reason why a request bypasses the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BypassReason {
    /// An unsafe method, whose response may invalidate.
    Unsafe,
    /// OPTIONS, TRACE, CONNECT.
    Method,
    /// An upgrade to another protocol.
    Upgrade,
    /// A GET or HEAD with content, whose meaning is undefined (RFC 9110 §9.3.1).
    Content,
    /// `If-Match` or `If-Unmodified-Since`, which only the origin evaluates (RFC 9111 §4.3.2).
    Precondition,
    /// `Cache-Control: no-store`.
    NoStore,
    /// The route is paused.
    Paused,
}

/// The fields with which a request may need anything but the whole stored response.
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

/// Returns `true` if a request has none of the fields that the rest of the policy looks for. One
/// pass over the header costs less than ten look-ups.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    !headers.keys().any(|name| SPECIAL.contains(name))
}

// === impl BypassReason ===

impl BypassReason {
    /// The reason why this request bypasses the cache, if it does. `plain` is the result of
    /// [`is_plain`], and `empty` is `true` if there is no content.
    pub(crate) fn of(request: &RequestHead<'_>, plain: bool, empty: bool) -> Option<Self> {
        if !matches!(*request.method, Method::GET | Method::HEAD) {
            return Some(if s4_4_invalidation::is_unsafe(request.method) { Self::Unsafe } else { Self::Method });
        }
        if plain {
            return (!empty).then_some(Self::Content);
        }
        let headers = request.headers;
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
