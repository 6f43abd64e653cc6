//! The responses that may be stored (RFC 9111 §3), and their fields (§3.1).

use dunlin_http::cache_control::Scope;
use dunlin_http::hop_by_hop;
use http::header::{
    AUTHORIZATION, CONTENT_RANGE, EXPIRES, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TRAILER,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::s5_2_response::Effective;
use crate::RoutePolicy;

/// The reason why a response is not stored. `Cache-Status` contains it as `detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The status cannot be stored, or not without an explicit lifetime.
    Status,
    NotUnderstood,
    NoStore,
    Private,
    Authorization,
    SetCookie,
    /// `Vary: *`, or a `Vary` that cannot be parsed.
    VaryAny,
    /// It has neither a lifetime nor a validator.
    NoFreshness,
    /// It is larger than an entry may be.
    TooLarge,
    /// It is a 206 without a valid `Content-Range`.
    Part,
    /// The body does not have the announced length.
    Incomplete,
}

/// The statuses that may be stored without an explicit lifetime (RFC 9110 §15.1).
const HEURISTIC: [u16; 12] = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// The statuses that this cache understands (RFC 9110 §15), for `must-understand`.
const UNDERSTOOD: [u16; 41] = [
    200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407,
    408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503, 504,
];

/// The fields of a proxy and of the message's framing, which are not stored (RFC 9111 §3.1).
static PROXY_FIELDS: [HeaderName; 4] =
    [PROXY_AUTHENTICATE, HeaderName::from_static("proxy-authentication-info"), PROXY_AUTHORIZATION, TRAILER];

/// The facts of a request that decide whether its response may be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StorageRequest<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// `true` if the client has a verified identity and no entries of its own.
    pub(crate) identified: bool,
    /// `true` if the client has entries of its own.
    pub(crate) separate: bool,
}

// === impl StorageRequest ===

impl StorageRequest<'_> {
    /// Returns `true` if RFC 9111 §3.5 restricts the response.
    fn is_restricted(&self) -> bool {
        !self.separate && (self.identified || self.headers.contains_key(AUTHORIZATION))
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::NotUnderstood => "must-understand",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryAny => "vary",
            Self::NoFreshness => "no-freshness",
            Self::TooLarge => "too-large",
            Self::Part => "content-range",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Checks that a shared cache may store this final response to a GET (RFC 9111 §3).
pub(crate) fn may_store(
    request: StorageRequest<'_>,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Effective,
    policy: &RoutePolicy,
) -> Result<(), Refusal> {
    // A 304 freshens a stored response, and a 1xx is not final.
    if status.is_informational() || status == StatusCode::NOT_MODIFIED || status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::Status);
    }
    if status == StatusCode::PARTIAL_CONTENT && !headers.contains_key(CONTENT_RANGE) {
        return Err(Refusal::Part);
    }
    // RFC 9111 §5.2.2.3: with must-understand, no-store does not count for a status that is
    // understood.
    if directives.must_understand {
        if !UNDERSTOOD.contains(&status.as_u16()) {
            return Err(Refusal::NotUnderstood);
        }
    } else if directives.no_store {
        return Err(Refusal::NoStore);
    }
    // RFC 9111 §5.2.2.7: `private` is about caches that several clients share.
    if !request.separate && directives.private.as_ref().is_some_and(Scope::is_response) {
        return Err(Refusal::Private);
    }
    if request.is_restricted() && !is_for_all_clients(directives) {
        return Err(Refusal::Authorization);
    }
    // Stricter than RFC 9111 §7.3, which leaves it to the origin: a cookie is usually for one
    // client.
    if headers.contains_key(SET_COOKIE) && !policy.set_cookie {
        return Err(Refusal::SetCookie);
    }
    let explicit = directives.max_age.is_some() || directives.s_maxage.is_some() || headers.contains_key(EXPIRES);
    if explicit || directives.public || is_heuristic(status) || policy.age.is_some() && status.is_success() {
        Ok(())
    } else {
        Err(Refusal::Status)
    }
}

/// Returns `true` if a response is explicitly for all clients (RFC 9111 §3.5).
pub(crate) fn is_for_all_clients(directives: &Effective) -> bool {
    directives.public || directives.must_revalidate || directives.s_maxage.is_some()
}

/// Returns `true` if the status allows a heuristic lifetime (RFC 9110 §15.1).
pub(crate) fn is_heuristic(status: StatusCode) -> bool {
    HEURISTIC.contains(&status.as_u16())
}

/// Removes the fields that are not stored (RFC 9111 §3.1): those of the connection, and those that
/// `no-cache` (§5.2.2.4) and `private` (§5.2.2.7) name.
pub(crate) fn strip(headers: &mut HeaderMap, directives: &Effective) {
    strip_hop_by_hop(headers);
    for scope in [&directives.no_cache, &directives.private] {
        if let Some(Scope::Fields(fields)) = scope {
            fields.iter().for_each(|name| drop(headers.remove(name)));
        }
    }
}

/// The trailer fields that may be stored and shared. They stay apart from the header (RFC 9111
/// §3.1).
pub(crate) fn shared_trailers(mut trailers: HeaderMap, directives: &Effective, policy: &RoutePolicy) -> HeaderMap {
    strip(&mut trailers, directives);
    if !policy.set_cookie {
        trailers.remove(SET_COOKIE);
    }
    trailers
}

/// The fields that `no-cache` or `private` name, which only the client of this response gets.
pub(crate) fn unshared_fields(headers: &HeaderMap, directives: &Effective) -> HeaderMap {
    let mut found = HeaderMap::new();
    for scope in [&directives.no_cache, &directives.private] {
        if let Some(Scope::Fields(fields)) = scope {
            for name in fields.iter().filter(|name| !found.contains_key(*name)).collect::<Vec<_>>() {
                headers.get_all(name).iter().for_each(|line| {
                    found.append(name.clone(), line.clone());
                });
            }
        }
    }
    found
}

/// Removes the fields of the connection and those that `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    hop_by_hop::remove(headers);
    hop_by_hop::remove_all(headers, &PROXY_FIELDS);
}
