//! [`ClientFreshness`].

use std::time::Duration;

use bytes::BytesMut;
use dunlin_http::list;
use http::header::{CACHE_CONTROL, EXPIRES};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::RoutePolicy;
use crate::policy::s4_2_freshness;

/// The freshness that clients see, where the route decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientFreshness {
    /// The one of the response itself.
    Unchanged,
    /// This `Cache-Control`, and no `Expires`.
    Fixed(HeaderValue),
    /// As `Fixed`, for a response that had neither field: the stored header contains the value
    /// until the response is freshened.
    Inserted,
    /// This time from now on. Because caches count from its age, `max-age` grows with the age.
    FromNow(Duration),
}

// === impl ClientFreshness ===

impl ClientFreshness {
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, policy: &RoutePolicy) -> Self {
        if !s4_2_freshness::route_age_applies(status) {
            return Self::Unchanged;
        }
        match (policy.browser, policy.age) {
            (Some(browser), _) if !browser.is_zero() => Self::FromNow(browser),
            (Some(_), _) => Self::Fixed(max_age(Duration::ZERO)),
            (None, Some(_)) if headers.contains_key(CACHE_CONTROL) => Self::Unchanged,
            (None, Some(_)) if !policy.groups.is_empty() => Self::Fixed(max_age(Duration::ZERO)),
            (None, Some(age)) => Self::Fixed(max_age(age)),
            (None, None) => Self::Unchanged,
        }
    }

    /// Returns `true` if the stored header does not contain it.
    pub(crate) const fn is_written_per_reply(&self) -> bool {
        matches!(self, Self::Fixed(_) | Self::FromNow(_))
    }

    /// Writes it into the header of a response of this age.
    pub(crate) fn write(&self, headers: &mut HeaderMap, age: Duration) {
        let value = match self {
            Self::Unchanged | Self::Inserted => return,
            Self::Fixed(value) => value.clone(),
            Self::FromNow(time) => max_age(age.saturating_add(*time)),
        };
        let value = if is_private(headers) { private(&value) } else { value };
        headers.insert(CACHE_CONTROL, value);
        headers.remove(EXPIRES);
    }
}

/// Returns `true` if the response is for one client.
fn is_private(headers: &HeaderMap) -> bool {
    list::elements(headers, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("private"))
}

/// The freshness of a response that only its own client may store (RFC 9111 §5.2.2.7).
fn private(freshness: &HeaderValue) -> HeaderValue {
    let value = [b"private, ", freshness.as_bytes()].concat();
    HeaderValue::from_maybe_shared(bytes::Bytes::from(value)).unwrap_or(HeaderValue::from_static("private"))
}

/// `max-age` of this duration.
fn max_age(age: Duration) -> HeaderValue {
    let mut value = BytesMut::with_capacity(20);
    value.extend_from_slice(b"max-age=");
    value.extend_from_slice(itoa::Buffer::new().format(age.as_secs()).as_bytes());
    HeaderValue::from_maybe_shared(value.freeze()).unwrap_or(HeaderValue::from_static("max-age=0"))
}
