//! Freshness (RFC 9111 §4.2): how long a response is good for, and how old it is.

use std::time::{Duration, SystemTime};

use dunlin_http::cache_control::delta_seconds;
use dunlin_http::{date, list};
use http::header::{AGE, DATE, EXPIRES, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::s3_storing::is_heuristic;
use super::s5_2_response::Effective;
use super::s5_3_expires;
use crate::RoutePolicy;

/// RFC 9111 §4.2.2: a guess should be a fraction of the time since the last change; a tenth is what
/// the field does.
const HEURISTIC_FRACTION: u32 = 10;
/// Nothing is guessed to be good for longer than a day.
const HEURISTIC_MOST: Duration = Duration::from_secs(24 * 3600);

/// How long a response is fresh for, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    pub(crate) duration: Duration,
    pub(crate) source: Source,
}

/// Who says for how long a response is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The route's own `age`.
    Route,
    /// The response.
    Explicit,
    /// A guess from when it last changed.
    Heuristic,
    /// Nobody: it is stale at once.
    None,
}

/// The lifetime (RFC 9111 §4.2.1). `received` is when the response came.
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
    // In this order: s-maxage, as this cache is shared; max-age; Expires less Date; a guess.
    if let Some(age) = directives.s_maxage.or(directives.max_age) {
        return explicit(age);
    }
    let dated = single(headers, &DATE).and_then(s5_3_expires::parse).unwrap_or_else(|| date::truncate(received));
    // RFC 9213 §2.1: with a targeted field, Expires does not count.
    if headers.contains_key(EXPIRES) && !directives.targeted {
        // §5.3: what is no date, and what comes more than once, is in the past.
        let expires = single(headers, &EXPIRES).and_then(s5_3_expires::parse);
        let left = expires.and_then(|expires| expires.duration_since(dated).ok());
        return explicit(left.unwrap_or_default());
    }
    let changed = single(headers, &LAST_MODIFIED).and_then(date::parse);
    let unchanged = changed.and_then(|changed| dated.duration_since(changed).ok());
    match unchanged {
        Some(unchanged) if is_heuristic(status) || directives.public => {
            Lifetime { duration: (unchanged / HEURISTIC_FRACTION).min(HEURISTIC_MOST), source: Source::Heuristic }
        }
        _ => Lifetime { duration: Duration::ZERO, source: Source::None },
    }
}

/// A route's own lifetime is for answers, not for errors: how long those are kept is theirs to say.
pub(crate) fn route_age_applies(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 410)
}

/// How old the response was when it came (RFC 9111 §4.2.3): `corrected_initial_age`.
pub(crate) fn initial_age(headers: &HeaderMap, requested: SystemTime, received: SystemTime) -> Duration {
    let dated = single(headers, &DATE).and_then(date::parse);
    // Date has whole seconds; so must what it is compared with, or all that is new would seem a
    // second old.
    let apparent = dated.and_then(|dated| date::truncate(received).duration_since(dated).ok()).unwrap_or_default();
    let delay = received.duration_since(requested).unwrap_or_default();
    apparent.max(age_value(headers).saturating_add(delay))
}

/// The field `Age` (RFC 9111 §5.1): of a list or several lines the first counts; what is no number
/// is ignored.
fn age_value(headers: &HeaderMap) -> Duration {
    let first = headers.get(AGE).and_then(|line| line.to_str().ok()).and_then(|line| list::split(line).next());
    Duration::from_secs(first.and_then(delta_seconds).unwrap_or(0))
}

/// The value of a field that has one line.
fn single<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a http::HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let only = lines.next();
    only.filter(|_| lines.next().is_none())
}
