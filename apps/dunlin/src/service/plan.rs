//! [`Plan`]: from the configuration to the parts that all event loops share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use dunlin_cache::Cache;
use dunlin_compress::CompressLayer;
use dunlin_fetch::Client;
use dunlin_http::{Clock, Metric};
use dunlin_live::Hub;
use dunlin_pg::Declared;

use super::scopes::Scopes;
use crate::admit::{WatchedFiles, auth};
use crate::certificates::Certificates;
use crate::config::{Config, Route};
use crate::failure::{Failure, is_coloured};
use crate::log::AccessLog;
use crate::openapi::Interface;
use crate::reader::{Diagnostic, Fingerprint};
use crate::routes::{Clients, Prepared, Process, Query};
use crate::telemetry::{Label, Labels, Telemetry};

/// The parts of a configuration that all event loops share. A reload makes a new plan, which takes
/// over what stays the same.
///
/// Parts with sockets are not here: each loop has its own.
pub(crate) struct Plan {
    pub(super) config: Config,
    pub(super) cache: Cache,
    pub(super) compress: CompressLayer,
    /// The settings of each route, in the order of the configuration.
    pub(super) settings: Vec<Option<Fingerprint>>,
    /// The prepared part of each route, in the same order.
    pub(super) prepared: Vec<Arc<dyn Prepared>>,
    /// The authenticators by the names of their tables.
    pub(super) auth: HashMap<String, Arc<auth::Prepared>>,
    /// The files that are read again when they change.
    files: WatchedFiles,
    pub(super) clients: Clients,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) labels: Labels,
    /// The results that are watched.
    hub: Hub,
    interface: Interface,
    /// The groups that notices of the database invalidate; empty if there are no notices.
    pub(super) groups: Vec<String>,
    /// `true` while notices may be lost.
    pub(super) notices_lost: Arc<AtomicBool>,
    pub(super) access: AccessLog,
    pub(super) certificates: Certificates,
    pub(super) scopes: Arc<Scopes>,
}

// === impl Plan ===

impl Plan {
    /// Makes the plan of a configuration. It takes over what `before` has and what stays the same.
    ///
    /// # Errors
    /// A wrong setting of a route, with its place.
    pub(crate) fn new(mut config: Config, before: Option<&Self>) -> Result<Self, Failure> {
        if let Some(before) = before {
            take_over(&mut config, &before.config);
        }
        let certificates = match before {
            Some(before) => before.certificates.clone(),
            None => config.server.tls.as_ref().into(),
        };
        certificates.join(config.server.tls.as_mut());
        let client = Client::new(config.fetch.clone()).context("[fetch]")?;
        let hub = before.map_or_else(|| Hub::new(dunlin_live::Config::default()), |before| before.hub.clone());
        let files = before.map(|before| before.files.clone()).unwrap_or_default();
        let interface = Interface::default();
        let settings = config.fingerprints.of_routes(&config.routes);
        let mut wrong = Vec::new();
        let prepared = {
            let process = Process {
                database: config.database.as_ref(),
                fetch: &config.fetch,
                trusted: &config.trusted_proxies,
                upstreams: &config.upstreams.iter().map(|upstream| (upstream.name(), upstream)).collect(),
                hub: &hub,
                api: &interface.api,
                client: &client,
            };
            prepare(&config, &settings, &process, before, &mut wrong)
        };
        if let Some(before) = before {
            keep_counts(&mut config.routes, &settings, before);
        }
        let mut auth = HashMap::new();
        for one in &config.auth {
            match before.and_then(|before| before.kept_auth(one, &config)) {
                Some(kept) => drop(auth.insert(one.name.clone(), kept)),
                None => match one.prepare(&config.fetch, &files) {
                    Ok(prepared) => drop(auth.insert(one.name.clone(), Arc::new(prepared))),
                    Err(error) => wrong.push(Diagnostic::new(one.span.clone(), format!("{error:#}"))),
                },
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::Config(config.explain(wrong, is_coloured())));
        }
        let prints = &config.fingerprints;
        let kept = before.filter(|before| before.config.fingerprints.cache == prints.cache);
        let cache = kept.map_or_else(|| cache(&config, &hub), |before| before.cache.clone());
        let kept = before.filter(|before| before.config.fingerprints.compression == prints.compression);
        let compress = match kept {
            Some(before) => before.compress.clone(),
            None => CompressLayer::new(config.compression.clone())?,
        };
        let labels = config.routes.iter().map(|route| Label { path: route.name(), methods: route.methods.to_string() });
        if config.openapi.is_some() {
            interface.begin(&config);
        }
        let plan = Self {
            scopes: Arc::new(Scopes::new(&cache, &settings)),
            compress,
            settings,
            prepared,
            interface,
            auth,
            files,
            cache,
            clients: Clients::default(),
            telemetry: before.map_or_else(|| Arc::new(Telemetry::new()), |before| before.telemetry.clone()),
            labels: Labels::new(labels),
            groups: groups(&config),
            notices_lost: before.map_or_else(Arc::default, |before| before.notices_lost.clone()),
            access: AccessLog::new(&config.log),
            hub,
            certificates,
            config,
        };
        if before.is_none() {
            plan.set_notices_lost(!plan.groups.is_empty());
        }
        Ok(plan)
    }

    /// The authenticator of the same name, if it can stay as it is.
    fn kept_auth(&self, auth: &auth::Auth, config: &Config) -> Option<Arc<auth::Prepared>> {
        let (own, other) = (&self.config.fingerprints, &config.fingerprints);
        let is_same = own.fetch == other.fetch && own.auth.get(&auth.name) == other.auth.get(&auth.name);
        self.auth.get(&auth.name).filter(|_| is_same && auth.is_kept()).cloned()
    }

    /// The description of the queries for clients.
    pub(crate) fn interface(&self) -> &Interface {
        &self.interface
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The certificates that come by ACME.
    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
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
    pub(crate) fn watch_files(&self) -> anyhow::Result<()> {
        Ok(self.files.start()?)
    }

    /// Reads the watched files again that have changed.
    pub(crate) fn look_at_files(&self) {
        self.files.look();
    }

    /// Ends every stream of events, and refuses new ones.
    pub(crate) fn close_events(&self) {
        self.hub.close();
    }

    /// The figures of each route.
    pub(crate) fn totals(&self) -> Vec<(&Label, crate::telemetry::RouteTotals)> {
        self.telemetry.totals(&self.labels)
    }

    /// The scopes of the responses that it stores.
    pub(crate) fn scopes(&self) -> &Arc<Scopes> {
        &self.scopes
    }

    /// Forgets the figures of routes that it does not have.
    pub(crate) fn forget_others(&self) {
        self.telemetry.keep(&self.labels);
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
}

/// Takes over the parts with connections and with state of an earlier configuration, as far as
/// their settings are the same.
fn take_over(config: &mut Config, before: &Config) {
    let (own, other) = (&config.fingerprints, &before.fingerprints);
    if own.database == other.database && config.database.is_some() {
        config.database.clone_from(&before.database);
    }
    if own.cache == other.cache {
        config.cache.redis.clone_from(&before.cache.redis);
    }
    if own.fetch != other.fetch {
        return;
    }
    for upstream in &mut config.upstreams {
        let is_same = own.upstreams.get(upstream.name()) == other.upstreams.get(upstream.name());
        let kept = before.upstreams.iter().find(|kept| is_same && kept.name() == upstream.name());
        if let Some(kept) = kept {
            upstream.clone_from(kept);
        }
    }
}

/// The prepared part of each route. One that an earlier plan has stays in use.
fn prepare(
    config: &Config,
    settings: &[Option<Fingerprint>],
    process: &Process<'_>,
    before: Option<&Plan>,
    wrong: &mut Vec<Diagnostic>,
) -> Vec<Arc<dyn Prepared>> {
    let before = before.into_iter().flat_map(|before| before.settings.iter().zip(&before.prepared));
    let known: HashMap<Fingerprint, &Arc<dyn Prepared>> =
        before.filter_map(|(settings, prepared)| Some(((*settings)?, prepared))).collect();
    let mut all: Vec<Arc<dyn Prepared>> = Vec::with_capacity(config.routes.len());
    for (route, settings) in config.routes.iter().zip(settings) {
        if let Some(kept) = settings.and_then(|settings| known.get(&settings)) {
            all.push(Arc::clone(kept));
            continue;
        }
        match route.room.prepare(process) {
            Ok(part) => all.push(part.into()),
            Err(error) => wrong.push(Diagnostic::new(route.span.clone(), format!("{}: {error:#}", named(route)))),
        }
    }
    all
}

/// Lets the rate limits of routes that stay the same go on with their counts.
fn keep_counts(routes: &mut [Route], settings: &[Option<Fingerprint>], before: &Plan) {
    let known = before.settings.iter().zip(&before.config.routes);
    let known: HashMap<Fingerprint, &Route> =
        known.filter_map(|(settings, route)| Some(((*settings)?, route))).collect();
    for (route, settings) in routes.iter_mut().zip(settings) {
        if let Some(before) = settings.and_then(|settings| known.get(&settings)) {
            route.admission.take_over_counts(&before.admission);
        }
    }
}

/// The cache of a configuration, whose invalidations reach the results that are watched.
fn cache(config: &Config, hub: &Hub) -> Cache {
    let cache = match &config.cache.redis {
        None => Cache::new(config.cache.config.clone()),
        Some(store) => Cache::with_store(config.cache.config.clone(), Clock::system(), store.clone()),
    };
    let hub = hub.clone();
    cache.observe(move |invalidation| match invalidation.all {
        true => hub.invalidate_all(),
        false => hub.invalidate(&invalidation.groups),
    });
    cache
}

/// Returns `true` if a route has events.
fn has_live(config: &Config) -> bool {
    config.routes.iter().any(|route| route.room.query().is_some_and(|query| !query.live().is_empty()))
}

pub(super) fn named(route: &Route) -> String {
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
