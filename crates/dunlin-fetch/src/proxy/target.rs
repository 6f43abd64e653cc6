//! [`Base`]: the request target for the upstream.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};

/// The path of the upstream's URL. The path of a request is appended to it.
#[derive(Debug)]
pub(super) struct Base {
    /// The path without slashes at its end.
    path: String,
    /// `true` if the path ends in a slash. If nothing is appended, the target then ends in one,
    /// too.
    has_slash: bool,
}

// === impl Base ===

impl Base {
    /// The base of an upstream with this path.
    pub(super) fn of(path: &str) -> Self {
        Self { path: path.trim_end_matches('/').to_owned(), has_slash: path.ends_with('/') }
    }

    /// Appends a path and query, percent-encoded as they were received.
    ///
    /// # Errors
    /// 404 for a path that leaves the base by dot segments, in any spelling that an upstream may
    /// decode. 400 for an invalid path.
    pub(super) fn join(&self, rest: &str) -> Result<PathAndQuery, StatusCode> {
        let path = rest.split('?').next().unwrap_or(rest);
        if !self.path.is_empty() && climbs(path) {
            return Err(StatusCode::NOT_FOUND);
        }
        let slash = match path {
            "" if self.path.is_empty() || self.has_slash => "/",
            "" => "",
            path if path.starts_with('/') => "",
            _ => "/",
        };
        let target = [self.path.as_str(), slash, rest].concat();
        PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// Appends the path and query of a request's URL.
    pub(super) fn join_uri(&self, uri: &Uri) -> Result<PathAndQuery, StatusCode> {
        match uri.path_and_query() {
            Some(whole) if self.path.is_empty() => Ok(whole.clone()),
            Some(whole) => self.join(whole.as_str()),
            None => self.join("/"),
        }
    }
}

/// Returns `true` if dot segments lead above the start at any point.
///
/// Dots, slashes and backslashes count even if they are encoded once or twice, and so do segments
/// with parameters (`..;x`), because an upstream may decode them.
fn climbs(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let mut depth = 0_usize;
    for segment in decode(&decode(path.as_bytes())).split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or(segment);
        match name {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            _ => depth += 1,
        }
    }
    false
}

/// Decodes percent-encoding once. Invalid escapes stay.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        match after {
            [high, low, after @ ..] if *first == b'%' => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    rest = after;
                    continue;
                }
                _ => out.push(b'%'),
            },
            _ => out.push(*first),
        }
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &'static str, rest: &str, expect: Result<&str, u16>) {
        let joined = Base::of(Uri::from_static(base).path()).join(rest);
        assert_eq!(joined.as_ref().map(PathAndQuery::as_str).map_err(StatusCode::as_u16), expect, "{base} {rest}");
    }

    #[test]
    fn paths_are_appended() {
        check("http://o", "x/y", Ok("/x/y"));
        check("http://o/", "/x", Ok("/x"));
        check("http://o/", "", Ok("/"));
        check("http://o/", "?a=b?c", Ok("/?a=b?c"));
        check("http://o/v1", "x", Ok("/v1/x"));
        check("http://o/v1/", "/x?q", Ok("/v1/x?q"));
        check("http://o/v1", "", Ok("/v1"));
        check("http://o/v1", "?q", Ok("/v1?q"));
        check("http://o/v1", "//x", Ok("/v1//x"));
        // The slash at the end of the base is kept.
        check("http://o/v1/", "", Ok("/v1/"));
        check("http://o/v1/", "?q=1", Ok("/v1/?q=1"));
        check("http://o/exact/", "", Ok("/exact/"));
        check("http://o", "a%2Fb%252F%zz/%C3%A4", Ok("/a%2Fb%252F%zz/%C3%A4"));
        check("http://o", "a b", Err(400));
    }

    #[test]
    fn nothing_leaves_the_base() {
        for path in [
            "../x",
            "a/../../x",
            "%2e%2E/x",
            ".%2e",
            "a%2f..%2f..",
            "..\\x",
            "%5c..%5c..",
            "a/./../..",
            "..;/x",
            "%2e%2e;a=b/x",
            "%252e%252e/x",
            "..%5cx",
            "%25%32%65./x",
            "a/..;x/..;y/z",
        ] {
            check("http://o/v1", path, Err(404));
        }
        check("http://o/v1", "a/../x", Ok("/v1/a/../x"));
        check("http://o/v1", "x?../..", Ok("/v1/x?../.."));
        check("http://o/v1", "...", Ok("/v1/..."));
        check("http://o", "../x", Ok("/../x"));
    }
}
