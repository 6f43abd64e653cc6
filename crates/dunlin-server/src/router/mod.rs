//! [`Router`]: which handler answers a method and a path.

mod pattern;
mod respond;
mod routes;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use dunlin_http::PathParams;
use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;

use pattern::Pattern;
pub use pattern::RouteError;
pub use respond::{Json, Respond, json};
pub use routes::{RouteService, Routes};
use tree::Tree;

/// Which value, a handler or whatever is wanted, answers a method and a path.
///
/// A pattern is made of literal segments, `{name}` for one segment, and `{*rest}` at the end for
/// everything that follows, nothing included. Where several patterns match, the first segment in
/// which they differ decides: a literal wins over `{name}`, and that over `{*rest}`, whatever the
/// order of insertion. The path alone decides; a method that the winner does not take is a 405,
/// though another pattern would take it. Matching is of the path as it was sent; parameters are
/// percent-decoded. Two routes may share a path when their methods differ.
///
/// ```
/// use dunlin_server::{Match, Router};
/// use http::Method;
///
/// let mut router = Router::new();
/// router.insert(&[Method::GET], "/users/{id}", "one user").unwrap();
/// router.insert(&[], "/static/{*path}", "files").unwrap();
///
/// let Match::Found { value, params } = router.at(&Method::HEAD, "/users/J%C3%B6rg") else { panic!() };
/// assert_eq!((*value, params.get("id")), ("one user", Some("Jörg")));
///
/// let Match::MethodNotAllowed { allow } = router.at(&Method::POST, "/users/1") else { panic!() };
/// assert_eq!(allow, "GET, HEAD, OPTIONS");
///
/// let clash = router.insert(&[Method::GET], "/users/{name}", "another").unwrap_err();
/// assert_eq!(clash.to_string(), "GET /users/{name} clashes with GET /users/{id}");
/// ```
#[derive(Clone, Debug)]
pub struct Router<T> {
    tree: Tree,
    resources: Vec<Resource>,
    routes: Vec<Route<T>>,
}

/// Routes whose patterns match the same paths.
#[derive(Clone, Debug)]
struct Resource {
    /// Indices of routes, in the order in which they came.
    methods: Vec<(Method, usize)>,
    any: Option<usize>,
    allow: HeaderValue,
}

#[derive(Clone, Debug)]
struct Route<T> {
    methods: Vec<Method>,
    pattern: Pattern,
    names: Vec<Arc<str>>,
    value: T,
}

/// What a [`Router`] says of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Match<'a, T> {
    /// This answers it.
    Found {
        /// What was inserted; for HEAD what answers GET, if nothing was inserted for HEAD.
        value: &'a T,
        /// What the pattern's parameters stand for.
        params: PathParams,
    },
    /// The path is known, and OPTIONS asks what it takes (RFC 9110 §9.3.7): answer 204 with
    /// `Allow`.
    Options {
        /// The value of `Allow`.
        allow: &'a HeaderValue,
    },
    /// The path is known, and this method is not for it: answer 405 with `Allow` (RFC 9110
    /// §15.5.6).
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'a HeaderValue,
    },
    /// The path is known, and the method is to nobody: answer 501 (RFC 9110 §9.1).
    NotImplemented,
    /// Nothing answers this path: 404, or 501 where nobody [knows](Router::knows) the method.
    NotFound,
}

// === impl Router ===

impl<T> Router<T> {
    /// A router that knows no path.
    #[must_use]
    pub fn new() -> Self {
        Self { tree: Tree::default(), resources: Vec::new(), routes: Vec::new() }
    }

    /// Has `value` answer `methods` on `pattern`; no method stands for every one but TRACE and
    /// CONNECT, those included that no standard knows.
    ///
    /// # Errors
    /// A malformed pattern, or a clash with another route: it tells both.
    pub fn insert(&mut self, methods: &[Method], pattern: &str, value: T) -> Result<(), RouteError> {
        let pattern = Pattern::parse(pattern)?;
        let index = match self.tree.position(&pattern) {
            Some(index) => index,
            None => {
                self.tree.insert(pattern.clone())?;
                self.resources.push(Resource::default());
                self.resources.len() - 1
            }
        };
        let resource = &mut self.resources[index];
        if let Some((method, other)) = resource.taken(methods) {
            return Err(RouteError::clash(method, pattern.as_str(), self.routes[other].pattern.as_str()));
        }
        let route = self.routes.len();
        match methods {
            [] => resource.any = Some(route),
            _ => resource.methods.extend(methods.iter().map(|method| (method.clone(), route))),
        }
        resource.allow = resource.allow();
        let names = pattern.names().map(Into::into).collect();
        self.routes.push(Route { methods: methods.to_vec(), pattern, names, value });
        Ok(())
    }

    /// What answers `method` on `path`, which is as it was sent, without the query.
    #[must_use]
    pub fn at(&self, method: &Method, path: &str) -> Match<'_, T> {
        let (route, found) = match self.locate(method, path) {
            Ok(located) => located,
            Err(missed) => return missed,
        };
        let mut params = PathParams::default();
        let mut values = found.iter();
        for name in &route.names {
            // The empty rest has no parameter in the tree.
            let raw = values.next().map_or("", |(_, value)| value);
            params.push(name.clone(), percent_decode_str(raw).decode_utf8_lossy().into_owned());
        }
        Match::Found { value: &route.value, params }
    }

    /// As [`at`](Self::at), but no parameters are read: for whoever needs none, or takes them from
    /// the path itself. It allocates nothing.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Match<'_, T> {
        match self.locate(method, path) {
            Ok((route, _)) => Match::Found { value: &route.value, params: PathParams::default() },
            Err(missed) => missed,
        }
    }

    fn locate<'p>(&self, method: &Method, path: &'p str) -> Result<(&Route<T>, matchit::Params<'_, 'p>), Match<'_, T>> {
        let Some((index, params)) = self.tree.at(path) else { return Err(Match::NotFound) };
        let resource = &self.resources[index];
        match resource.get(method).and_then(|index| self.routes.get(index)) {
            Some(route) => Ok((route, params)),
            None => Err(match *method {
                Method::OPTIONS => Match::Options { allow: &resource.allow },
                _ if self.knows(method) => Match::MethodNotAllowed { allow: &resource.allow },
                _ => Match::NotImplemented,
            }),
        }
    }

    /// Every route in the order of insertion: its pattern, its methods (none stands for all), its
    /// value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Method], &T)> {
        self.routes.iter().map(|route| (route.pattern.as_str(), &*route.methods, &route.value))
    }

    /// Whether the method is one of RFC 9110 and RFC 5789, or a route names it. RFC 9110 §9.1: 405
    /// and 404 are for methods that the server knows, 501 is for those it does not, whatever the
    /// path.
    #[must_use]
    pub fn knows(&self, method: &Method) -> bool {
        const STANDARD: [Method; 9] = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
            Method::CONNECT,
            Method::OPTIONS,
            Method::TRACE,
            Method::PATCH,
        ];
        STANDARD.contains(method) || self.routes.iter().any(|route| route.methods.contains(method))
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Resource ===

impl Default for Resource {
    fn default() -> Self {
        Self { methods: Vec::new(), any: None, allow: HeaderValue::from_static("") }
    }
}

impl Resource {
    fn get(&self, method: &Method) -> Option<usize> {
        let named = |wanted: &Method| self.methods.iter().find(|(known, _)| known == wanted).map(|(_, route)| *route);
        let any = || self.any.filter(|_| *method != Method::TRACE && *method != Method::CONNECT);
        // RFC 9110 §9.3.2: HEAD is GET without the content, which the server leaves out.
        let head = || if *method == Method::HEAD { named(&Method::GET) } else { None };
        named(method).or_else(head).or_else(any)
    }

    /// The method, and the route that answers it already.
    fn taken<'m>(&self, methods: &'m [Method]) -> Option<(Option<&'m Method>, usize)> {
        if methods.is_empty() {
            return self.any.map(|other| (None, other));
        }
        methods.iter().find_map(|wanted| {
            let other = self.methods.iter().find(|(known, _)| known == wanted)?;
            Some((Some(wanted), other.1))
        })
    }

    fn allow(&self) -> HeaderValue {
        let mut names: Vec<&str> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if self.any.is_some() {
            names.extend(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
        }
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.push("OPTIONS");
        let mut seen = Vec::new();
        for name in names {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        HeaderValue::try_from(seen.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}
