//! The reuse of a stored response by the request's directives (RFC 9111 §5.2.1), stale ones
//! included (§4.2.4).

use std::time::Duration;

use dunlin_http::cache_control::RequestDirectives;

/// The facts that decide whether a stored response may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// The age now.
    pub(crate) age: Duration,
    /// The freshness lifetime.
    pub(crate) lifetime: Duration,
    /// `no-cache`: never without validation.
    pub(crate) validate_always: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never stale.
    pub(crate) never_stale: bool,
    /// The time for which it may be used stale while it is revalidated.
    pub(crate) while_revalidate: Duration,
}

/// The decision about the reuse of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is fresh.
    Fresh,
    /// It is stale, which the client allows.
    Stale,
    /// It is stale, and may be used while it is revalidated.
    StaleWhileRevalidate,
    /// It is stale and needs validation.
    Expired,
    /// The client requires validation.
    Requested,
}

/// Judges a stored response for a request.
pub(crate) fn judge(stored: Reuse, request: &RequestDirectives) -> Verdict {
    // RFC 9111 §5.2.2.4: no-cache.
    if stored.validate_always {
        return Verdict::Expired;
    }
    // RFC 9111 §5.2.1.4: no-cache of the request.
    if request.no_cache {
        return Verdict::Requested;
    }
    let staleness = stored.age.checked_sub(stored.lifetime).filter(|_| stored.age >= stored.lifetime);
    match staleness {
        // RFC 9111 §4.2: fresh while the lifetime is greater than the age.
        None => {
            let too_old = request.max_age.is_some_and(|limit| stored.age > limit);
            let too_short = request.min_fresh.is_some_and(|limit| stored.lifetime - stored.age < limit);
            if too_old || too_short { Verdict::Requested } else { Verdict::Fresh }
        }
        Some(staleness) => {
            // RFC 9111 §5.2.1.1: max-stale extends max-age.
            let too_old = request.max_age.is_some_and(|limit| stored.age > limit) && request.max_stale.is_none();
            let must_be_fresh = request.min_fresh.is_some() || too_old;
            if stored.never_stale || must_be_fresh {
                Verdict::Expired
            } else if request.max_stale.is_some_and(|limit| staleness <= limit) {
                Verdict::Stale
            } else if staleness < stored.while_revalidate {
                Verdict::StaleWhileRevalidate
            } else {
                Verdict::Expired
            }
        }
    }
}
