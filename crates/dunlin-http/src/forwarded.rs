//! The client of a request behind proxies: `Forwarded` (RFC 7239) and similar fields.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{ClientInfo, Network, list};

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Fields besides `X-Forwarded-*` that name a client, or another target than the request's.
const CLIENT_FIELDS: [&str; 8] = [
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "x-client-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    // CGI turns it into HTTP_PROXY, which programs use as the address of their own proxy.
    "proxy",
];

/// Fields that frame or route a message. They must not appear in another spelling.
const FRAMING: [&str; 5] = ["content-length", "transfer-encoding", "host", "connection", "te"];

/// Identifies the client of a request, and removes fields that could name another.
///
/// If the peer is in a `trusted` network, its fields name the client: the nearest address that is
/// not trusted itself, and the scheme that the client used. `Host` becomes the host that the client
/// requested. From any other peer, all such fields are removed, because they could be forged. That
/// includes every spelling that CGI maps to the same name (`X_Forwarded_For`).
pub fn identify(headers: &mut HeaderMap, peer: ClientInfo, trusted: &[Network]) -> ClientInfo {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    if !peer.ip.is_some_and(is_trusted) {
        remove_client_fields(headers, false);
        return peer;
    }
    remove_client_fields(headers, true);
    let hop = client_hop(headers, &is_trusted);
    let proto = hop.proto.or_else(|| single(headers, &X_FORWARDED_PROTO));
    let host = hop.host.or_else(|| single(headers, &X_FORWARDED_HOST));
    if let Some(host) = host.filter(|host| is_host(host)).and_then(|host| HeaderValue::from_str(&host).ok()) {
        headers.insert(HOST, host);
    }
    let https = match proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss") => true,
        Some(proto) if proto.eq_ignore_ascii_case("http") || proto.eq_ignore_ascii_case("ws") => false,
        _ => peer.https,
    };
    ClientInfo::new(hop.ip.or(peer.ip), https)
}

/// Removes fields that name a client. From a trusted peer, those in their usual spelling stay.
fn remove_client_fields(headers: &mut HeaderMap, is_trusted: bool) {
    // Most requests have none.
    if !headers.keys().any(|name| is_client_field(name.as_str(), is_trusted)) {
        return;
    }
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| is_client_field(name.as_str(), is_trusted)).cloned().collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
}

/// Returns `true` for a field that has to be removed.
#[inline]
fn is_client_field(name: &str, is_trusted: bool) -> bool {
    may_be_client_field(name.as_bytes()) && is_certain_client_field(name, is_trusted)
}

/// Returns `false` for most usual names, by their first byte and length only.
#[inline]
fn may_be_client_field(name: &[u8]) -> bool {
    match (name.first(), name.len()) {
        (Some(b'x'), _) => true,
        (Some(b'f'), 9) | (Some(b't'), 2 | 14 | 17) | (Some(b'p'), 5) | (Some(b'c'), 10 | 14) => true,
        (Some(b'h'), 4) => name != b"host",
        _ => false,
    }
}

/// Returns `true` for a field that has to be removed, by its whole name.
fn is_certain_client_field(name: &str, is_trusted: bool) -> bool {
    let is_odd = name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
    if !is_odd {
        // Header names are in lower case.
        return match name.as_bytes()[0] {
            b'f' | b't' | b'x' if !is_trusted => name.starts_with("x-forwarded") || CLIENT_FIELDS.contains(&name),
            b'p' => name == "proxy",
            _ => false,
        };
    }
    let folded: String = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    folded.starts_with("x-forwarded") || CLIENT_FIELDS.contains(&&*folded) || FRAMING.contains(&&*folded)
}

/// The client, by the fields of one proxy.
#[derive(Debug, Default, PartialEq)]
struct Hop {
    ip: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

/// The client, by the trusted proxy that is nearest to it.
fn client_hop(headers: &HeaderMap, is_trusted: &dyn Fn(IpAddr) -> bool) -> Hop {
    if headers.contains_key(FORWARDED) {
        return forwarded_hop(headers, is_trusted);
    }
    let mut hop = Hop::default();
    let addresses = elements(headers, &X_FORWARDED_FOR);
    for address in addresses.iter().rev() {
        // An unknown address ends the chain, because the addresses before it cannot be trusted.
        let Some(ip) = parse_node(address) else { break };
        hop.ip = Some(ip);
        if !is_trusted(ip) {
            break;
        }
    }
    hop
}

/// The client in `Forwarded`, as [`client_hop`] finds it.
fn forwarded_hop(headers: &HeaderMap, is_trusted: &dyn Fn(IpAddr) -> bool) -> Hop {
    let mut hop = Hop::default();
    for element in elements(headers, &FORWARDED).iter().rev() {
        let (mut node, mut proto, mut host) = (None, None, None);
        for pair in list::split_on(element, b';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unquote(value.trim());
            match name.trim().to_ascii_lowercase().as_str() {
                "for" => node = Some(value),
                "proto" => proto = Some(value),
                "host" => host = Some(value),
                _ => {}
            }
        }
        let ip = node.as_deref().and_then(parse_node);
        hop = Hop { ip: ip.or(hop.ip), proto: proto.or(hop.proto), host: host.or(hop.host) };
        if ip.is_none_or(|ip| !is_trusted(ip)) {
            break;
        }
    }
    hop
}

/// The elements of a field that proxies append to, of all its lines, in order.
///
/// The client may have sent the first of them. They must not hide the elements that proxies have
/// appended to the same line. So an element that is not text becomes an empty one. Quotes are
/// obeyed only in `Forwarded`, and only if they are closed, because an open one would include all
/// that follows.
fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let mut elements = Vec::new();
    for line in headers.get_all(name) {
        match line.to_str() {
            Ok(line) if *name == FORWARDED && has_closed_quotes(line) => elements.extend(list::split(line)),
            _ => {
                let parts = line.as_bytes().split(|byte| *byte == b',').filter(|part| !part.trim_ascii().is_empty());
                elements.extend(parts.map(|part| std::str::from_utf8(part).map_or("", list::trim)));
            }
        }
    }
    elements
}

/// Returns `true` if the last quoted string of a line is closed.
fn has_closed_quotes(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for byte in line.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    !quoted
}

/// The address of a node (RFC 7239 §6): `1.2.3.4`, `1.2.3.4:80`, `[::1]`, `[::1]:80`, `::1`.
fn parse_node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text.rsplit_once(':')?.0,
    };
    address.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// The last element of a field. A proxy appends to a list, so the last element is the trusted one.
fn single(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    elements(headers, name).last().map(|element| (*element).to_owned())
}

/// Returns `true` for a host with an optional port, and no other characters.
fn is_host(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(&byte);
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_part) && text.parse::<http::uri::Authority>().is_ok()
}

/// The content of a quoted string, or the text itself.
fn unquote(text: &str) -> String {
    list::unquote(text).map_or_else(|| text.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The client's address, its scheme, the `Host`, and the number of other fields.
    fn identified(peer: &str, fields: &[(&'static str, &str)]) -> (Option<String>, &'static str, String, usize) {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("own"));
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let client = identify(&mut headers, ClientInfo::new(peer.parse().ok(), false), &trusted);
        let host = headers[HOST].to_str().unwrap().to_owned();
        (client.ip.map(|ip| ip.to_string()), client.scheme(), host, headers.len() - 1)
    }

    #[track_caller]
    fn check(fields: &[(&'static str, &str)], ip: &str, scheme: &str, host: &str) {
        let (found, found_scheme, found_host, _) = identified("10.0.0.1", fields);
        assert_eq!((found.as_deref(), found_scheme, &*found_host), (Some(ip), scheme, host), "{fields:?}");
    }

    #[test]
    fn a_trusted_proxy_names_the_client() {
        check(&[], "10.0.0.1", "http", "own");
        check(&[("x-forwarded-for", "1.2.3.4")], "1.2.3.4", "http", "own");
        check(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.9")], "1.2.3.4", "http", "own");
        check(&[("x-forwarded-for", "6.6.6.6, junk, 10.0.0.9")], "10.0.0.9", "http", "own");
        check(&[("x-forwarded-for", "10.0.0.7, 10.0.0.9")], "10.0.0.7", "http", "own");
        check(&[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1", "http", "own");
        check(&[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "https")], "1.2.3.4", "https", "own");
        check(&[("x-forwarded-host", "example.com:8443")], "10.0.0.1", "http", "example.com:8443");
        check(&[("x-forwarded-host", "a b"), ("x-forwarded-proto", "gopher")], "10.0.0.1", "http", "own");
        check(&[("x-forwarded-host", "a/b")], "10.0.0.1", "http", "own");
    }

    #[test]
    fn forwarded_comes_before_x_forwarded() {
        check(
            &[("forwarded", "for=6.6.6.6, for=1.2.3.4;proto=https;host=\"a.example\""), ("x-forwarded-for", "9.9.9.9")],
            "1.2.3.4",
            "https",
            "a.example",
        );
        check(&[("forwarded", "For=\"[2001:db8::1]:4711\"")], "2001:db8::1", "http", "own");
        check(&[("forwarded", "for=unknown;proto=https")], "10.0.0.1", "https", "own");
        check(&[("forwarded", "for=6.6.6.6;host=evil, for=_hidden;host=good")], "10.0.0.1", "http", "good");
        check(&[("forwarded", "for=\"1.2.3.4;host=x\";host=\"a\\.b\"")], "10.0.0.1", "http", "a.b");
    }

    #[test]
    fn a_forged_beginning_does_not_hide_the_client() {
        for forged in ["\"", "ä", "\"a\", \"", "for=\"6.6.6.6", "for=\"x\\\""] {
            check(&[("x-forwarded-for", &format!("{forged}, 1.2.3.4"))], "1.2.3.4", "http", "own");
            check(&[("forwarded", &format!("{forged}, for=1.2.3.4"))], "1.2.3.4", "http", "own");
            let ipv6 = format!("{forged}, for=\"[2001:db8::1]:4711\";proto=https");
            check(&[("forwarded", &ipv6)], "2001:db8::1", "https", "own");
            check(&[("x-forwarded-proto", &format!("{forged}, https"))], "10.0.0.1", "https", "own");
        }
    }

    #[test]
    fn fields_of_other_peers_are_removed() {
        let forged = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/evil"),
            ("x-forwarded-port", "666"),
            ("x_forwarded_for", "6.6.6.6"),
            ("x-forwarded_host", "evil"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x_real_ip", "6.6.6.6"),
            ("true-client-ip", "6.6.6.6"),
            ("x-original-url", "/admin"),
            ("x-rewrite-url", "/admin"),
            ("proxy", "http://evil"),
            ("transfer_encoding", "chunked"),
            ("content.length", "5"),
        ];
        for field in forged {
            assert_eq!(identified("1.1.1.1", &[field]), (Some("1.1.1.1".into()), "http", "own".into(), 0), "{field:?}");
        }
        assert_eq!(identified("1.1.1.1", &[("x-own", "1"), ("x_own", "1"), ("forward", "1"), ("pragma", "1")]).3, 4);
        assert_eq!(identified("", &[("x-forwarded-for", "6.6.6.6")]), (None, "http", "own".into(), 0));
    }

    #[test]
    fn other_spellings_of_a_trusted_proxy_are_removed() {
        let fields = [("x_forwarded_for", "6.6.6.6"), ("x-forwarded-prefix", "/app"), ("proxy", "http://evil")];
        assert_eq!(identified("10.0.0.1", &fields), (Some("10.0.0.1".into()), "http", "own".into(), 1));
    }

    proptest! {
        #[test]
        fn never_panics(value in "\\PC{0,60}") {
            if value.parse::<HeaderValue>().is_ok() {
                identified("10.0.0.1", &[("forwarded", &value)]);
                identified("10.0.0.1", &[("x-forwarded-for", &value), ("x-forwarded-host", &value)]);
            }
        }

        #[test]
        fn the_last_untrusted_address_counts(ips in proptest::collection::vec(any::<[u8; 4]>(), 1..6)) {
            let addresses: Vec<String> = ips.iter().map(|ip| IpAddr::from(*ip).to_string()).collect();
            let expect = addresses.iter().rev().find(|ip| !ip.starts_with("10.")).unwrap_or(&addresses[0]);
            let (found, ..) = identified("10.0.0.1", &[("x-forwarded-for", &addresses.join(", "))]);
            prop_assert_eq!(found.as_ref(), Some(expect));
        }
    }
}
