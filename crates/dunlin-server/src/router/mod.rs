//! [`Router`]: values by method and path.

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

/// Values, such as handlers, by method and path.
///
/// A pattern consists of literal segments, `{name}` for one segment, and `{*rest}` at the end for
/// everything that follows, nothing included. Where several patterns match, the first segment in
/// which they differ decides: a literal wins over `{name}`, and `{name}` over `{*rest}`, in any
/// order of insertion.
///
/// The path alone selects the pattern. A method that the selected pattern does not have is a 405,
/// even if another pattern that matches has it. Paths are matched as they were sent; parameters are
/// percent-decoded. Two routes may share a path if their methods differ.
///
/// ```
/// use dunlin_server::{Match, Router};
/// use http::Method;
///
/// let mut router = Router::new();
/// router.insert(&[Method::GET], "/users/{id}", "one user").unwrap();
/// router.insert(&[], "/static/{*path}", "files").unwrap();
///
/// let found = router.at(&Method::HEAD, "/users/J%C3%B6rg");
/// let Match::Found { value, params } = found else { panic!() };
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
    /// The index of the route of each method, in the order of insertion.
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

/// The result of looking up a request in a [`Router`].
#[derive(Clone, Debug, PartialEq)]
pub enum Match<'a, T> {
    /// There is a value.
    Found {
        /// The inserted value. For HEAD it is that of GET, if nothing was inserted for HEAD.
        value: &'a T,
        /// The values of the pattern's parameters.
        params: PathParams,
    },
    /// The path is known, and the method is OPTIONS (RFC 9110 §9.3.7). The response is 204 with
    /// `Allow`.
    Options {
        /// The value of `Allow`.
        allow: &'a HeaderValue,
    },
    /// The path is known, and it does not have the method. The response is 405 with `Allow` (RFC
    /// 9110 §15.5.6).
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'a HeaderValue,
    },
    /// The path is known, and the method is not. The response is 501 (RFC 9110 §9.1).
    NotImplemented,
    /// The path is unknown. The response is 404, or 501 if the method is [unknown](Router::knows)
    /// too.
    NotFound,
}

// === impl Router ===

impl<T> Router<T> {
    /// An empty router.
    #[must_use]
    pub fn new() -> Self {
        Self { tree: Tree::default(), resources: Vec::new(), routes: Vec::new() }
    }

    /// Inserts `value` for `methods` on `pattern`. An empty list stands for every method except
    /// TRACE and CONNECT, including methods of no standard.
    ///
    /// # Errors
    /// Returns an error if the pattern is malformed, or clashes with another route. The error names
    /// both.
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

    /// Looks up `method` on `path`. The path is as it was sent, without the query.
    #[must_use]
    pub fn at(&self, method: &Method, path: &str) -> Match<'_, T> {
        let (route, found) = match self.locate(method, path) {
            Ok(located) => located,
            Err(mismatch) => return mismatch,
        };
        let mut params = PathParams::default();
        let mut values = found.iter();
        for name in &route.names {
            // The tree has no parameter for an empty rest.
            let raw = values.next().map_or("", |(_, value)| value);
            params.push(name.clone(), percent_decode_str(raw).decode_utf8_lossy().into_owned());
        }
        Match::Found { value: &route.value, params }
    }

    /// Looks up like [`at`](Self::at), without parameters. It allocates nothing.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Match<'_, T> {
        match self.locate(method, path) {
            Ok((route, _)) => Match::Found { value: &route.value, params: PathParams::default() },
            Err(mismatch) => mismatch,
        }
    }

    /// The value of a request. `None` if [`find`](Self::find) has another result than a value.
    ///
    /// This is the fastest look-up.
    #[must_use]
    #[inline]
    pub fn get(&self, method: &Method, path: &str) -> Option<&T> {
        let resource = &self.resources[self.tree.find(path)?];
        resource.get(method).and_then(|index| self.routes.get(index)).map(|route| &route.value)
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

    /// Every route in the order of insertion: its pattern, its methods (an empty list stands for
    /// all) and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Method], &T)> {
        self.routes.iter().map(|route| (route.pattern.as_str(), &*route.methods, &route.value))
    }

    /// Returns `true` if the method is one of RFC 9110 and RFC 5789, or of a route. RFC 9110 §9.1:
    /// 405 and 404 are for methods that the server knows, 501 is for others, on any path.
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
        // RFC 9110 §9.3.2: HEAD is GET without the content. The server leaves the content out.
        let head = || if *method == Method::HEAD { named(&Method::GET) } else { None };
        named(method).or_else(head).or_else(any)
    }

    /// Returns the first of `methods` that has a route, and that route.
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
