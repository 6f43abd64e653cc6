//! The target of a request in one form (RFC 3986 §6.2.2), so that all who look at it see the same.
//!
//! A path can be written in many ways that mean the same to somebody: `/%61dmin`, `/x/../admin`,
//! `//admin`. If a router takes one for another path than the origin does, a route with a rule of
//! its own can be gone around. So a target is brought into one form before anything looks at it,
//! and that form is routed, cached, logged and sent on:
//!
//! 1. An empty path is `/` (RFC 9110 §4.2.3).
//! 2. Percent-encoded unreserved octets are decoded, and the digits of other escapes are in upper
//!    case (RFC 3986 §6.2.2.1, §6.2.2.2). `%2F` stays: it is not a slash. A percent sign
//!    that begins no escape becomes `%25`, because it could begin one once others are decoded.
//! 3. Dot segments are removed (RFC 3986 §5.2.4). A path never leads above the root.
//! 4. Repeated slashes are one. RFC 3986 tells them apart; many origins do not.
//!
//! The query is left alone.

use bytes::Bytes;
use http::Uri;
use http::uri::PathAndQuery;

/// A target that is not in the form which a request may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The path does not begin with a slash.
    #[error("the target does not begin with a slash")]
    NoSlash,
    /// The target is none after it was normalised.
    #[error("the target is not a path")]
    Invalid,
}

/// Brings the target of a request into one form. Returns `None` if it is in that form already.
///
/// `*` stays as it is. Scheme and authority are dropped from a target that is changed; a server
/// takes them out before.
///
/// # Errors
/// Returns an error if the target does not begin with a slash.
pub fn normalise(uri: &Uri) -> Result<Option<Uri>, TargetError> {
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
        _ => return Err(TargetError::NoSlash),
    };
    normal.extend_from_slice(query.as_bytes());
    let target = PathAndQuery::from_maybe_shared(Bytes::from(normal)).map_err(|_| TargetError::Invalid)?;
    Ok(Some(Uri::from(target)))
}

/// Returns `true` for most targets that need no change: a path that begins with a slash, and has no
/// escape and no slash or dot behind a slash.
fn is_normal(target: &[u8]) -> bool {
    if target.first() != Some(&b'/') {
        return false;
    }
    let mut after_slash = false;
    for byte in target {
        match byte {
            b'?' => break,
            b'%' => return false,
            b'/' | b'.' if after_slash => return false,
            _ => after_slash = *byte == b'/',
        }
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
            // A repeated slash, unless it is the last one.
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

/// Decodes escapes of unreserved octets, once, and writes the digits of others in upper case.
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
            // `%2%65` is not to become `%2e`.
            decoded.extend_from_slice(if *first == b'%' { b"%25" } else { std::slice::from_ref(first) });
            rest = after;
        }
    }
    decoded
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// RFC 3986 §2.3.
fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(target: &str) -> Result<String, TargetError> {
        let uri: Uri = target.parse().unwrap();
        normalise(&uri).map(|changed| changed.unwrap_or(uri).path_and_query().unwrap().as_str().to_owned())
    }

    #[track_caller]
    fn check(target: &str, expect: &str) {
        assert_eq!(normal(target).as_deref(), Ok(expect), "{target}");
    }

    #[test]
    fn an_empty_path_is_a_slash() {
        check("http://x", "/");
        check("http://x?other", "/?other");
        check("http://x?a/../b", "/?a/../b");
        check("/", "/");
        check("*", "*");
    }

    #[test]
    fn escapes_have_one_form() {
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
        // RFC 3986 §5.2.4, and the disguises of encoded dots.
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
    fn repeated_slashes_are_one() {
        check("//admin/y", "/admin/y");
        check("/a///b//", "/a/b/");
        check("//", "/");
        check("/a//../b", "/b");
        check("/a?b//c", "/a?b//c");
    }

    #[test]
    fn a_target_of_another_form_is_refused() {
        for target in ["x", "x/y"] {
            // Such a text is an authority to a URI; a path of this form comes by HTTP/2.
            let path = PathAndQuery::from_maybe_shared(Bytes::from(format!("?{target}"))).unwrap();
            assert_eq!(normalise(&Uri::from(path)).unwrap().unwrap().path(), "/");
        }
    }

    proptest! {
        #[test]
        fn the_form_is_a_fixed_point(target in "/[a-c./%2eE~?65]{0,24}") {
            let once = normal(&target).unwrap();
            let twice = normal(&once).unwrap();
            prop_assert_eq!(&twice, &once);
            let path = once.split('?').next().unwrap().to_owned();
            prop_assert!(path.starts_with('/') && !path.contains("//"), "{}", path);
            prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", path);
            for disguise in ["%2e", "%2E", "%61", "%7e"] {
                prop_assert!(!path.contains(disguise), "{}", path);
            }
        }

        #[test]
        fn what_means_the_same_has_one_form(segments in proptest::collection::vec("[a-z]{1,3}", 1..5), at in 0_usize..5) {
            let plain = format!("/{}", segments.join("/"));
            let at = at.min(segments.len() - 1);
            let mut disguised = segments;
            disguised[at] = disguised[at].bytes().map(|byte| format!("%{byte:02x}")).collect();
            disguised.insert(at, "./x/%2E%2e//".to_owned());
            prop_assert_eq!(normal(&format!("//{}", disguised.join("/"))).unwrap(), plain);
        }

        #[test]
        fn never_panics(target in "\\PC{0,40}") {
            if let Ok(uri) = target.parse::<Uri>() {
                let _ = normalise(&uri);
            }
        }
    }
}
