//! [`Plan::build`]: from the plan to the parts of one event loop.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dunlin_cache::RoutePolicy;
use dunlin_compress::DecompressLayer;
use dunlin_fetch::Client;
use dunlin_http::{Context, SharedHandler};
use dunlin_pg::{Access, Database, Pool};
use http::Method;
use tower_layer::Layer;

use super::boxed::Boxed;
use super::live::Live;
use super::optional::Optional;
use super::plan::{Plan, named};
use super::request_fields::EditRequest;
use super::scopes::scope;
use super::{Cached, Layers, LoopState, RouteState};
use crate::admit::Admit;
use crate::config::Route;
use crate::finish::{self, RouteFinish};
use crate::hosts::HostRouter;
use crate::reader::{Fingerprint, Pattern};
use crate::routes::{self, Captures, EventLoop, Query, Resource};

/// The connections of one event loop, which a reload keeps as far as their settings stay the same.
pub(crate) struct Connections {
    client: Client,
    /// The settings that the client was made with.
    fetch: Fingerprint,
    pub(crate) pool: Option<Pool>,
    /// The settings that the pool was made with.
    database: Fingerprint,
}

// === impl Plan ===

impl Plan {
    /// The connections of the loop on whose runtime this is called. `before` are those that it has.
    pub(super) fn connect(&self, before: Option<&Connections>) -> Result<Connections> {
        let (config, prints) = (self.config(), &self.config().fingerprints);
        let client = match before.filter(|before| before.fetch == prints.fetch) {
            Some(before) => self.clients.add(before.client.clone()),
            None => self.clients.open(config.fetch.clone()).context("[fetch]")?,
        };
        let kept = before.filter(|before| before.database == prints.database && config.database.is_some());
        let pool = match kept.and_then(|before| before.pool.clone()) {
            None => config.database.as_ref().map(Database::pool),
            kept => kept,
        };
        Ok(Connections { client, fetch: prints.fetch, pool, database: prints.database })
    }

    /// Makes the parts of a loop, on whose runtime it is called.
    pub(super) fn build(&self, index: usize, connections: &Connections) -> Result<LoopState> {
        let Connections { client, pool, .. } = connections;
        let counters = self.telemetry.counters(index, &self.labels);
        let mut router = HostRouter::new();
        let resources = self.resources();
        let mut routes = Vec::with_capacity(self.prepared.len());
        for (number, (route, prepared)) in self.config.routes.iter().zip(&self.prepared).enumerate() {
            router.insert(&route.hosts, route.methods.as_slice(), route.path.as_str(), number)?;
            let event_loop = EventLoop {
                client,
                clients: &self.clients,
                pool: pool.as_ref(),
                store: &self.cache,
                max_body: self.max_body(route),
                resource: self.resource(route, &resources),
            };
            let handler = prepared.build(&event_loop).with_context(|| named(route))?;
            let mut layers = self.layers(number, route, handler);
            if let Some(events) = prepared.events(&event_loop) {
                let live = Live { events: edited(route, events), layers };
                layers = Optional::Without(Optional::Without(Arc::new(live)));
            }
            routes.push(self.route(number, route, layers, client));
        }
        let request_id = self.config.request_id;
        let parts = finish::Parts { cors: None, path: &Pattern::unknown(), request_id, forwards: false };
        let finish = RouteFinish::new(&self.config.finish, &parts);
        let unmatched =
            RouteState::unmatched(self.access.is_on, finish, self.config.trusted_proxies.clone().into(), routes.len());
        let has_cors = self.config.routes.iter().any(|route| route.admission.cors.is_some());
        let routes = routes.into();
        let redirect = || super::https::HttpsRedirect::new(&self.config.server.listen);
        let https = self.config.redirects_to_https.then(redirect);
        let certificates = self.config.acme.as_ref().map(|_| self.certificates.clone());
        let access = self.access.clone();
        let scopes = self.scopes.clone();
        Ok(LoopState {
            router,
            routes,
            unmatched,
            counters,
            access,
            request_id,
            has_cors,
            certificates,
            https,
            _scopes: scopes,
        })
    }

    fn route(&self, index: usize, route: &Route, layers: Layers, client: &Client) -> RouteState {
        let parts = finish::Parts {
            cors: route.admission.cors.as_ref(),
            path: &route.path,
            request_id: self.config.request_id,
            forwards: route.kind.forwards,
        };
        RouteState {
            path: route.name(),
            log: self.access.is_on && route.log,
            admit: self.admit(route, client),
            layers: Some(layers),
            finish: RouteFinish::new(&route.finish, &parts),
            forwards: route.kind.forwards,
            is_cached: matches!(route.cache, routes::Cache::Stored(_)),
            reads_fields: reads_fields(route),
            trusted: [&self.config.trusted_proxies, route.room.trusted()].concat().into(),
            counters: index,
        }
    }

    /// The facts about the other routes of the same resource that a query needs.
    fn resource<'p>(&'p self, route: &Route, resources: &HashMap<String, Resource<'p>>) -> Resource<'p> {
        let Some(query) = route.room.query() else { return Resource::default() };
        let resource = resources.get(&route.name()).copied().unwrap_or_default();
        let writes = query.declaration.access == Access::Write;
        Resource { representation: resource.representation.filter(|_| writes), ..resource }
    }

    /// The facts about the resources that queries answer for, by the names of their routes, which
    /// have the hosts and the path.
    fn resources(&self) -> HashMap<String, Resource<'_>> {
        let mut resources: HashMap<String, Resource<'_>> = HashMap::new();
        for (route, prepared) in self.config.routes.iter().zip(&self.prepared) {
            let (is_representation, accepts_query) = (route.is_representation(), route.takes(&Method::QUERY));
            if is_representation || accepts_query {
                let resource = resources.entry(route.name()).or_default();
                resource.accepts_query |= accepts_query;
                let declared = prepared.declared().filter(|_| is_representation);
                resource.representation = resource.representation.or(declared);
            }
        }
        resources
    }

    fn admit(&self, route: &Route, client: &Client) -> Option<Admit> {
        // The server enforces the largest limit of all routes.
        let max_body = Some(self.max_body(route)).filter(|limit| *limit < self.config.server.max_body);
        let names = route.admission.auth.iter().filter_map(|name| self.auth.get(name));
        route.admission.build(max_body, names.map(|auth| auth.build(client)).collect())
    }

    fn layers(&self, number: usize, route: &Route, handler: SharedHandler<Context>) -> Layers {
        let handler = edited(route, handler);
        let handler: SharedHandler<Context> = match route.decode {
            false => handler,
            true => Arc::new(Boxed(DecompressLayer::new(self.max_body(route)).layer(handler))),
        };
        let cached: Cached = match &route.cache {
            routes::Cache::Stored(policy) => Optional::With(self.store(number, route, policy).layer(handler)),
            routes::Cache::Off | routes::Cache::Browser(_) => Optional::Without(handler),
        };
        let compression = &self.config.compression;
        match route.compress && !compression.prefer.is_empty() && route.room.is_compressible(compression) {
            true => Optional::With(self.compress.layer(cached)),
            false => Optional::Without(cached),
        }
    }

    fn store(&self, number: usize, route: &Route, policy: &RoutePolicy) -> dunlin_cache::CacheLayer {
        let mut policy = policy.clone();
        if let Some(key) = route.room.query_key() {
            policy.query = key;
        }
        if self.groups.iter().any(|group| policy.groups.contains(group)) {
            policy.pause = Some(self.notices_lost.clone());
        }
        policy.scope = self.settings.get(number).copied().flatten().map(|settings| scope(settings).into());
        self.cache.layer(policy)
    }

    /// The limit of a route's request bodies.
    fn max_body(&self, route: &Route) -> u64 {
        route.max_body.unwrap_or(self.config.max_body)
    }
}

/// The handler with the edits of a route's requests in front of it.
fn edited(route: &Route, handler: SharedHandler<Context>) -> SharedHandler<Context> {
    let fields = &route.admission.request_fields;
    match fields.is_empty() {
        true => handler,
        false => Arc::new(EditRequest::new(fields.clone(), Captures::new(&route.path), handler)),
    }
}

/// Returns `true` if the cache, the handler or a condition of a route reads fields of requests.
fn reads_fields(route: &Route) -> bool {
    let is_cached = matches!(route.cache, routes::Cache::Stored(_));
    let in_query = route.room.query().is_some_and(Query::reads_fields);
    is_cached || route.kind.forwards || in_query || route.admission.reads_fields()
}
