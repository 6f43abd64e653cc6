//! `query` routes: SQL as an endpoint.

mod answer;
mod params;

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dunlin_cache::QueryKey;
use dunlin_http::{Body, Context, Handler, ReplyFuture, SharedHandler};
use dunlin_pg::{
    Access, Declared, Formats, Isolation, Place, Query as Declaration, QueryService, Role, Rows, Setting, Source,
};
use http::Request;

use super::invalidates::{self, Invalidates};
use super::live;
use super::{Captures, EventLoop, Head, Key, Kind, Prepared, Process, Room};
use crate::reader::{Diagnostic, Methods, Read, Section, Span, Value, nearest};

pub(super) const KIND: Kind = Kind {
    name: "query",
    keys: KEYS,
    methods: Methods::get,
    in_memory: false,
    forwards: false,
    read: |table, head| Query::read(table, head).map(|query| Box::new(query) as Box<dyn Room>),
};

const KEYS: &[Key] = &[
    Key::new("query", "", "a statement, or a list that runs in one transaction, of which the last one answers"),
    Key::new("params", "[]", "the sources of `$1`, `$2`, …, such as `\"id\"` or `\"body.name\"`"),
    Key::new("settings", "{}", "settings of the transaction, for row-level security: a table of sources by name"),
    Key::new("roles", "[]", "the database roles that the setting `role` may have"),
    Key::new("default", "{}", "values of absent parameters: `{ page = 1, q = null }`"),
    Key::new("rows", "\"many\"", "`\"many\"`, or `\"one\"`, which is 404 without a row"),
    Key::new("status", "200", "the status of a success; with `location` it is 201, or 303"),
    Key::new("location", "", "the URL of the row that a write returns, with its columns: `\"/users/{id}\"`"),
    Key::new("require_if_match", "false", "a write without `If-Match` or `If-None-Match` gets 428"),
    Key::new("page", "", "the pages of a list: `{ size = 50, max = 500 }`"),
    Key::new("raw", "", "the column that is the body, and its media type: `{ body = \"data\", type = \"mime\" }`"),
    Key::new("invalidates", "[]", "the cache groups that a successful write makes stale"),
    Key::new("isolation", "", "`\"read committed\"`, `\"repeatable read\"` or `\"serializable\"`"),
    Key::new("read_only", "", "without it, `true` if each method is safe"),
    Key::new("format", "[\"json\"]", "also `\"csv\"` and `\"ndjson\"`, chosen by `Accept`"),
    Key::new(
        "live",
        "false",
        "`true`: the result as events, whenever a change of the cache groups changes it; or a table",
    ),
    Key::new("share", "false", "identical reads in flight are one"),
];

/// A `query` route as it was read.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) declaration: Declaration,
    /// The place of the SQL.
    pub(crate) span: Span,
    /// The groups that a success makes stale.
    invalidates: Vec<String>,
    /// `true` if a write without a condition is refused.
    pub(crate) requires_condition: bool,
    captures: Captures,
    /// The names in the path.
    names: Vec<String>,
    /// The groups whose changes are events.
    live: Option<Vec<String>>,
}

/// A query that was declared to its database.
struct PreparedQuery {
    declared: Arc<Declared>,
    captures: Captures,
    invalidates: Vec<String>,
    watched: Option<live::Watched>,
    requires_condition: bool,
}

/// A declared query on the pool of one event loop.
#[derive(Debug)]
struct QueryHandler {
    service: QueryService,
    captures: Captures,
    invalidates: Invalidates,
}

/// A statement.
struct Sql(String);

const ROWS: &[(&str, Rows)] = &[("many", Rows::Many), ("one", Rows::One)];

const ISOLATION: &[(&str, Isolation)] = &[
    ("read committed", Isolation::ReadCommitted),
    ("repeatable read", Isolation::RepeatableRead),
    ("serializable", Isolation::Serializable),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Ndjson,
}

const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("csv", Format::Csv), ("ndjson", Format::Ndjson)];

impl Read for Sql {
    const EXPECTED: &'static str = "SQL, or a list of statements";

    fn read(value: Value<'_>) -> Option<Self> {
        let sql = value.str(Self::EXPECTED)?;
        if sql.trim().is_empty() {
            return value.wrong("empty", Self::EXPECTED, None);
        }
        Some(Self(sql.to_owned()))
    }
}

// === impl Query ===

impl Query {
    fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Self> {
        let value = table.get("query")?;
        let statements = value.list(Sql::read);
        if !head.document.database {
            let what = "this query has no database to run on";
            let expected = "url in [database], or DATABASE_URL in the environment";
            value.error(Diagnostic::new(value.span(), what).expected(expected));
        }
        let params = params::read(table, head);
        let name = head.path.as_str().to_owned();
        let mut declaration = Declaration { name, ..Declaration::new(Vec::<String>::new()) };
        table.set_word("rows", ROWS, &mut declaration.rows);
        table.set("share", &mut declaration.share);
        declaration.isolation = table.get("isolation").and_then(|value| value.word(ISOLATION));
        let reads = table.or("read_only", head.methods.all_safe());
        declaration.access = if reads { Access::Read } else { Access::Write };
        answer::read(table, &mut declaration);
        let requires_condition = table.or("require_if_match", false);
        if let Some(formats) = table.get("format").and_then(|value| value.list(|value| value.word(FORMATS))) {
            let has = |format| formats.contains(&format);
            declaration.formats = Formats { csv: has(Format::Csv), ndjson: has(Format::Ndjson) };
        }
        let invalidates = invalidates::read(table, head);
        let live = live::read(table, head);
        declaration.statements = statements?.into_iter().map(|Sql(sql)| sql).collect();
        declaration.params = params?;
        params::settings(table, head, &mut declaration)?;
        if let Err(error) = declaration.validate() {
            let what = format!("the query of {}: {error}", head.path.as_str());
            value.error(Diagnostic::new(value.span(), what));
            return None;
        }
        if declaration.raw.is_some() && live.as_ref().is_some_and(Option::is_some) {
            let what = "events are JSON, so that a route has either \"live\" or \"raw\"";
            value.error(Diagnostic::new(table.key_span("raw"), what).expected("another route for one of them"));
        }
        warn_unused(&declaration, table, head);
        let names = head.path.names().map(str::to_owned).collect();
        let (invalidates, captures) = (invalidates?, Captures::new(head.path));
        Some(Self { declaration, span: value.span(), invalidates, requires_condition, captures, names, live: live? })
    }
}

/// Reports the names in the path that no parameter reads.
fn warn_unused(declaration: &Declaration, table: &Section<'_>, head: &Head<'_>) {
    let known: Vec<&str> = declaration.params.iter().map(Source::name).collect();
    for name in head.path.names().filter(|name| !known.contains(name)) {
        let what = format!("{{{name}}} in the path is used by no parameter");
        let unbound: Vec<&str> =
            known.iter().copied().filter(|known| head.path.names().all(|name| name != *known)).collect();
        let warning = Diagnostic::new(table.value_span("path"), what).expected("its name in params");
        head.document.warnings.push(warning.meant(nearest(name, &unbound)));
    }
}

impl Query {
    /// Returns `true` if a response depends on the claims of a verified client.
    pub(crate) fn reads_claims(&self) -> bool {
        self.reads(Place::Claim)
    }

    /// Returns `true` if a parameter or a setting is a field of the request, or the client's
    /// address, which proxies tell in fields.
    pub(crate) fn reads_fields(&self) -> bool {
        self.sources().any(|source| matches!(source.place(), Place::Header | Place::Cookie | Place::ClientIp))
    }

    /// The claims that parameters and settings are.
    pub(crate) fn claims(&self) -> impl Iterator<Item = &str> {
        self.sources().filter(|source| source.place() == Place::Claim).map(Source::key)
    }

    /// Returns `true` if a parameter or a setting comes from there.
    pub(crate) fn reads(&self, place: Place) -> bool {
        self.sources().any(|source| source.place() == place)
    }

    /// The groups whose changes are events.
    pub(crate) fn live(&self) -> &[String] {
        self.live.as_deref().unwrap_or_default()
    }

    /// The sources of its parameters and settings.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Source> {
        let Declaration { params, settings, role, .. } = &self.declaration;
        params.iter().chain(settings.iter().map(Setting::source)).chain(role.iter().map(Role::source))
    }
}

impl Room for Query {
    fn describe(&self) -> String {
        self.declaration.statements.join("; ")
    }

    fn prepare(&self, process: &Process<'_>) -> Result<Box<dyn Prepared>> {
        let database = process.database.context("there is no [database]")?;
        let declared = database.declare(self.declaration.clone())?;
        let (captures, invalidates) = (self.captures.clone(), self.invalidates.clone());
        let requires_condition = self.requires_condition;
        let watched = self.live.as_ref().map(|groups| live::watched(process.hub, groups));
        Ok(Box::new(PreparedQuery { declared, captures, invalidates, watched, requires_condition }))
    }

    /// The parameters in the URL's query that the statements read.
    fn query_key(&self) -> Option<QueryKey> {
        let url = self.sources().filter(|source| source.place() == Place::Url);
        let names = url.map(Source::name).filter(|name| self.names.iter().all(|own| own != name));
        let pages = self.declaration.page.map_or(&[][..], |_| &["limit", "offset"]);
        Some(QueryKey::Only(names.chain(pages.iter().copied()).map(str::to_owned).collect()))
    }

    fn query(&self) -> Option<&Query> {
        Some(self)
    }
}

// === impl PreparedQuery ===

impl Prepared for PreparedQuery {
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        let pool = event_loop.pool.context("there is no [database]")?;
        let mut service = QueryService::new(pool.clone(), self.declared.clone());
        service = service.max_body(usize::try_from(event_loop.max_body)?);
        if let Some(query) = event_loop.resource.representation {
            service = service.representation(query.clone());
        }
        if self.requires_condition {
            service = service.require_condition();
        }
        if event_loop.resource.accepts_query {
            service = service.accept_query();
        }
        Ok(Arc::new(QueryHandler {
            service,
            captures: self.captures.clone(),
            invalidates: Invalidates::new(event_loop.store, &self.invalidates),
        }))
    }

    fn declared(&self) -> Option<&Arc<Declared>> {
        Some(&self.declared)
    }

    fn events(&self, event_loop: &EventLoop<'_>) -> Option<SharedHandler<Context>> {
        let service = QueryService::new(event_loop.pool?.clone(), self.declared.clone());
        live::handler(self.watched.as_ref(), service, &self.captures).map(|events| events as SharedHandler<Context>)
    }
}

// === impl QueryHandler ===

impl Handler<Context> for QueryHandler {
    type Error = Infallible;
    type Future = ReplyFuture;

    fn handle(&self, request: Request<Body>, context: &Context) -> ReplyFuture {
        let mut context = context.clone();
        context.params = self.captures.decoded(request.uri().path());
        self.invalidates.after(self.service.handle(request, &context))
    }
}
