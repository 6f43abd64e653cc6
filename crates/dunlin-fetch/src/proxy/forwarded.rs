//! The client of a forwarded request: `Forwarded` (RFC 7239) and `X-Forwarded-*`.

use std::fmt::Write as _;
use std::net::IpAddr;

use dunlin_http::{ClientInfo, Network, forwarded};
use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The fields that name the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardedFields {
    pub(super) x_forwarded: bool,
    pub(super) forwarded: bool,
}

/// Adds `peer` to the fields that name the client. Fields from a peer that is not trusted are
/// removed first, because they could be forged.
pub(super) fn add_client(headers: &mut HeaderMap, peer: ClientInfo, trusted: &[Network], fields: ForwardedFields) {
    let host = headers.get(HOST).cloned();
    forwarded::identify(headers, peer, trusted);
    let proto = if peer.https { "https" } else { "http" };
    if fields.x_forwarded {
        if let Some(ip) = peer.ip {
            append(headers, &X_FORWARDED_FOR, &ip.to_canonical().to_string());
        }
        headers.entry(&X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(proto));
        if let Some(host) = &host {
            headers.entry(&X_FORWARDED_HOST).or_insert_with(|| host.clone());
        }
    }
    if fields.forwarded {
        append(headers, &FORWARDED, &element(peer, proto, host.as_ref()));
    }
}

/// An element of Forwarded (RFC 7239 §4).
fn element(peer: ClientInfo, proto: &str, host: Option<&HeaderValue>) -> String {
    let mut element = match peer.ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        // RFC 7239 §6: an IPv6 address is in brackets, and therefore quoted.
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    };
    let _ = write!(element, ";proto={proto}");
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        if dunlin_http::list::is_token(host) {
            let _ = write!(element, ";host={host}");
        } else if !host.contains(['"', '\\']) {
            let _ = write!(element, ";host=\"{host}\"");
        }
    }
    element
}

/// Appends an element to a list, and joins its lines, because some servers read only the first.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(peer: &str, trusted: &[&str], lines: &[(&'static str, &str)], expect: &[(&str, &str)]) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a.example:8080"));
        for &(name, value) in lines {
            headers.append(name, value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let peer = ClientInfo::new(peer.parse().ok(), true);
        add_client(&mut headers, peer, &trusted, ForwardedFields { x_forwarded: true, forwarded: true });
        headers.remove(HOST);
        let mut have: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        have.sort_unstable();
        assert_eq!(have, expect);
    }

    #[test]
    fn fields_of_an_untrusted_peer_are_replaced() {
        check(
            "::ffff:192.0.2.1",
            &[],
            &[("x-forwarded-for", "6.6.6.6"), ("forwarded", "for=6.6.6.6")],
            &[
                ("forwarded", "for=192.0.2.1;proto=https;host=\"a.example:8080\""),
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-host", "a.example:8080"),
                ("x-forwarded-proto", "https"),
            ],
        );
        check(
            "unix",
            &["0.0.0.0/0"],
            &[("x-forwarded-proto", "x"), ("x-forwarded-for", "6.6.6.6")],
            &[
                ("forwarded", "for=unknown;proto=https;host=\"a.example:8080\""),
                ("x-forwarded-host", "a.example:8080"),
                ("x-forwarded-proto", "https"),
            ],
        );
    }

    #[test]
    fn fields_of_a_trusted_proxy_are_kept() {
        let fields = [
            ("x-forwarded-for", "a"),
            ("x-forwarded-for", "b"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "b.example"),
            ("forwarded", "for=a"),
        ];
        check(
            "2001:db8::1",
            &["2001:db8::/32"],
            &fields,
            &[
                ("forwarded", "for=a, for=\"[2001:db8::1]\";proto=https;host=\"a.example:8080\""),
                ("x-forwarded-for", "a, b, 2001:db8::1"),
                ("x-forwarded-host", "b.example"),
                ("x-forwarded-proto", "http"),
            ],
        );
    }

    #[test]
    fn networks() {
        let network = |text: &str| text.parse::<Network>();
        let within = |text: &str, ip: &str| network(text).unwrap().contains(ip.parse().unwrap());
        assert!(within("10.0.0.0/8", "10.255.0.1") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("0.0.0.0/0", "1.2.3.4") && !within("0.0.0.0/0", "::1"));
        assert!(within("::1", "::1") && !within("::1", "::2") && within("::/0", "::2"));
        for bad in ["", "10.0.0.0/33", "x/8", "10.0.0.0/", "::/129"] {
            assert!(network(bad).is_err(), "{bad:?}");
        }
    }
}
