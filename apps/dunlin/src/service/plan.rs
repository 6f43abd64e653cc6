//! [`Plan`]: from the configuration to the service of each event loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use dunlin_cache::{Cache, RoutePolicy};
use dunlin_compress::{CompressLayer, DecompressLayer};
use dunlin_fetch::Client;
use dunlin_http::{Clock, Context, Metric, SharedHandler};
use dunlin_live::Hub;
use dunlin_pg::{Access, Database, Declared, Pool};
use http::Method;
use tower_layer::Layer;

use super::boxed::Boxed;
use super::live::Live;
use super::optional::Optional;
use super::request_fields::EditRequest;
use super::{App, Cached, Layers, LoopState, RouteState};
use crate::admit::auth;
use crate::admit::{Admit, Reload};
use crate::config::{Config, Route};
use crate::failure::{Failure, is_coloured};
use crate::finish::{self, RouteFinish};
use crate::hosts::HostRouter;
use crate::log::AccessLog;
use crate::openapi::Interface;
use crate::reader::{Diagnostic, Pattern};
use crate::routes::{self, Captures, Clients, EventLoop, Prepared, Process, Query, Resource};
use crate::telemetry::{Label, Telemetry};

/// The parts that all event loops share, made once.
///
/// Parts with sockets are not here: each loop makes its own.
pub(crate) struct Plan {
    config: Config,
    cache: Cache,
    compress: CompressLayer,
    /// The prepared part of each route, in the order of the configuration.
    prepared: Vec<Box<dyn Prepared>>,
    /// The authenticators by the names of their tables.
    auth: HashMap<String, auth::Prepared>,
    /// The files that are read again when they change.
    reload: Reload,
    clients: Clients,
    telemetry: Arc<Telemetry>,
    /// The results that are watched.
    hub: Hub,
    interface: Interface,
    /// The groups that notices of the database invalidate; empty if there are no notices.
    groups: Vec<String>,
    /// `true` while notices may be lost.
    notices_lost: Arc<AtomicBool>,
    access: AccessLog,
}

// === impl Plan ===

impl Plan {
    /// # Errors
    /// A wrong setting of a route, with its place.
    pub(crate) fn new(config: Config) -> Result<Self, Failure> {
        let client = Client::new(config.fetch.clone()).context("[fetch]")?;
        let (hub, interface) = (Hub::new(dunlin_live::Config::default()), Interface::default());
        let process = Process {
            database: config.database.as_ref(),
            fetch: &config.fetch,
            trusted: &config.trusted_proxies,
            upstreams: &config.upstreams.iter().map(|upstream| (upstream.name(), upstream)).collect(),
            hub: &hub,
            api: &interface.api,
            client: &client,
        };
        let mut wrong = Vec::new();
        let mut prepared = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            match route.room.prepare(&process) {
                Ok(part) => prepared.push(part),
                Err(error) => wrong.push(Diagnostic::new(route.span.clone(), format!("{}: {error:#}", named(route)))),
            }
        }
        let (mut auth, reload) = (HashMap::new(), Reload::default());
        for one in &config.auth {
            match one.prepare(&config.fetch, &reload) {
                Ok(prepared) => drop(auth.insert(one.name.clone(), prepared)),
                Err(error) => wrong.push(Diagnostic::new(one.span.clone(), format!("{error:#}"))),
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::Config(config.explain(wrong, is_coloured())));
        }
        let cache = match &config.cache.redis {
            None => Cache::new(config.cache.config.clone()),
            Some(store) => Cache::with_store(config.cache.config.clone(), Clock::system(), store.clone()),
        };
        if has_live(&config) {
            let hub = hub.clone();
            cache.observe(move |invalidation| match invalidation.all {
                true => hub.invalidate_all(),
                false => hub.invalidate(&invalidation.groups),
            });
        }
        let groups = groups(&config);
        hub.set_lost(!groups.is_empty());
        let labels = config.routes.iter().map(|route| Label { path: route.name(), methods: route.methods.to_string() });
        interface.begin(&config);
        Ok(Self {
            prepared,
            interface,
            auth,
            reload,
            cache,
            hub,
            compress: CompressLayer::new(config.compression.clone())?,
            clients: Clients::default(),
            telemetry: Arc::new(Telemetry::new(labels)),
            groups,
            notices_lost: Arc::new(AtomicBool::new(true)),
            access: AccessLog::new(&config.log),
            config,
        })
    }

    /// The description of the queries for clients.
    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The results that are watched; `None` if no route has events.
    pub(crate) fn hub(&self) -> Option<&Hub> {
        has_live(&self.config).then_some(&self.hub)
    }

    /// The groups whose responses are stored until a notice of the database names them.
    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// `true` while notices of the database may be lost.
    pub(crate) fn notices_lost(&self) -> &Arc<AtomicBool> {
        &self.notices_lost
    }

    /// Notes whether notices of the database may be lost.
    pub(crate) fn set_notices_lost(&self, lost: bool) {
        self.hub.set_lost(lost);
        self.notices_lost.store(lost, Ordering::Release);
    }

    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Each `query` route with its query, as it is written and as it is declared.
    pub(crate) fn queries(&self) -> impl Iterator<Item = ((&Route, &Query), Arc<Declared>)> {
        self.config.routes.iter().zip(&self.prepared).filter_map(|(route, prepared)| {
            let declared = prepared.declared()?.clone();
            Some(((route, route.room.query()?), declared))
        })
    }

    /// Begins to look after files that are read again when they change.
    ///
    /// # Errors
    /// The thread for it cannot be started.
    pub(crate) fn watch_files(&self) -> Result<()> {
        Ok(self.reload.start()?)
    }

    /// Begins the health checks of upstreams, on the runtime that this is called on. They end with
    /// it.
    pub(crate) fn start_checks(&self) {
        for upstream in &self.config.upstreams {
            let checks = upstream.clone().run_checks(self.config.fetch.clone());
            let name = upstream.name().to_owned();
            tokio::spawn(async move {
                if let Err(error) = checks.await {
                    tracing::error!("upstream {name}: no health checks: {error}");
                }
            });
        }
    }

    /// The servers of all upstreams, each with the name of its upstream.
    pub(crate) fn servers(&self) -> Vec<(String, dunlin_fetch::ServerStatus)> {
        let upstreams = self.config.upstreams.iter();
        let named = |upstream: &Arc<dunlin_fetch::Upstream>| {
            let name = upstream.name().to_owned();
            upstream.status().into_iter().map(move |status| (name.clone(), status))
        };
        upstreams.flat_map(named).collect()
    }

    /// The figures of all parts.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = self.cache.stats().metrics();
        metrics.extend(self.compress.stats().metrics());
        metrics.extend(self.config.cache.redis.iter().flat_map(|store| store.stats().metrics()));
        metrics.extend(self.prepared.iter().flat_map(|prepared| prepared.metrics()));
        metrics.extend(self.config.database.iter().flat_map(|database| database.stats().metrics()));
        metrics.extend(self.hub().into_iter().flat_map(|hub| hub.stats().metrics()));
        metrics.extend(self.clients.metrics());
        metrics.extend(self.config.upstreams.iter().flat_map(|upstream| upstream.metrics()));
        for (name, auth) in &self.auth {
            metrics.extend(auth.metrics().into_iter().map(|metric| metric.label("auth", name.clone())));
        }
        for route in &self.config.routes {
            let limit = route.admission.limit().map(|limit| limit.limiter().stats().metrics());
            let label = |metric: Metric| metric.label("route", route.name()).label("method", route.methods.to_string());
            metrics.extend(limit.into_iter().flatten().map(label));
        }
        metrics
    }

    /// Makes the service of the loop that it is called on: the loop's pool and clients live there.
    pub(crate) fn build(&self) -> Result<(App, Option<Pool>)> {
        let client = self.clients.open(self.config.fetch.clone()).context("[fetch]")?;
        let pool = self.config.database.as_ref().map(Database::pool);
        let mut router = HostRouter::new();
        let resources = self.resources();
        let mut routes = Vec::with_capacity(self.prepared.len());
        for (index, (route, prepared)) in self.config.routes.iter().zip(&self.prepared).enumerate() {
            router.insert(&route.hosts, route.methods.as_slice(), route.path.as_str(), index)?;
            let event_loop = EventLoop {
                client: &client,
                clients: &self.clients,
                pool: pool.as_ref(),
                store: &self.cache,
                max_body: self.max_body(route),
                resource: self.resource(route, &resources),
            };
            let handler = prepared.build(&event_loop).with_context(|| named(route))?;
            let mut layers = self.layers(route, handler);
            if let Some(events) = prepared.events(&event_loop) {
                let live = Live { events: edited(route, events), layers };
                layers = Optional::Without(Optional::Without(Arc::new(live)));
            }
            routes.push(self.route(index, route, layers, &client));
        }
        let counters = self.telemetry.join();
        let request_id = self.config.request_id;
        let parts = finish::Parts { cors: None, path: &Pattern::unknown(), request_id, forwards: false };
        let finish = RouteFinish::new(&self.config.finish, &parts);
        let unmatched =
            RouteState::unmatched(self.access.is_on, finish, self.config.trusted_proxies.clone().into(), routes.len());
        let has_cors = self.config.routes.iter().any(|route| route.admission.cors.is_some());
        let routes = routes.into();
        let redirect = || super::https::HttpsRedirect::new(&self.config.server.listen);
        let https = self.config.redirects_to_https.then(redirect);
        let state =
            LoopState { router, routes, unmatched, counters, access: self.access.clone(), request_id, has_cors, https };
        Ok((App { state: Arc::new(state), identity: None }, pool))
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

    fn layers(&self, route: &Route, handler: SharedHandler<Context>) -> Layers {
        let handler = edited(route, handler);
        let handler: SharedHandler<Context> = match route.decode {
            false => handler,
            true => Arc::new(Boxed(DecompressLayer::new(self.max_body(route)).layer(handler))),
        };
        let cached: Cached = match &route.cache {
            routes::Cache::Stored(policy) => Optional::With(self.store(route, policy).layer(handler)),
            routes::Cache::Off | routes::Cache::Browser(_) => Optional::Without(handler),
        };
        let compression = &self.config.compression;
        match route.compress && !compression.prefer.is_empty() && route.room.is_compressible(compression) {
            true => Optional::With(self.compress.layer(cached)),
            false => Optional::Without(cached),
        }
    }

    fn store(&self, route: &Route, policy: &RoutePolicy) -> dunlin_cache::CacheLayer {
        let mut policy = policy.clone();
        if let Some(key) = route.room.query_key() {
            policy.query = key;
        }
        if self.groups.iter().any(|group| policy.groups.contains(group)) {
            policy.pause = Some(self.notices_lost.clone());
        }
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

/// Returns `true` if a route has events.
fn has_live(config: &Config) -> bool {
    config.routes.iter().any(|route| route.room.query().is_some_and(|query| !query.live().is_empty()))
}

/// Returns `true` if the cache, the handler or a condition of a route reads fields of requests.
fn reads_fields(route: &Route) -> bool {
    let is_cached = matches!(route.cache, routes::Cache::Stored(_));
    let in_query = route.room.query().is_some_and(Query::reads_fields);
    is_cached || route.kind.forwards || in_query || route.admission.reads_fields()
}

fn named(route: &Route) -> String {
    format!("the route {} {}", route.methods, route.name())
}

/// The groups of stored responses and of events that come from the database, if its notices are
/// followed.
fn groups(config: &Config) -> Vec<String> {
    if config.database.is_none() || config.cache.notify.is_empty() {
        return Vec::new();
    }
    let queries = config.routes.iter().filter(|route| route.room.query().is_some());
    let mut groups: Vec<String> = queries.flat_map(Route::groups).cloned().collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
