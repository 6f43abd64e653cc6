//! Which responses may be stored (RFC 9111 §3), and which of their fields (§3.1).

use dunlin_http::cache_control::Scope;
use dunlin_http::hop_by_hop;
use http::header::{
    AUTHORIZATION, CONTENT_RANGE, EXPIRES, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SET_COOKIE, TRAILER,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::s5_2_response::Effective;
use crate::RoutePolicy;

/// Why a response is not stored. It is what `Cache-Status` gives as `detail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An interim status, or one that says nothing by itself.
    Status,
    NotUnderstood,
    NoStore,
    Private,
    Authorization,
    SetCookie,
    /// `Vary: *`, or one that cannot be read.
    VaryAny,
    /// Nothing says for how long it is good, nor could it be validated.
    NoFreshness,
    /// More than one entry may take.
    TooLarge,
    /// A 206 that does not say which part it is.
    Part,
    /// Less came than was announced, or more.
    Incomplete,
}

/// Status codes that may be stored although nothing says for how long (RFC 9110 §15.1).
const HEURISTIC: [u16; 12] = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// Status codes whose meaning for caches is known here (RFC 9110 §15), for `must-understand`.
const UNDERSTOOD: [u16; 41] = [
    200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407,
    408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 500, 501, 502, 503, 504,
];

/// Fields about a proxy or about the end of the message, which are not stored (RFC 9111 §3.1).
static OF_A_PROXY: [HeaderName; 4] =
    [PROXY_AUTHENTICATE, HeaderName::from_static("proxy-authentication-info"), PROXY_AUTHORIZATION, TRAILER];

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

/// Whether a shared cache may store this final response to a GET (RFC 9111 §3). `request` is the
/// request's header.
pub(crate) fn may_store(
    request: &HeaderMap,
    status: StatusCode,
    headers: &HeaderMap,
    directives: &Effective,
    policy: &RoutePolicy,
) -> Result<(), Refusal> {
    // 304 freshens, it is not stored; 1xx is not final.
    if status.is_informational() || status == StatusCode::NOT_MODIFIED || status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::Status);
    }
    if status == StatusCode::PARTIAL_CONTENT && !headers.contains_key(CONTENT_RANGE) {
        return Err(Refusal::Part);
    }
    // §5.2.2.3: with must-understand the status decides, and no-store does not count where it is
    // understood.
    if directives.must_understand {
        if !UNDERSTOOD.contains(&status.as_u16()) {
            return Err(Refusal::NotUnderstood);
        }
    } else if directives.no_store {
        return Err(Refusal::NoStore);
    }
    if directives.private.as_ref().is_some_and(Scope::is_response) {
        return Err(Refusal::Private);
    }
    // §3.5: any of these three says that the answer does not depend on who asked.
    let shared = directives.public || directives.must_revalidate || directives.s_maxage.is_some();
    if request.contains_key(AUTHORIZATION) && !shared {
        return Err(Refusal::Authorization);
    }
    // Not the RFC's rule (§7.3 leaves it to the origin) but ours: a cookie is one person's unless
    // the route says otherwise.
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

/// Whether the status allows a lifetime that is guessed (RFC 9110 §15.1).
pub(crate) fn is_heuristic(status: StatusCode) -> bool {
    HEURISTIC.contains(&status.as_u16())
}

/// Takes out what is not stored (RFC 9111 §3.1): fields of the connection, those it names, and
/// those that `no-cache` and `private` name, which must not be used again without validation
/// (§5.2.2.4) or at all (§5.2.2.7).
pub(crate) fn strip(headers: &mut HeaderMap, directives: &Effective) {
    strip_hop_by_hop(headers);
    for scope in [&directives.no_cache, &directives.private] {
        if let Some(Scope::Fields(fields)) = scope {
            fields.iter().for_each(|name| drop(headers.remove(name)));
        }
    }
}

/// The trailer fields that may be stored, and given to all who ask for the same; they stay apart
/// from the header (RFC 9111 §3.1).
pub(crate) fn shared_trailers(mut trailers: HeaderMap, directives: &Effective, policy: &RoutePolicy) -> HeaderMap {
    strip(&mut trailers, directives);
    if !policy.set_cookie {
        trailers.remove(SET_COOKIE);
    }
    trailers
}

/// The fields that are for this one answer only, as `no-cache` or `private` name them.
pub(crate) fn unshared(headers: &HeaderMap, directives: &Effective) -> HeaderMap {
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

/// Takes out the fields of the connection and those that `Connection` names.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    hop_by_hop::remove(headers);
    hop_by_hop::remove_all(headers, &OF_A_PROXY);
}
