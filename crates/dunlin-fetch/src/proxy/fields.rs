//! Fields of one connection, between client and upstream (RFC 9110 §7.6.1).

use dunlin_http::{hop_by_hop, list};
use http::header::{CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, UPGRADE, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

static PROXY_AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("proxy-authentication-info");

/// The values of `Via` for this proxy (RFC 9110 §7.6.3), by the protocol version of the message.
#[derive(Debug)]
pub(super) struct Via {
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

/// Removes the hop-by-hop fields: those that `Connection` names, and those that always are.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    hop_by_hop::remove(headers);
    // RFC 9110 §11.7: these are for a proxy that the client has chosen, and this is none.
    hop_by_hop::remove_all(headers, [&PROXY_AUTHENTICATE, &PROXY_AUTHORIZATION, &PROXY_AUTHENTICATION_INFO]);
}

/// Returns `true` if the client accepts trailers (RFC 9110 §10.1.4).
pub(super) fn accepts_trailers(headers: &HeaderMap) -> bool {
    headers.contains_key(TE)
        && list::elements(headers, &TE).any(|coding| {
            coding.split(';').next().is_some_and(|name| list::trim(name).eq_ignore_ascii_case("trailers"))
        })
}

/// The protocols in `Upgrade` that are `allowed` (RFC 9110 §7.8), in the order of the request.
pub(super) fn wanted_upgrade(headers: &HeaderMap, version: Version, allowed: &[String]) -> Option<HeaderValue> {
    // RFC 9110 §7.8: the field is ignored without the connection option, and from HTTP/1.0.
    if version != Version::HTTP_11 || !headers.contains_key(UPGRADE) {
        return None;
    }
    if !list::elements(headers, &CONNECTION).any(|option| option.eq_ignore_ascii_case("upgrade")) {
        return None;
    }
    let wanted: Vec<&str> = list::elements(headers, &UPGRADE)
        .filter(|protocol| allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(protocol)))
        .collect();
    if wanted.is_empty() { None } else { HeaderValue::from_str(&wanted.join(", ")).ok() }
}

/// Returns `true` if the request named every protocol in the `Upgrade` of a response.
pub(super) fn is_wanted(headers: &HeaderMap, wanted: &HeaderValue) -> bool {
    let wanted = wanted.to_str().unwrap_or_default();
    let mut protocols = list::elements(headers, &UPGRADE).peekable();
    protocols.peek().is_some()
        && protocols.all(|protocol| list::split(wanted).any(|wanted| wanted.eq_ignore_ascii_case(protocol)))
}

// === impl Via ===

impl Via {
    /// The values for a proxy of this name. `None` if the name is not a token.
    pub(super) fn new(pseudonym: &str) -> Option<Self> {
        let value = |version| HeaderValue::from_str(&format!("{version} {pseudonym}")).ok();
        list::is_token(pseudonym).then_some(())?;
        Some(Self { http10: value("1.0")?, http11: value("1.1")?, http2: value("2")? })
    }

    /// Adds this proxy to the field.
    pub(super) fn add(&self, headers: &mut HeaderMap, version: Version) {
        let value = match version {
            Version::HTTP_10 | Version::HTTP_09 => &self.http10,
            Version::HTTP_2 => &self.http2,
            _ => &self.http11,
        };
        headers.append(VIA, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[track_caller]
    fn check(lines: &[(&'static str, &'static str)], kept: &[&str]) {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove_hop_by_hop(&mut headers);
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, kept, "{lines:?}");
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        check(&[("proxy-authenticate", "Basic"), ("proxy-authorization", "x"), ("te", "trailers"), ("x", "1")], &["x"]);
    }

    #[test]
    fn upgrades() {
        let allowed = ["websocket".to_owned()];
        let request = fields(&[("connection", "keep-alive, Upgrade"), ("upgrade", "h2c, WebSocket")]);
        let wanted = wanted_upgrade(&request, Version::HTTP_11, &allowed).unwrap();
        assert_eq!(wanted, "WebSocket");
        assert!(wanted_upgrade(&request, Version::HTTP_10, &allowed).is_none());
        assert!(wanted_upgrade(&fields(&[("upgrade", "websocket")]), Version::HTTP_11, &allowed).is_none());
        assert!(is_wanted(&fields(&[("upgrade", "websocket")]), &wanted));
        assert!(!is_wanted(&fields(&[("upgrade", "h2c")]), &wanted) && !is_wanted(&HeaderMap::new(), &wanted));
    }

    #[test]
    fn trailers() {
        assert!(accepts_trailers(&fields(&[("te", "gzip;q=0.5, Trailers")])));
        assert!(!accepts_trailers(&fields(&[("te", "gzip")])) && !accepts_trailers(&HeaderMap::new()));
    }
}
