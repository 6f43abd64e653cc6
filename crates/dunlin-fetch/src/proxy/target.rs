//! What to ask the upstream for.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{StatusCode, Uri};

/// The path of the upstream's URL, without a slash at its end.
#[derive(Debug)]
pub(super) struct Base(String);

// === impl Base ===

impl Base {
    pub(super) fn of(upstream: &Uri) -> Self {
        Self(upstream.path().trim_end_matches('/').to_owned())
    }

    /// The target below this base for a path and query as they came: percent-encoded, and not decoded here.
    ///
    /// # Errors
    /// 404 for a path that leaves the base by dot segments, in any disguise that an upstream may see through; 400 for
    /// what is no path.
    pub(super) fn join(&self, rest: &str) -> Result<PathAndQuery, StatusCode> {
        let path = rest.split('?').next().unwrap_or(rest);
        if !self.0.is_empty() && climbs(path) {
            return Err(StatusCode::NOT_FOUND);
        }
        let slash = if rest.starts_with('/') || path.is_empty() && !self.0.is_empty() { "" } else { "/" };
        let target = [self.0.as_str(), slash, rest].concat();
        PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| StatusCode::BAD_REQUEST)
    }

    /// The target for the path and query of a request's own URL.
    pub(super) fn join_uri(&self, uri: &Uri) -> Result<PathAndQuery, StatusCode> {
        match uri.path_and_query() {
            Some(whole) if self.0.is_empty() => Ok(whole.clone()),
            Some(whole) => self.join(whole.as_str()),
            None => self.join("/"),
        }
    }
}

/// Whether dot segments lead above the start at any point. Encoded dots and slashes count, and so do backslashes: an
/// upstream may take them for the real ones.
fn climbs(path: &str) -> bool {
    if !path.contains("..") && !path.contains('%') {
        return false;
    }
    let mut depth = 0_usize;
    for segment in decode(path).split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment {
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

fn decode(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
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
        let joined = Base::of(&Uri::from_static(base)).join(rest);
        assert_eq!(joined.as_ref().map(PathAndQuery::as_str).map_err(StatusCode::as_u16), expect, "{base} {rest}");
    }

    #[test]
    fn what_came_is_appended() {
        check("http://o", "x/y", Ok("/x/y"));
        check("http://o/", "/x", Ok("/x"));
        check("http://o/", "", Ok("/"));
        check("http://o/", "?a=b?c", Ok("/?a=b?c"));
        check("http://o/v1", "x", Ok("/v1/x"));
        check("http://o/v1/", "/x?q", Ok("/v1/x?q"));
        check("http://o/v1", "", Ok("/v1"));
        check("http://o/v1", "?q", Ok("/v1?q"));
        check("http://o/v1", "//x", Ok("/v1//x"));
        check("http://o", "a%2Fb%252F%zz/%C3%A4", Ok("/a%2Fb%252F%zz/%C3%A4"));
        check("http://o", "a b", Err(400));
    }

    #[test]
    fn nothing_leaves_the_base() {
        for path in ["../x", "a/../../x", "%2e%2E/x", ".%2e", "a%2f..%2f..", "..\\x", "%5c..%5c..", "a/./../.."] {
            check("http://o/v1", path, Err(404));
        }
        check("http://o/v1", "a/../x", Ok("/v1/a/../x"));
        check("http://o/v1", "x?../..", Ok("/v1/x?../.."));
        check("http://o/v1", "...", Ok("/v1/..."));
        check("http://o", "../x", Ok("/../x"));
    }
}
