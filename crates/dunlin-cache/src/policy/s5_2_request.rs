//! What a request asks of a stored response (RFC 9111 §5.2.1), and when a stale one may be used
//! (§4.2.4).

use std::time::Duration;

use dunlin_http::cache_control::RequestDirectives;

/// What decides whether a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reuse {
    /// How old it is now.
    pub(crate) age: Duration,
    /// How long it is fresh for.
    pub(crate) lifetime: Duration,
    /// `no-cache`: never without validation.
    pub(crate) validate_always: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never stale.
    pub(crate) never_stale: bool,
    /// For how long it may be used stale while it is validated.
    pub(crate) while_revalidate: Duration,
}

/// Whether a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As it is.
    Fresh,
    /// Stale, as the client allows.
    Stale,
    /// Stale, while it is validated.
    StaleWhileRevalidate,
    /// Not without validation: it is stale.
    Expired,
    /// Not without validation: the client asks for it.
    Requested,
}

/// Judges a stored response for a request.
pub(crate) fn judge(stored: Reuse, asked: &RequestDirectives) -> Verdict {
    // §5.2.2.4.
    if stored.validate_always {
        return Verdict::Expired;
    }
    // §5.2.1.4.
    if asked.no_cache {
        return Verdict::Requested;
    }
    let staleness = stored.age.checked_sub(stored.lifetime).filter(|_| stored.age >= stored.lifetime);
    match staleness {
        // §4.2: fresh while the lifetime is greater than the age.
        None => {
            let too_old = asked.max_age.is_some_and(|most| stored.age > most);
            let too_short = asked.min_fresh.is_some_and(|least| stored.lifetime - stored.age < least);
            if too_old || too_short { Verdict::Requested } else { Verdict::Fresh }
        }
        Some(staleness) => {
            // §5.2.1.1: max-age and max-stale may be asked for together.
            let too_old = asked.max_age.is_some_and(|most| stored.age > most) && asked.max_stale.is_none();
            let wants_fresh = asked.min_fresh.is_some() || too_old;
            if stored.never_stale || wants_fresh {
                Verdict::Expired
            } else if asked.max_stale.is_some_and(|most| staleness <= most) {
                Verdict::Stale
            } else if staleness < stored.while_revalidate {
                Verdict::StaleWhileRevalidate
            } else {
                Verdict::Expired
            }
        }
    }
}
