//! Routes that clash, and redirects that lead back to themselves.

use std::collections::HashMap;

use dunlin_server::Match;
use http::Method;

use super::route::Route;
use crate::hosts::{HostPattern, HostRouter};
use crate::reader::{Diagnostic, Document};
use crate::routes::Target;

/// The most redirects of a chain that are followed. Browsers give up after 20.
const FOLLOWED: usize = 64;

/// Routes by host and by the shape of their paths, so that a clash is found without a comparison
/// with every route.
#[derive(Default)]
pub(super) struct Alike<'r> {
    routes: HashMap<(Option<&'r HostPattern>, String), Vec<usize>>,
    /// The number of comparisons of methods.
    pub(super) compared: usize,
}

impl<'r> Alike<'r> {
    /// Adds a route. Returns the first of the earlier ones that a request may be for, too.
    pub(super) fn add(&mut self, routes: &'r [Route], index: usize) -> Option<&'r Route> {
        let route = &routes[index];
        let any = route.hosts.is_empty().then_some(None);
        let mut first: Option<usize> = None;
        for host in any.into_iter().chain(route.hosts.iter().map(Some)) {
            let alike = self.routes.entry((host, route.path.shape())).or_default();
            let clash = alike.iter().copied().find(|earlier| {
                self.compared += 1;
                routes[*earlier].methods.meet(&route.methods)
            });
            first = first.into_iter().chain(clash).min();
            if alike.last() != Some(&index) {
                alike.push(index);
            }
        }
        first.filter(|earlier| *earlier < index).map(|earlier| &routes[earlier])
    }
}

/// Reports routes that clash: the same path, apart from names, and a method in common.
///
/// The router that will serve them has the last word.
pub(super) fn check(routes: &[Route], has_tls: bool, document: &Document<'_>) {
    let mut router = HostRouter::new();
    let mut alike = Alike::default();
    for (index, route) in routes.iter().enumerate() {
        if let Some(earlier) = alike.add(routes, index) {
            let place = document.source.place(earlier.span.start);
            let what = format!("{} {} clashes with the route on line {}", route.methods, route.name(), place.line);
            document.errors.push(
                Diagnostic::new(route.span.clone(), what)
                    .expected("another path, another method or another host")
                    .other(earlier.span.clone(), "the other is here"),
            );
        } else if let Err(error) = router.insert(&route.hosts, route.methods.as_slice(), route.path.as_str(), index) {
            document.errors.push(Diagnostic::new(route.span.clone(), error.to_string()));
        }
    }
    check_redirects(&Redirects { routes, router: &router, has_tls }, document);
}

/// The routes that a redirect may lead to.
struct Redirects<'r> {
    routes: &'r [Route],
    router: &'r HostRouter<usize>,
    /// `true` if this service answers for `https` URLs.
    has_tls: bool,
}

/// Reports redirects that lead back to themselves.
fn check_redirects(redirects: &Redirects<'_>, document: &Document<'_>) {
    for route in redirects.routes {
        let Some(redirect) = route.room.redirect() else { continue };
        let method = route.methods.as_slice().first().unwrap_or(&Method::GET);
        let host = route.hosts.first().map(HostPattern::sample).unwrap_or_default();
        let starts = ["sample", ""].map(|rest| redirect.sample(rest));
        let Some(start) = starts.into_iter().find(|start| redirects.leads_back(&host, start, method)) else { continue };
        let next = redirect.follow(&start).map(|target| target.to_string()).unwrap_or_default();
        let what = format!("this redirect never ends: {host}{start} leads to {next}, and so on to a redirect again");
        document
            .errors
            .push(Diagnostic::new(redirect.span.clone(), what).expected("a target that another route answers"));
    }
}

impl Redirects<'_> {
    /// Returns `true` if a client that starts there is redirected for ever.
    fn leads_back(&self, host: &str, path: &str, method: &Method) -> bool {
        let (mut host, mut path) = (host.to_owned(), path.to_owned());
        // A chain that has an end passes each redirect at most a few times.
        for _ in 0..=FOLLOWED.min(2 * self.routes.len()) {
            let Match::Found { value, .. } = self.router.find(|| &host, method, &path) else { return false };
            let next = self.routes.get(*value).and_then(|route| route.room.redirect()?.follow(&path));
            let Some(next) = next.filter(|next| self.is_here(next)) else { return false };
            host = next.host.unwrap_or(host);
            path = next.path;
        }
        true
    }

    /// Returns `true` if a target is answered by this service, as far as the file tells.
    fn is_here(&self, target: &Target) -> bool {
        match &target.host {
            None => true,
            Some(host) => self.router.names(host) && (self.has_tls || !target.is_https),
        }
    }
}
