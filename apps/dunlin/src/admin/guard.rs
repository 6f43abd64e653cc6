//! The check that a request to the admin listener is not one of another site's page.
//!
//! The listener has no authentication: access to its address is the permission. A browser has that
//! access too, and acts for pages of other sites. Such a page names itself in `Origin` or
//! `Sec-Fetch-Site`. With a name that it resolves to the listener's address (DNS rebinding) it is
//! of the same origin, but it must use that name in `Host`.

use std::net::IpAddr;

use http::header::{HOST, HeaderName, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Request, StatusCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A refusal: the status, and the reason for the client.
pub(super) type Refusal = (StatusCode, &'static str);

/// Returns the refusal of a request, if it must be refused. `hosts` are the allowed names.
pub(super) fn refusal<B>(request: &Request<B>, hosts: &[String]) -> Option<Refusal> {
    let headers = request.headers();
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST).map(|host| host.to_str().unwrap_or("")),
    };
    // RFC 9112 §3.2: only HTTP/1.0 may leave the host out, and browsers never do.
    if let Some(host) = host {
        if !is_known(host, hosts) {
            let reason = "this host name is not in hosts of [admin]; use an address or localhost";
            return Some((StatusCode::MISDIRECTED_REQUEST, reason));
        }
        if !is_same_origin(headers, host) {
            return Some((StatusCode::FORBIDDEN, "the request comes from another origin"));
        }
    } else if headers.contains_key(ORIGIN) {
        return Some((StatusCode::FORBIDDEN, "the request comes from another origin"));
    }
    let changes = !request.method().is_safe();
    (changes && !is_same_site(headers)).then_some((StatusCode::FORBIDDEN, "the request comes from another site"))
}

/// Returns `true` if `host` is an address, `localhost`, or one of `hosts`.
fn is_known(host: &str, hosts: &[String]) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_end_matches('.');
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    !authority.as_str().contains('@')
        && (literal.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || hosts.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// Returns `true` if there is no `Origin`, or one with the host of the request (RFC 6454 §7).
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else { return true };
    let authority = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
    origins.next().is_none() && authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Returns `true` if there is no `Sec-Fetch-Site`, or exactly one of the listener's own pages or of
/// the user (Fetch Metadata, W3C).
fn is_same_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let Some(site) = sites.next() else { return true };
    sites.next().is_none() && matches!(site.as_bytes(), b"same-origin" | b"none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        #[track_caller]
        fn check(method: &str, fields: &[(&str, &[u8])], expect: Option<u16>) {
            let mut request = Request::builder().method(method).uri("/purge");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let hosts = ["admin.internal".to_owned()];
            let refused = refusal(&request.body(()).unwrap(), &hosts).map(|(status, _)| status.as_u16());
            assert_eq!(refused, expect, "{method} {fields:?}");
        }
        check("GET", &[], None);
        for host in ["127.0.0.1:8081", "[::1]:8081", "10.0.0.7", "localhost:8081", "LOCALHOST", "admin.internal:80"] {
            check("POST", &[("host", host.as_bytes())], None);
        }
        for host in ["rebind.evil:8081", "localhost.evil", "127.0.0.1.evil", "x@127.0.0.1", "", "a b", "\u{e4}"] {
            check("GET", &[("host", host.as_bytes())], Some(421));
        }
        let host = ("host", &b"127.0.0.1:8081"[..]);
        check("POST", &[host, ("origin", b"http://127.0.0.1:8081")], None);
        for origin in ["http://evil.example", "null", "", "http://127.0.0.1:8082", "http://127.0.0.1", "127.0.0.1:8081"]
        {
            check("POST", &[host, ("origin", origin.as_bytes())], Some(403));
        }
        check("POST", &[host, ("origin", b"http://127.0.0.1:8081"), ("origin", b"http://evil.example")], Some(403));
        check("POST", &[("origin", b"http://127.0.0.1")], Some(403));
        for site in [&b"same-origin"[..], b"none"] {
            check("POST", &[host, ("sec-fetch-site", site)], None);
        }
        for site in [&b"cross-site"[..], b"same-site", b"cross-site\xff", b"", b"none, cross-site"] {
            check("POST", &[host, ("sec-fetch-site", site)], Some(403));
        }
        check("POST", &[host, ("sec-fetch-site", b"none"), ("sec-fetch-site", b"cross-site")], Some(403));
        check("GET", &[host, ("sec-fetch-site", b"cross-site")], None);
    }
}
