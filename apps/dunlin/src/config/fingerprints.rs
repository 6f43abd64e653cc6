//! [`Fingerprints`]: the parts of a configuration that other parts depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::route::Route;
use crate::reader::{Fingerprint, Section};

/// The parts of a configuration that other parts depend on. A reload keeps what belongs to a part
/// that has not changed.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    pub(crate) database: Fingerprint,
    pub(crate) fetch: Fingerprint,
    pub(crate) cache: Fingerprint,
    pub(crate) compression: Fingerprint,
    pub(crate) upstreams: BTreeMap<String, Fingerprint>,
    pub(crate) auth: BTreeMap<String, Fingerprint>,
    /// The keys of `[server]`.
    pub(crate) server: BTreeMap<String, Fingerprint>,
    /// The keys of `[admin]`.
    pub(crate) admin: BTreeMap<String, Fingerprint>,
    pub(crate) has_admin: bool,
}

// === impl Fingerprints ===

impl Fingerprints {
    /// The fingerprints of a whole file. `url` is the database's, if the environment has it.
    pub(super) fn read(table: &Section<'_>, url: Option<&str>, dir: &Path) -> Self {
        let section = |key| Fingerprint::of_section(table.peek(key), dir);
        let values = |key| Fingerprint::of_values(table.peek(key));
        let environment = url.map(Fingerprint::of_text);
        Self {
            database: section("database").with([environment]),
            fetch: section("fetch"),
            cache: section("cache"),
            compression: section("compression"),
            upstreams: values("upstream"),
            auth: values("auth"),
            server: values("server"),
            admin: values("admin"),
            has_admin: table.has("admin"),
        }
    }

    /// The settings of the routes: their own tables, and what they depend on. `None` stands for a
    /// route without a table of its own.
    pub(crate) fn of_routes(&self, routes: &[Route]) -> Vec<Option<Fingerprint>> {
        routes.iter().map(|route| self.of_route(route)).collect()
    }

    fn of_route(&self, route: &Route) -> Option<Fingerprint> {
        let reaches_out = route.kind.forwards || route.kind.name == "fetch";
        let named = |prints: &BTreeMap<String, Fingerprint>, name: &str| prints.get(name).copied();
        let parts = [
            route.room.query().map(|_| self.database),
            Some(self.fetch).filter(|_| reaches_out),
            self.server.get("trusted_proxies").copied().filter(|_| reaches_out),
            route.room.upstream().and_then(|name| named(&self.upstreams, name)),
        ];
        let auth = route.admission.auth.iter().map(|name| named(&self.auth, name));
        let name = Some(Fingerprint::of_text(&route.name()));
        Some(route.fingerprint?.with([name].into_iter().chain(parts).chain(auth)))
    }

    /// The keys of a section whose values differ.
    pub(crate) fn changed<'k>(
        one: &'k BTreeMap<String, Fingerprint>,
        other: &'k BTreeMap<String, Fingerprint>,
    ) -> Vec<&'k str> {
        let keys: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
        keys.into_iter().filter(|key| one.get(*key) != other.get(*key)).collect()
    }
}
