//! The parts of a request's path that belong to a route.
//!
//! A handler finds its part of the path by counting slashes. That costs less than to compute it for
//! each request, because most requests are answered by a layer in front of the handler.

use std::borrow::Cow;
use std::sync::Arc;

use dunlin_http::PathParams;
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::reader::{Pattern, Piece};

/// The place where `{*rest}` begins, as a number of slashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail(Option<usize>);

/// The parameters of a pattern.
#[derive(Clone, Debug)]
pub(crate) struct Captures(Vec<Segment>);

#[derive(Clone, Debug)]
enum Segment {
    Literal,
    Name(Arc<str>),
    Rest(Arc<str>),
}

// === impl Tail ===

impl Tail {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        Self(pattern.rest().map(|_| pattern.as_str().matches('/').count()))
    }

    /// The first byte of the part that `{*rest}` matched. Without `{*rest}`, the end of the path.
    pub(crate) fn start(self, uri: &Uri) -> usize {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let path = uri.path().len().min(target.len());
        let Some(slashes) = self.0 else { return path };
        // A loop over the bytes costs less than a search for each slash: segments are short.
        let mut left = slashes;
        for (at, byte) in target.as_bytes()[..path].iter().enumerate() {
            left -= usize::from(*byte == b'/');
            if left == 0 {
                return at + 1;
            }
        }
        path
    }
}

// === impl Captures ===

impl Captures {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let segment = |piece| match piece {
            Piece::Literal(_) => Segment::Literal,
            Piece::Name(name) => Segment::Name(name.into()),
            Piece::Rest(name) => Segment::Rest(name.into()),
        };
        Self(pattern.pieces().map(segment).collect())
    }

    /// The parameters in a path that the pattern matched, percent-decoded.
    pub(crate) fn decoded(&self, path: &str) -> PathParams {
        let mut params = PathParams::default();
        self.each(path, |name, raw| params.push(name.clone(), decode(raw).into_owned()));
        params
    }

    /// The parameter `name` of a path that the pattern matched, as it was sent.
    pub(crate) fn raw<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let mut found = None;
        self.each(path, |own, raw| {
            if **own == *name {
                found = Some(raw);
            }
        });
        found
    }

    fn each<'p>(&self, path: &'p str, mut visit: impl FnMut(&Arc<str>, &'p str)) {
        let mut left = path.strip_prefix('/').unwrap_or(path);
        for segment in &self.0 {
            // A segment is short, so a loop over its bytes costs less than `split_once`.
            let end = left.bytes().position(|byte| byte == b'/');
            let (own, rest) = end.map_or((left, ""), |end| (&left[..end], &left[end + 1..]));
            match segment {
                Segment::Literal => {}
                Segment::Name(name) => visit(name, own),
                Segment::Rest(name) => visit(name, left),
            }
            left = rest;
        }
    }
}

fn decode(raw: &str) -> Cow<'_, str> {
    percent_decode_str(raw).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_tail_comes_after_the_prefix() {
        #[track_caller]
        fn check(route: &str, target: &str, expect: &str) {
            let uri: Uri = target.parse().unwrap();
            assert_eq!(&target[Tail::new(&pattern(route)).start(&uri)..], expect, "{route} {target}");
        }
        check("/api/{*rest}", "/api/x", "x");
        check("/api/{*rest}", "/api/a%2Fb/c?d=e&f", "a%2Fb/c?d=e&f");
        check("/api/{*rest}", "/api/", "");
        check("/api/{*rest}", "/api/?a/b", "?a/b");
        check("/{*rest}", "/", "");
        check("/{*rest}", "//x", "/x");
        check("/{a}/x/{*rest}", "/1/x/2/3", "2/3");
        check("/exact", "/exact", "");
        check("/exact", "/exact?a=b", "?a=b");
    }

    #[test]
    fn captures_are_decoded() {
        #[track_caller]
        fn check(route: &str, path: &str, expect: &[(&str, &str)]) {
            let params = Captures::new(&pattern(route)).decoded(path);
            assert_eq!(params.iter().collect::<Vec<_>>(), expect, "{route} {path}");
        }
        check("/users/{id}", "/users/7", &[("id", "7")]);
        check("/users/{id}/x/{name}", "/users/J%C3%B6rg/x/a%2Fb", &[("id", "Jörg"), ("name", "a/b")]);
        check("/{a}/{*rest}", "/1/2/3", &[("a", "1"), ("rest", "2/3")]);
        check("/{*rest}", "/", &[("rest", "")]);
        check("/plain", "/plain", &[]);
        let captures = Captures::new(&pattern("/{a}/{*rest}"));
        assert_eq!(captures.raw("/a%20b/c%2Fd/e", "a"), Some("a%20b"));
        assert_eq!(captures.raw("/a%20b/c%2Fd/e", "rest"), Some("c%2Fd/e"));
        assert_eq!(captures.raw("/a/b", "c"), None);
    }
}
