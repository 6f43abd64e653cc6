//! The kinds of route: a module for each, and one list of them.
//!
//! A kind is a [`Kind`]: its name, its keys, and the function that reads a route of it. What it
//! reads is a [`Room`], which is prepared once per process and built once per event loop. Messages,
//! `dunlin routes` and the test of CONFIGURATION.md derive from [`KINDS`], so a new kind is one
//! module and one line.

mod fetch;
mod files;
mod invalidates;
mod live;
pub(crate) mod openapi;
mod path;
mod policy;
mod proxy;
mod query;
mod redirect;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use anyhow::Result;
use dunlin_cache::{Cache as Store, QueryKey};
use dunlin_fetch::{Client, Upstream};
use dunlin_http::{Context, Metric, Network, SharedHandler};
use dunlin_live::Hub;
use dunlin_pg::{Database, Declared, Pool};
use parking_lot::Mutex;

use crate::openapi::api::Api;
use crate::reader::{Document, Methods, Pattern, Section};
pub(crate) use path::Captures;
pub(crate) use policy::Cache;
pub(crate) use query::Query;
pub(crate) use redirect::{Redirect, Target};

/// All kinds of route, in the order in which messages name them.
pub(crate) const KINDS: [&Kind; 6] =
    [&text::KIND, &files::KIND, &query::KIND, &fetch::KIND, &proxy::KIND, &redirect::KIND];

/// A kind of route.
pub(crate) struct Kind {
    /// The key that tells the kind of a route.
    pub(crate) name: &'static str,
    /// The keys that only some kinds have; the name is the first of them.
    pub(crate) keys: &'static [Key],
    /// The methods of a route without `method`.
    pub(crate) methods: fn() -> Methods,
    /// `true` if `cache` is about browsers alone, because the content is in memory anyway.
    pub(crate) in_memory: bool,
    /// `true` if another server answers, so that interim responses can come.
    pub(crate) forwards: bool,
    /// Reads the keys of a route. Errors go to the section; there is no room then.
    pub(crate) read: fn(&mut Section<'_>, &Head<'_>) -> Option<Box<dyn Room>>,
}

/// A key of a route, as the documentation has it.
#[cfg_attr(not(test), expect(dead_code, reason = "a test generates the documentation from it"))]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// The value of an absent key, as it would be written; empty if there is none.
    pub(crate) default: &'static str,
    pub(crate) meaning: &'static str,
}

/// The keys of a route that its kind may need.
pub(crate) struct Head<'r> {
    pub(crate) path: &'r Pattern,
    pub(crate) methods: &'r Methods,
    pub(crate) cache: &'r Cache,
    pub(crate) document: &'r Document<'r>,
}

/// The part of a route that belongs to its kind, as it was read.
pub(crate) trait Room: Debug + Send + Sync {
    /// The source of the answers, on one line.
    fn describe(&self) -> String;

    /// Makes the parts that all event loops share.
    ///
    /// # Errors
    /// A setting that only shows now to be wrong.
    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>>;

    /// Returns `true` if a response may be worth compressing.
    fn is_compressible(&self, _: &dunlin_compress::Config) -> bool {
        true
    }

    /// The part of a URL's query that a stored response depends on; `None` stands for all of it.
    fn query_key(&self) -> Option<QueryKey> {
        None
    }

    /// The query, if the answers come from the database.
    fn query(&self) -> Option<&Query> {
        None
    }

    /// The proxies in front of this service that the route trusts, besides the service's own.
    fn trusted(&self) -> &[Network] {
        &[]
    }

    /// The name of the `[upstream.NAME]` that answers.
    fn upstream(&self) -> Option<&str> {
        None
    }

    /// The redirect, if the route is one.
    fn redirect(&self) -> Option<&Redirect> {
        None
    }
}

/// The parts of a route that all event loops share.
pub(crate) trait Prepared: Send + Sync {
    /// Makes the handler of one event loop, on that loop.
    ///
    /// # Errors
    /// As [`Room::prepare`].
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>>;

    /// The declared query, if the answers come from the database.
    fn declared(&self) -> Option<&Arc<Declared>> {
        None
    }

    /// The handler of requests for events, on one event loop.
    fn events(&self, _: &EventLoop<'_>) -> Option<SharedHandler<Context>> {
        None
    }

    /// The figures of the shared parts.
    fn metrics(&self) -> Vec<Metric> {
        Vec::new()
    }
}

/// The parts of the process that rooms are prepared with.
pub(crate) struct Process<'p> {
    pub(crate) database: Option<&'p Database>,
    pub(crate) fetch: &'p dunlin_fetch::Config,
    /// The proxies in front of this service.
    pub(crate) trusted: &'p [Network],
    /// The upstreams by name.
    pub(crate) upstreams: &'p HashMap<&'p str, &'p Arc<Upstream>>,
    /// The results that are watched.
    pub(crate) hub: &'p Hub,
    /// The OpenAPI document.
    pub(crate) api: &'p Arc<Api>,
    /// A client for checks. It opens no connection.
    pub(crate) client: &'p Client,
}

/// The parts of an event loop that handlers are built with.
pub(crate) struct EventLoop<'l> {
    pub(crate) client: &'l Client,
    pub(crate) clients: &'l Clients,
    pub(crate) pool: Option<&'l Pool>,
    pub(crate) store: &'l Store,
    /// The limit of a request body, in bytes.
    pub(crate) max_body: u64,
    /// The other routes of the same resource.
    pub(crate) resource: Resource<'l>,
}

/// The facts about the other routes of a resource that a query needs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resource<'l> {
    /// The query that answers a GET, for a route that writes.
    pub(crate) representation: Option<&'l Arc<Declared>>,
    /// `true` if the resource takes the method QUERY.
    pub(crate) accepts_query: bool,
}

/// The outbound clients of all event loops, for their figures.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<Vec<Client>>);

// === impl Kind ===

impl Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

impl Kind {
    /// The names of all kinds.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }

    /// The kinds that have `key`.
    pub(crate) fn with_key(key: &str) -> impl Iterator<Item = &'static Kind> {
        KINDS.into_iter().filter(move |kind| kind.keys.iter().any(|own| own.name == key))
    }
}

impl Key {
    pub(crate) const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning }
    }
}

// === impl Clients ===

impl Clients {
    /// Makes a client whose figures are counted.
    pub(crate) fn open(&self, config: dunlin_fetch::Config) -> Result<Client> {
        let client = Client::new(config)?;
        self.0.lock().push(client.clone());
        Ok(client)
    }

    /// Counts the figures of a client that is there already.
    pub(crate) fn add(&self, client: Client) -> Client {
        self.0.lock().push(client.clone());
        client
    }

    /// The figures of all clients. The same figure of several clients is there several times.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.0.lock().iter().flat_map(|client| client.stats().metrics()).collect()
    }
}
