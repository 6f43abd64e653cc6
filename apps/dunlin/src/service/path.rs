//! What of a request's path is a route's own.
//!
//! Layers between the router and the endpoint know requests, not routes. An endpoint finds its part of the path again by
//! counting slashes, which costs less than to carry it along as an extension.

use std::sync::Arc;

use dunlin_http::PathParams;
use http::Uri;
use percent_encoding::percent_decode_str;

use crate::config::Pattern;

/// Where `{*rest}` begins: after so many slashes. Without one there is no tail.
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

    /// What `{*rest}` matched, as it came, and the query with its question mark. Without `{*rest}` the query alone.
    pub(crate) fn of(self, uri: &Uri) -> &str {
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        let path = uri.path().len().min(target.len());
        let Some(slashes) = self.0 else { return &target[path..] };
        match target[..path].match_indices('/').nth(slashes - 1) {
            Some((at, _)) => &target[at + 1..],
            None => &target[path..],
        }
    }
}

// === impl Captures ===

impl Captures {
    pub(crate) fn new(pattern: &Pattern) -> Self {
        let segment = |segment: &str| match segment.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
            Some(name) => match name.strip_prefix('*') {
                Some(rest) => Segment::Rest(rest.into()),
                None => Segment::Name(name.into()),
            },
            None => Segment::Literal,
        };
        Self(pattern.as_str().split('/').skip(1).map(segment).collect())
    }

    /// What the parameters stand for in a path that the pattern matched, percent-decoded.
    pub(crate) fn of(&self, path: &str) -> PathParams {
        let mut params = PathParams::default();
        let mut left = path.strip_prefix('/').unwrap_or(path);
        for segment in &self.0 {
            let (own, rest) = left.split_once('/').unwrap_or((left, ""));
            match segment {
                Segment::Literal => {}
                Segment::Name(name) => params.push(name.clone(), decode(own)),
                Segment::Rest(name) => params.push(name.clone(), decode(left)),
            }
            left = rest;
        }
        params
    }
}

fn decode(raw: &str) -> String {
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn a_tail_is_what_comes_after_the_prefix() {
        #[track_caller]
        fn check(route: &str, target: &str, expect: &str) {
            let uri: Uri = target.parse().unwrap();
            assert_eq!(Tail::new(&pattern(route)).of(&uri), expect, "{route} {target}");
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
            let params = Captures::new(&pattern(route)).of(path);
            assert_eq!(params.iter().collect::<Vec<_>>(), expect, "{route} {path}");
        }
        check("/users/{id}", "/users/7", &[("id", "7")]);
        check("/users/{id}/x/{name}", "/users/J%C3%B6rg/x/a%2Fb", &[("id", "Jörg"), ("name", "a/b")]);
        check("/{a}/{*rest}", "/1/2/3", &[("a", "1"), ("rest", "2/3")]);
        check("/{*rest}", "/", &[("rest", "")]);
        check("/plain", "/plain", &[]);
    }
}
