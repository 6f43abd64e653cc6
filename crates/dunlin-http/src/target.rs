//! The normal form of a request target (RFC 3986 §6.2.2).
//!
//! A path has many spellings that some programs treat as equal: `/%61dmin`, `/x/../admin`,
//! `//admin`. If a router and an origin disagree, a client can bypass the rules of a route. So each
//! target is normalised first, and routed, cached, logged and forwarded in that form:
//!
//! 1. An empty path is `/` (RFC 9110 §4.2.3).
//! 2. Percent-encoded unreserved octets are decoded, and the digits of other escapes are in upper
//!    case (RFC 3986 §6.2.2.1, §6.2.2.2). `%2F` stays, because it is not a slash. A percent sign
//!    that begins no escape becomes `%25`, because it could begin one after others are decoded.
//! 3. Dot segments are removed (RFC 3986 §5.2.4). A path cannot lead above the root.
//! 4. Repeated slashes become one. They differ in RFC 3986, but not for many origins.
//!
//! The query stays unchanged.

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

use crate::Error;

/// Normalises the target of a request. Returns `None` if it is in normal form already.
///
/// `*` stays unchanged. A changed target has no scheme and authority, because a server removes them
/// before.
///
/// # Errors
/// Returns an error if the target does not begin with a slash.
pub fn normalise(uri: &Uri) -> Result<Option<Uri>, Error> {
    let Some(target) = uri.path_and_query().map(PathAndQuery::as_str) else {
        return Ok(Some(Uri::from_static("/")));
    };
    if target == "*" || is_normal(target.as_bytes()) {
        return Ok(None);
    }
    let path = target.split('?').next().unwrap_or(target);
    let query = &target[path.len()..];
    let mut normal = match path.as_bytes() {
        [] => b"/".to_vec(),
        [b'/', ..] => normalise_path(path.as_bytes()),
        _ => return Err(Error::TargetWithoutSlash),
    };
    normal.extend_from_slice(query.as_bytes());
    let target = PathAndQuery::from_maybe_shared(Bytes::from(normal)).map_err(|_| Error::Target)?;
    Ok(Some(Uri::from(target)))
}

/// Returns `true` for most targets in normal form: a path that begins with a slash, has no escapes,
/// and has no slash or dot after a slash.
fn is_normal(target: &[u8]) -> bool {
    if target.first() != Some(&b'/') {
        return false;
    }
    let mut before = 0;
    for &byte in target {
        // Letters are above these four, and most bytes are letters.
        if byte <= b'?' {
            match byte {
                b'?' => break,
                b'%' => return false,
                b'/' | b'.' if before == b'/' => return false,
                _ => {}
            }
        }
        before = byte;
    }
    true
}

fn normalise_path(path: &[u8]) -> Vec<u8> {
    let decoded = decode_unreserved(path);
    let mut normal: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => {}
            b".." => {
                let parent = normal.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                normal.truncate(parent);
            }
            // A repeated slash, or the last one.
            b"" => {}
            segment => {
                normal.push(b'/');
                normal.extend_from_slice(segment);
                continue;
            }
        }
        if is_last {
            normal.push(b'/');
        }
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// Decodes escapes of unreserved octets once, and changes the digits of others to upper case.
fn decode_unreserved(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        if *first == b'%'
            && let [high, low, after @ ..] = after
            && let (Some(upper), Some(lower)) = (digit(*high), digit(*low))
        {
            match upper * 16 + lower {
                octet if is_unreserved(octet) => decoded.push(octet),
                _ => decoded.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]),
            }
            rest = after;
        } else {
            // `%2%65` must not become `%2e`.
            decoded.extend_from_slice(if *first == b'%' { b"%25" } else { std::slice::from_ref(first) });
            rest = after;
        }
    }
    decoded
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Returns `true` for an unreserved octet (RFC 3986 §2.3).
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(target: &str) -> Result<String, Error> {
        let uri: Uri = target.parse().unwrap();
        normalise(&uri).map(|changed| changed.unwrap_or(uri).path_and_query().unwrap().as_str().to_owned())
    }

    #[track_caller]
    fn check(target: &str, expect: &str) {
        assert_eq!(normal(target).as_deref(), Ok(expect), "{target}");
    }

    #[test]
    fn an_empty_path_becomes_a_slash() {
        check("http://x", "/");
        check("http://x?other", "/?other");
        check("http://x?a/../b", "/?a/../b");
        check("/", "/");
        check("*", "*");
    }

    #[test]
    fn escapes_are_normalised() {
        check("/%61dmin/x%2e%7E", "/admin/x.~");
        check("/a%2fb%3a", "/a%2Fb%3A");
        check("/%2561", "/%2561");
        check("/%zz%4", "/%25zz%254");
        check("/%2%65%2%65/x", "/%252e%252e/x");
        check("/%c3%a4", "/%C3%A4");
        check("/a?%61", "/a?%61");
    }

    #[test]
    fn dot_segments_are_removed() {
        // RFC 3986 §5.2.4, and encoded dots.
        check("/a/b/c/./../../g", "/a/g");
        check("/mid/content=5/../6", "/mid/6");
        check("/keep/../admin/y", "/admin/y");
        check("/keep/%2e%2E/admin/y", "/admin/y");
        check("/./admin/y", "/admin/y");
        check("/../../x", "/x");
        check("/a/..", "/");
        check("/a/b/..", "/a/");
        check("/a/.", "/a/");
        check("/a/./", "/a/");
        check("/a/.../b", "/a/.../b");
        check("/.hidden/..x", "/.hidden/..x");
        check("/a/%2e%2e%2f/b", "/a/..%2F/b");
    }

    #[test]
    fn repeated_slashes_become_one() {
        check("//admin/y", "/admin/y");
        check("/a///b//", "/a/b/");
        check("//", "/");
        check("/a//../b", "/b");
        check("/a?b//c", "/a?b//c");
    }

    #[test]
    fn a_query_without_a_path_gets_a_slash() {
        for target in ["x", "x/y"] {
            // HTTP/2 can carry such a path. A parsed URI has none.
            let path = PathAndQuery::from_maybe_shared(Bytes::from(format!("?{target}"))).unwrap();
            assert_eq!(normalise(&Uri::from(path)).unwrap().unwrap().path(), "/");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_is_a_fixed_point(target in "/[a-c./%2eE~?65]{0,24}") {
            let once = normal(&target).unwrap();
            let twice = normal(&once).unwrap();
            prop_assert_eq!(&twice, &once);
            let path = once.split('?').next().unwrap().to_owned();
            prop_assert!(path.starts_with('/') && !path.contains("//"), "{}", path);
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", path);
            for spelling in ["%2e", "%2E", "%61", "%7e"] {
                prop_assert!(!path.contains(spelling), "{}", path);
            }
        }

        #[test]
        fn equivalent_paths_have_one_form(segments in proptest::collection::vec("[a-z]{1,3}", 1..5), at in 0_usize..5) {
            let plain = format!("/{}", segments.join("/"));
            let at = at.min(segments.len() - 1);
            let mut respelled = segments;
            respelled[at] = respelled[at].bytes().map(|byte| format!("%{byte:02x}")).collect();
            respelled.insert(at, "./x/%2E%2e//".to_owned());
            prop_assert_eq!(normal(&format!("//{}", respelled.join("/"))).unwrap(), plain);
        }

        #[test]
        fn never_panics(target in "\\PC{0,40}") {
            if let Ok(uri) = target.parse::<Uri>() {
                let _ = normalise(&uri);
            }
        }
    }
}
