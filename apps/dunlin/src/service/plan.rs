//! From the configuration to what each event loop serves with.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use dunlin_cache::{Cache, RoutePolicy};
use dunlin_compress::{CompressLayer, DecompressLayer};
use dunlin_fetch::{Client, FetchService, Proxy};
use dunlin_http::Clock;
use dunlin_pg::{Database, Declared, Pool, QueryService};
use dunlin_server::Router;
use dunlin_static::Files;
use tower_layer::Layer;

use super::endpoint::{Endpoint, FilesEndpoint, Invalidates, ProxyEndpoint};
use super::path::{Captures, Tail};
use super::query::QueryEndpoint;
use super::stack::Stack;
use super::text::TextEndpoint;
use super::{App, LoopState, RouteState};
use crate::cli::{Failure, coloured};
use crate::config::{self, Config, Diagnostic, Kind, Route, RouteCache};
use crate::telemetry::Telemetry;

/// All that the loops have in common, made once. What is read from files or held in memory is here; what has sockets is
/// made by each loop for itself.
pub(crate) struct Plan {
    config: Config,
    cache: Cache,
    compress: CompressLayer,
    /// For each route what the loops share of it.
    parts: Vec<Part>,
    telemetry: Arc<Telemetry>,
    /// The groups that the database's notices are waited for; none when nobody listens.
    groups: Vec<String>,
    /// Whether the notices are not heard at present.
    deaf: Arc<AtomicBool>,
    /// Whether each request gets a line in the log.
    access: bool,
}

/// What the loops share of a route.
enum Part {
    Text(TextEndpoint),
    Files(Files),
    Query(Arc<Declared>),
    /// What has connections of its own on each loop; it was made once, to see that it can be.
    Outbound,
}

// === impl Plan ===

impl Plan {
    /// # Errors
    /// What is wrong with a route is told with its place.
    pub(crate) fn new(config: Config) -> Result<Self, Failure> {
        let client = Client::new(config.fetch.clone()).context("[fetch]")?;
        let mut wrong = Vec::new();
        let mut parts = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            match Part::new(route, config.database.as_ref(), &client) {
                Ok(part) => parts.push(part),
                Err(error) => wrong.push(Diagnostic::new(route.span.clone(), format!("{}: {error:#}", named(route)))),
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::Config(config.explain(wrong, coloured())));
        }
        Ok(Self {
            parts,
            cache: match &config.cache.redis {
                None => Cache::new(config.cache.config.clone()),
                Some(store) => Cache::with_store(config.cache.config.clone(), Clock::system(), store.clone()),
            },
            compress: CompressLayer::new(config.compression.clone())?,
            telemetry: Arc::new(Telemetry::new(config.routes.iter().map(|route| route.path.as_str().to_owned()))),
            groups: dependent(&config),
            deaf: Arc::new(AtomicBool::new(true)),
            access: config.log.access && config.log.level >= tracing::Level::INFO,
            config,
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The groups whose answers are kept for as long as the database says nothing of them.
    pub(crate) fn groups(&self) -> &[String] {
        &self.groups
    }

    /// What says whether the database is heard.
    pub(crate) fn deaf(&self) -> &Arc<AtomicBool> {
        &self.deaf
    }

    pub(crate) fn compress(&self) -> &CompressLayer {
        &self.compress
    }

    pub(crate) fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Each `query` route with its query, as it is written and as it is declared.
    pub(crate) fn queries(&self) -> impl Iterator<Item = ((&Route, &config::Query), Arc<Declared>)> {
        self.config.routes.iter().zip(&self.parts).filter_map(|(route, part)| match (&route.kind, part) {
            (Kind::Query(query), Part::Query(declared)) => Some(((route, query), declared.clone())),
            _ => None,
        })
    }

    /// The files of each route that has some.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Files> {
        self.parts.iter().filter_map(|part| match part {
            Part::Files(files) => Some(files),
            _ => None,
        })
    }

    /// The service of the loop that it is called on: its pool and its clients live there.
    pub(crate) fn build(&self) -> Result<(App, Option<Pool>)> {
        let client = Client::new(self.config.fetch.clone()).context("[fetch]")?;
        let pool = self.config.database.as_ref().map(Database::pool);
        let mut router = Router::new();
        let mut routes = Vec::with_capacity(self.parts.len());
        for (index, (route, part)) in self.config.routes.iter().zip(&self.parts).enumerate() {
            router.insert(route.methods.as_slice(), route.path.as_str(), index)?;
            let endpoint = self.endpoint(route, part, &client, pool.as_ref()).with_context(|| named(route))?;
            let endpoint = self.decoded(route, endpoint);
            routes.push(RouteState {
                path: route.path.as_str().to_owned(),
                is_cached: matches!(route.cache, RouteCache::Kept(_)),
                is_proxy: matches!(route.kind, Kind::Proxy(_)),
                stack: self.stack(route, endpoint),
            });
        }
        let counters = self.telemetry.join();
        let state = LoopState { router, routes: routes.into(), counters, access: self.access };
        Ok((App(Arc::new(state)), pool))
    }

    fn endpoint(&self, route: &Route, part: &Part, client: &Client, pool: Option<&Pool>) -> Result<Endpoint> {
        let invalidates = || Invalidates { cache: self.cache.clone(), groups: route.kind.invalidates().into() };
        Ok(match (part, &route.kind) {
            // Each loop counts references of its own.
            (Part::Text(text), _) => Endpoint::Text(Arc::new(text.clone())),
            (Part::Files(files), _) => {
                Endpoint::Files(Arc::new(FilesEndpoint { files: files.clone(), tail: Tail::new(&route.path) }))
            }
            (Part::Query(query), _) => Endpoint::Query(Arc::new(QueryEndpoint {
                service: QueryService::new(pool.context("there is no [database]")?.clone(), query.clone())
                    .max_body(usize::try_from(self.config.server.max_body)?),
                captures: Captures::new(&route.path),
                invalidates: invalidates(),
            })),
            (Part::Outbound, Kind::Fetch(fetch)) => Endpoint::Fetch(self.fetch(fetch, client)?),
            (Part::Outbound, Kind::Proxy(proxy)) => Endpoint::Proxy(Arc::new(ProxyEndpoint {
                proxy: Proxy::new(client.clone(), &proxy.url, proxy.config.clone())?,
                tail: Tail::new(&route.path),
                invalidates: invalidates(),
            })),
            (Part::Outbound, _) => anyhow::bail!("it is of another kind"),
        })
    }

    fn decoded(&self, route: &Route, endpoint: Endpoint) -> Endpoint {
        if !route.decode {
            return endpoint;
        }
        let layer = DecompressLayer::new(self.config.server.max_body);
        Endpoint::Decoded(Box::new(layer.layer(endpoint)))
    }

    /// A text of another service; with a timeout of its own it has a client of its own.
    fn fetch(&self, fetch: &config::Fetch, client: &Client) -> Result<FetchService> {
        let client = match fetch.timeout {
            None => client.clone(),
            Some(timeout) => {
                let own = dunlin_fetch::Config { response_timeout: timeout, ..self.config.fetch.clone() };
                Client::new(own)?
            }
        };
        Ok(FetchService::new(client, &fetch.url, fetch.take)?)
    }

    fn stack(&self, route: &Route, endpoint: Endpoint) -> Stack {
        let worth = match &endpoint {
            Endpoint::Text(text) => text.is_worth_encoding(&self.config.compression),
            _ => true,
        };
        let compress = route.compress && worth && !self.config.compression.prefer.is_empty();
        match (compress, &route.cache) {
            (false, RouteCache::Off | RouteCache::Files(_)) => Stack::Plain(endpoint),
            (true, RouteCache::Off | RouteCache::Files(_)) => Stack::Compressed(self.compress.layer(endpoint)),
            (false, RouteCache::Kept(policy)) => Stack::Cached(self.keep(route, policy).layer(endpoint)),
            (true, RouteCache::Kept(policy)) => {
                Stack::Full(self.compress.layer(self.keep(route, policy).layer(endpoint)))
            }
        }
    }

    fn keep(&self, route: &Route, policy: &RoutePolicy) -> dunlin_cache::CacheLayer {
        let mut policy = policy.clone();
        if let Kind::Query(query) = &route.kind {
            policy.query = query.key(&route.path);
        }
        if self.groups.iter().any(|group| policy.groups.contains(group)) {
            policy.pause = Some(self.deaf.clone());
        }
        self.cache.layer(policy)
    }
}

// === impl Part ===

impl Part {
    fn new(route: &Route, database: Option<&Database>, client: &Client) -> Result<Self> {
        let part = match &route.kind {
            Kind::Text(text) => Self::Text(TextEndpoint::new(&text.text, &text.content_type)),
            Kind::Files(files) => {
                let mut config = files.config.clone();
                if let RouteCache::Files(browser) = route.cache {
                    config.cache = browser;
                }
                Self::Files(Files::new(&files.root, config)?)
            }
            Kind::Query(query) => {
                let database = database.context("there is no [database]")?;
                Self::Query(database.declare(query.declared.clone())?)
            }
            Kind::Fetch(fetch) => {
                FetchService::new(client.clone(), &fetch.url, fetch.take)?;
                Self::Outbound
            }
            Kind::Proxy(proxy) => {
                Proxy::new(client.clone(), &proxy.url, proxy.config.clone())?;
                Self::Outbound
            }
        };
        Ok(part)
    }
}

fn named(route: &Route) -> String {
    format!("the route {} {}", route.methods, route.path.as_str())
}

/// The groups of what is made from the database and kept, if its notices are listened to.
fn dependent(config: &Config) -> Vec<String> {
    if config.database.is_none() || config.cache.notify.is_empty() {
        return Vec::new();
    }
    let queries = config.routes.iter().filter(|route| matches!(route.kind, Kind::Query(_)));
    let mut groups: Vec<String> = queries.flat_map(|route| route.cache.groups()).cloned().collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
