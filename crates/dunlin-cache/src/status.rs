//! [`CacheStatus`]: the handling of a request by this cache (RFC 9211).

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderValue, StatusCode};

/// The handling of a request by this cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheStatus<'a> {
    /// `true` if the cache answered without the origin.
    pub(crate) hit: bool,
    pub(crate) forward: Option<ForwardReason>,
    /// The status of the origin's response.
    pub(crate) forward_status: Option<StatusCode>,
    /// The seconds for which the response stays fresh; negative if it is stale.
    pub(crate) ttl: Option<i64>,
    pub(crate) stored: bool,
    pub(crate) collapsed: bool,
    pub(crate) key: Option<&'a str>,
    pub(crate) detail: Option<&'a str>,
}

/// The reason why a request was forwarded to the origin (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForwardReason {
    /// The cache does not handle such requests.
    Bypass,
    /// The method is always forwarded.
    Method,
    /// No response is stored for the URI.
    UriMiss,
    /// Only other variants are stored for the URI.
    VaryMiss,
    /// The stored response is fresh, but the request does not allow its use.
    Request,
    /// The stored response is stale.
    Stale,
    /// Only a part of the content is stored.
    Partial,
}

// === impl CacheStatus ===

impl CacheStatus<'_> {
    /// The field's value, after the ones of caches nearer to the origin.
    pub(crate) fn to_value(&self, name: &str, upstream: Option<&HeaderValue>) -> HeaderValue {
        let mut out = BytesMut::with_capacity(name.len() + 32 + upstream.map_or(0, |value| value.len() + 2));
        if let Some(upstream) = upstream {
            out.extend_from_slice(upstream.as_bytes());
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(name.as_bytes());
        self.write(&mut out);
        HeaderValue::from_maybe_shared(out.freeze()).unwrap_or(HeaderValue::from_static("dunlin"))
    }

    /// Returns `true` for a hit without any other parameter than its time to live.
    pub(crate) fn is_plain_hit(&self) -> bool {
        self.hit && self.forward.is_none() && self.key.is_none() && self.detail.is_none()
    }

    fn write(&self, out: &mut BytesMut) {
        let mut number = itoa::Buffer::new();
        if self.hit {
            out.extend_from_slice(b"; hit");
        }
        if let Some(forward) = self.forward {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(forward.as_str().as_bytes());
        }
        if let Some(status) = self.forward_status {
            out.extend_from_slice(b"; fwd-status=");
            out.extend_from_slice(status.as_str().as_bytes());
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            out.extend_from_slice(number.format(ttl).as_bytes());
        }
        for (flag, text) in [(self.stored, &b"; stored"[..]), (self.collapsed, b"; collapsed")] {
            if flag {
                out.extend_from_slice(text);
            }
        }
        for (name, text) in [(&b"; key="[..], self.key), (b"; detail=", self.detail)] {
            if let Some(text) = text {
                out.extend_from_slice(name);
                push_item(out, text);
            }
        }
    }
}

/// Writes a token if the text is one, or else a string (RFC 9651 §3.3).
fn push_item(out: &mut BytesMut, text: &str) {
    let token = text.bytes().enumerate().all(|(at, byte)| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'*' => true,
        b'0'..=b'9' | b'-' | b'.' | b'_' | b':' | b'/' => at > 0,
        _ => false,
    });
    if token && !text.is_empty() {
        return out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.extend_from_slice(&[byte]),
            _ => out.extend_from_slice(b"?"),
        }
    }
    out.extend_from_slice(b"\"");
}

/// The time to live in seconds, rounded up: the lifetime minus `Age`, which is rounded down.
pub(crate) fn ttl(lifetime: Duration, age: Duration) -> i64 {
    let whole = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX) + i64::from(span.subsec_nanos() > 0);
    lifetime.checked_sub(age).map_or_else(|| -whole(age - lifetime), whole)
}

// === impl ForwardReason ===

impl ForwardReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: &CacheStatus<'_>, upstream: Option<&'static str>, expect: &str) {
        let upstream = upstream.map(HeaderValue::from_static);
        let value = status.to_value("dunlin", upstream.as_ref());
        assert_eq!(value, expect);
        assert!(sfv::Parser::new(value.as_bytes()).parse::<sfv::List>().is_ok(), "{value:?}");
    }

    #[test]
    fn values_are_structured_fields() {
        let hit = CacheStatus { hit: true, ttl: Some(-3), ..CacheStatus::default() };
        check(&hit, None, "dunlin; hit; ttl=-3");
        check(&hit, Some("edge; fwd=miss"), "edge; fwd=miss, dunlin; hit; ttl=-3");
        let miss = CacheStatus {
            forward: Some(ForwardReason::UriMiss),
            forward_status: Some(StatusCode::OK),
            stored: true,
            collapsed: true,
            key: Some("http://a/b?c=\"ü"),
            detail: Some("no-store"),
            ..CacheStatus::default()
        };
        check(
            &miss,
            None,
            r#"dunlin; fwd=uri-miss; fwd-status=200; stored; collapsed; key="http://a/b?c=\"??"; detail=no-store"#,
        );
    }

    #[test]
    fn seconds_left() {
        let s = Duration::from_secs_f32;
        assert_eq!(ttl(s(10.0), s(3.5)), 7);
        assert_eq!(ttl(s(10.0), s(10.0)), 0);
        assert_eq!(ttl(s(10.0), s(10.5)), -1);
    }
}
