//! Fields of one connection only (RFC 9110 §7.6.1).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list;

/// The fields that are always hop-by-hop, even if `Connection` does not name them.
pub static FIELDS: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the hop-by-hop fields: [`FIELDS`], and those that `Connection` names.
///
/// `Host` and `Content-Length` stay even if `Connection` names them, because they route and frame
/// the message.
pub fn remove(headers: &mut HeaderMap) {
    remove_named(headers);
    remove_all(headers, &FIELDS);
}

/// Removes the fields that `Connection` names, except [`FIELDS`], `Host` and `Content-Length`.
///
/// A cache does so before it selects a stored response, because the origin does not receive them.
pub fn remove_named(headers: &mut HeaderMap) {
    // Most requests have no such field. Comparing the few names is faster than a look-up.
    if !headers.keys().any(|name| name == CONNECTION) {
        return;
    }
    let is_usual = |line: &HeaderValue| {
        line.is_empty()
            || [&b"keep-alive"[..], b"close"].iter().any(|usual| line.as_bytes().eq_ignore_ascii_case(usual))
    };
    if headers.get_all(CONNECTION).iter().any(|line| !is_usual(line)) {
        let named: Vec<HeaderName> =
            list::elements(headers, &CONNECTION).filter_map(|name| name.parse().ok()).collect();
        let stays = |name: &HeaderName| [HOST, CONTENT_LENGTH].contains(name) || FIELDS.contains(name);
        named.iter().filter(|name| !stays(name)).for_each(|name| drop(headers.remove(name)));
    }
}

/// Removes these fields.
///
/// A message has few fields and seldom these. Comparing names is faster than hashing each.
pub fn remove_all<'n>(headers: &mut HeaderMap, names: impl IntoIterator<Item = &'n HeaderName>) {
    for name in names {
        if headers.keys().any(|key| key == name) {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[(&'static str, &'static str)], kept: &[&str]) {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(name, HeaderValue::from_static(value));
        }
        remove(&mut headers);
        let mut names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, kept, "{lines:?}");
    }

    #[test]
    fn hop_by_hop_fields_are_removed() {
        check(&[("keep-alive", "timeout=5"), ("te", "trailers"), ("x", "1")], &["x"]);
        check(&[("connection", "close"), ("proxy-connection", "close"), ("upgrade", "h2c")], &[]);
        check(&[("connection", "Keep-Alive"), ("keep-alive", "timeout=5"), ("close", "1")], &["close"]);
        check(&[("transfer-encoding", "chunked"), ("trailer", "x"), ("warning", "1")], &["trailer", "warning"]);
    }

    #[test]
    fn fields_named_by_connection_are_removed() {
        check(&[("a", "1"), ("connection", "A, ,b"), ("connection", "c"), ("b", "1"), ("c", "1"), ("d", "1")], &["d"]);
        check(&[("connection", ""), ("connection", "a"), ("a", "1")], &[]);
        check(
            &[("connection", "host, content-length, \"x"), ("host", "h"), ("content-length", "1")],
            &["content-length", "host"],
        );
    }
}
