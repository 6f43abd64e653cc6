//! [`HostRouter`]: routes by host, path and method, in that order.

use std::collections::HashMap;

use dunlin_server::{Match, RouteError, Router};
use http::Method;

use super::name::{HostPattern, normalise};

/// Routes by host, path and method.
///
/// A host that is named exactly comes first, then the longest `*.` domain that it is below, then
/// the routes without a host. The first of them whose routes match the path decides.
pub(crate) struct HostRouter<T> {
    /// The routes for every host.
    any: Router<T>,
    /// The routes of hosts, if there are any.
    hosts: Option<Box<Hosts<T>>>,
    any_is_empty: bool,
}

struct Hosts<T> {
    exact: HashMap<String, Router<T>>,
    below: HashMap<String, Router<T>>,
}

// === impl HostRouter ===

impl<T: Clone> HostRouter<T> {
    pub(crate) fn new() -> Self {
        Self { any: Router::new(), hosts: None, any_is_empty: true }
    }

    /// Adds a route for `hosts`; for all if there are none.
    ///
    /// # Errors
    /// A path that clashes with one of the same host.
    pub(crate) fn insert(
        &mut self,
        hosts: &[HostPattern],
        methods: &[Method],
        path: &str,
        value: T,
    ) -> Result<(), RouteError> {
        if hosts.is_empty() {
            self.any_is_empty = false;
            return self.any.insert(methods, path, value);
        }
        let own = self.hosts.get_or_insert_with(|| Box::new(Hosts { exact: HashMap::new(), below: HashMap::new() }));
        for host in hosts {
            let router = match host {
                HostPattern::Exact(host) => own.exact.entry(host.clone()),
                HostPattern::Below(domain) => own.below.entry(domain.clone()),
            };
            router.or_insert_with(Router::new).insert(methods, path, value.clone())?;
        }
        Ok(())
    }
}

impl<T> HostRouter<T> {
    /// Returns `true` if a route is for some hosts only.
    pub(crate) const fn has_hosts(&self) -> bool {
        self.hosts.is_some()
    }

    /// The value of a request for `authority`, if [`find`](Self::find) finds one.
    #[inline]
    pub(crate) fn get<'a>(&self, authority: impl FnOnce() -> &'a str, method: &Method, path: &str) -> Option<&T> {
        match &self.hosts {
            None => self.any.get(method, path),
            Some(_) => match self.find(authority, method, path) {
                Match::Found { value, .. } => Some(value),
                _ => None,
            },
        }
    }

    /// The result of the look-up of a request for `authority`, without parameters.
    pub(crate) fn find<'a>(&self, authority: impl FnOnce() -> &'a str, method: &Method, path: &str) -> Match<'_, T> {
        match &self.hosts {
            None => self.any.find(method, path),
            Some(hosts) => {
                hosts.find(&normalise(authority()), method, path).unwrap_or_else(|| self.any.find(method, path))
            }
        }
    }

    /// Returns `true` if no route is for this host, whatever the path.
    pub(crate) fn is_unknown(&self, authority: &str) -> bool {
        let host = normalise(authority);
        self.any_is_empty && self.hosts.as_ref().is_some_and(|hosts| hosts.of(&host).next().is_none())
    }

    /// Returns `true` if `authority` is a host of some routes.
    pub(crate) fn names(&self, authority: &str) -> bool {
        let host = normalise(authority);
        self.hosts.as_ref().is_some_and(|hosts| hosts.of(&host).next().is_some())
    }

    /// Returns `true` if the method is known, by RFC 9110 §9.1, or named by a route.
    pub(crate) fn knows(&self, method: &Method) -> bool {
        let mut routers = self.hosts.iter().flat_map(|hosts| hosts.exact.values().chain(hosts.below.values()));
        self.any.knows(method) || routers.any(|router| router.knows(method))
    }
}

// === impl Hosts ===

impl<T> Hosts<T> {
    fn find<'s>(&'s self, host: &str, method: &Method, path: &str) -> Option<Match<'s, T>> {
        self.of(host).map(|router| router.find(method, path)).find(|found| !matches!(found, Match::NotFound))
    }

    /// The routers of a host, the most specific one first.
    fn of<'s, 'h>(&'s self, host: &'h str) -> impl Iterator<Item = &'s Router<T>> + use<'s, 'h, T> {
        let domains = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
        self.exact.get(host).into_iter().chain(domains.filter_map(|domain| self.below.get(domain)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_host_with_the_path_answers() {
        let mut router = HostRouter::new();
        let hosts = |names: &[&str]| -> Vec<HostPattern> {
            names
                .iter()
                .map(|name| match name.strip_prefix("*.") {
                    Some(domain) => HostPattern::Below(domain.to_owned()),
                    None => HostPattern::Exact((*name).to_owned()),
                })
                .collect()
        };
        let get = [Method::GET];
        router.insert(&hosts(&["api.example.com"]), &get, "/v1/{*rest}", "api").unwrap();
        router.insert(&hosts(&["example.com", "*.example.com"]), &get, "/{*rest}", "site").unwrap();
        router.insert(&hosts(&["*.b.example.com"]), &get, "/b", "b").unwrap();
        let check = |router: &HostRouter<&'static str>, host: &str, path: &str, expect: Option<&str>| {
            let found = router.find(|| host, &Method::GET, path);
            let found = if let Match::Found { value, .. } = found { Some(*value) } else { None };
            assert_eq!(found, expect, "{host} {path}");
        };
        check(&router, "api.example.com", "/v1/x", Some("api"));
        check(&router, "API.example.com:443", "/v1/x", Some("api"));
        check(&router, "api.example.com", "/x", Some("site"));
        check(&router, "example.com", "/v1/x", Some("site"));
        check(&router, "a.b.example.com", "/b", Some("b"));
        check(&router, "a.b.example.com", "/c", Some("site"));
        check(&router, "example.org", "/", None);
        check(&router, "notexample.com", "/", None);
        assert!(router.is_unknown("example.org") && !router.is_unknown("x.example.com"));
        router.insert(&[], &get, "/{*rest}", "any").unwrap();
        check(&router, "example.org", "/", Some("any"));
        check(&router, "", "/", Some("any"));
        check(&router, "example.com", "/", Some("site"));
        assert!(!router.is_unknown("example.org"));
        assert!(matches!(router.find(|| "example.com", &Method::POST, "/"), Match::MethodNotAllowed { .. }));
    }
}
