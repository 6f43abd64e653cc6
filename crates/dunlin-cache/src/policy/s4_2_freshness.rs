//! Freshness (RFC 9111 §4.2): the lifetime and the age of a response.

use std::time::{Duration, SystemTime};

use dunlin_http::cache_control::delta_seconds;
use dunlin_http::{date, list};
use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::s3_storing::is_heuristic;
use super::s5_2_response::Effective;
use super::s5_3_expires;
use crate::RoutePolicy;

/// The divisor of the time since the last change that gives a heuristic lifetime (RFC 9111 §4.2.2
/// suggests a tenth).
const HEURISTIC_FRACTION: u32 = 10;
/// The limit of a heuristic lifetime: a day.
const MAX_HEURISTIC: Duration = Duration::from_secs(24 * 3600);

/// The time for which a response is fresh, and the source of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) duration: Duration,
    pub(crate) source: Source,
}

/// The source of a lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The route's own `age`.
    Route,
    /// The response.
    Explicit,
    /// The time since the last change (RFC 9111 §4.2.2).
    Heuristic,
    /// None: the response is stale at once.
    None,
}

/// The lifetime (RFC 9111 §4.2.1) of a response that was received at this time.
pub(crate) fn lifetime(
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Effective,
    policy: &RoutePolicy,
    received: SystemTime,
) -> Lifetime {
    let explicit = |duration| Lifetime { duration, source: Source::Explicit };
    if let Some(duration) = policy.age
        && route_age_applies(status)
    {
        return Lifetime { duration, source: Source::Route };
    }
    // RFC 9111 §4.2.1: in a shared cache s-maxage, then max-age, then Expires, then a heuristic.
    if let Some(age) = directives.s_maxage.or(directives.max_age) {
        return explicit(age);
    }
    let dated = single(headers, &DATE).and_then(s5_3_expires::parse).unwrap_or_else(|| date::truncate(received));
    // RFC 9213 §2.1: a targeted field replaces Expires.
    if headers.contains_key(EXPIRES) && !directives.targeted {
        // RFC 9111 §5.3: an invalid or repeated Expires is in the past.
        let expires = single(headers, &EXPIRES).and_then(s5_3_expires::parse);
        let left = expires.and_then(|expires| expires.duration_since(dated).ok());
        return explicit(left.unwrap_or_default());
    }
    let changed = single(headers, &LAST_MODIFIED).and_then(date::parse);
    let unchanged = changed.and_then(|changed| dated.duration_since(changed).ok());
    match unchanged {
        Some(unchanged) if is_heuristic(status) || directives.public => {
            Lifetime { duration: (unchanged / HEURISTIC_FRACTION).min(MAX_HEURISTIC), source: Source::Heuristic }
        }
        _ => Lifetime { duration: Duration::ZERO, source: Source::None },
    }
}

/// Returns `true` if a route's age applies: errors keep their own lifetimes.
pub(crate) fn route_age_applies(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 410)
}

/// The `corrected_initial_age` (RFC 9111 §4.2.3).
pub(crate) fn initial_age(headers: &HeaderMap, requested: SystemTime, received: SystemTime) -> Duration {
    let dated = single(headers, &DATE).and_then(date::parse);
    // Date has whole seconds, so the time of receipt is truncated too. Otherwise a new response
    // would seem a second old.
    let apparent = dated.and_then(|dated| date::truncate(received).duration_since(dated).ok()).unwrap_or_default();
    let delay = received.duration_since(requested).unwrap_or_default();
    apparent.max(age_value(headers).saturating_add(delay))
}

/// The value of `Age` (RFC 9111 §5.1): the first of several; an invalid one is ignored.
fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).and_then(|line| line.to_str().ok()).and_then(|line| list::split(line).next());
    Duration::from_secs(first.and_then(delta_seconds).unwrap_or(0))
}

/// The value of a field with exactly one line.
fn single<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a http::HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let only = lines.next();
    only.filter(|_| lines.next().is_none())
}
