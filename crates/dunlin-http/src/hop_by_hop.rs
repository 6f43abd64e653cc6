//! Fields of one connection only (RFC 9110 §7.6.1).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list;

/// The fields that concern one connection, whether `Connection` names them or not.
pub static FIELDS: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removes the fields that concern one connection: [`FIELDS`], and those that `Connection` names.
///
/// `Host` and `Content-Length` stay, because they route and frame the message: no sender may take
/// them away.
pub fn remove(headers: &mut HeaderMap) {
    remove_named(headers);
    remove_all(headers, &FIELDS);
}

/// Removes the fields that `Connection` names, apart from those of [`FIELDS`], `Host` and
/// `Content-Length`.
///
/// A cache needs this before it selects a stored response: the origin will not see those fields.
pub fn remove_named(headers: &mut HeaderMap) {
    // Over HTTP/1.1 most requests have no such field, and to look at the few names is quick.
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

/// Removes those of `names` that are there.
///
/// Most are not. To compare them with the few fields that are there is less work than to hash each.
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
    fn fields_of_the_connection_go() {
        check(&[("keep-alive", "timeout=5"), ("te", "trailers"), ("x", "1")], &["x"]);
        check(&[("connection", "close"), ("proxy-connection", "close"), ("upgrade", "h2c")], &[]);
        check(&[("connection", "Keep-Alive"), ("keep-alive", "timeout=5"), ("close", "1")], &["close"]);
        check(&[("transfer-encoding", "chunked"), ("trailer", "x"), ("warning", "1")], &["trailer", "warning"]);
    }

    #[test]
    fn fields_that_connection_names_go() {
        check(&[("a", "1"), ("connection", "A, ,b"), ("connection", "c"), ("b", "1"), ("c", "1"), ("d", "1")], &["d"]);
        check(&[("connection", ""), ("connection", "a"), ("a", "1")], &[]);
        check(
            &[("connection", "host, content-length, \"x"), ("host", "h"), ("content-length", "1")],
            &["content-length", "host"],
        );
    }
}
