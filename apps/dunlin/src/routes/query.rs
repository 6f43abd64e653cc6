//! `query` routes: SQL as an endpoint.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dunlin_cache::QueryKey;
use dunlin_http::{Body, Context, Handler, ReplyFuture, SharedHandler};
use dunlin_pg::param::Param;
use dunlin_pg::{
    Access, Declared, Formats, Isolation, Place, Query as Declaration, QueryService, Role, Rows, Setting, Source,
};
use http::{HeaderName, Request, StatusCode};
use toml::de::DeValue;

use super::invalidates::{self, Invalidates};
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
    Key::new("params", "[]", "`\"name\"` of the path or else the query string, `\"body.name\"` of a JSON body"),
    Key::new("settings", "{}", "settings of the transaction, for row-level security: a table of sources by name"),
    Key::new("roles", "[]", "the database roles that the setting `role` may have"),
    Key::new("default", "{}", "values of absent parameters: `{ page = 1 }`"),
    Key::new("rows", "\"many\"", "`\"many\"`, or `\"one\"`, which is 404 without a row"),
    Key::new("status", "200", "the status of a success"),
    Key::new("invalidates", "[]", "the cache groups that a successful write makes stale"),
    Key::new("isolation", "", "`\"read committed\"`, `\"repeatable read\"` or `\"serializable\"`"),
    Key::new("read_only", "", "without it, `true` if each method is safe"),
    Key::new("format", "[\"json\"]", "also `\"csv\"` and `\"ndjson\"`, chosen by `Accept`"),
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
    captures: Captures,
    /// The names in the path.
    names: Vec<String>,
}

/// A query that was declared to its database.
struct PreparedQuery {
    declared: Arc<Declared>,
    captures: Captures,
    invalidates: Vec<String>,
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
        let params = table.get("params").map_or(Some(Vec::new()), |value| value.list(|value| source(value, head)));
        let params = defaults(params, table);
        let name = head.path.as_str().to_owned();
        let mut declaration = Declaration { name, ..Declaration::new(Vec::<String>::new()) };
        table.set_word("rows", ROWS, &mut declaration.rows);
        table.set("share", &mut declaration.share);
        declaration.isolation = table.get("isolation").and_then(|value| value.word(ISOLATION));
        let reads = table.or("read_only", head.methods.all_safe());
        declaration.access = if reads { Access::Read } else { Access::Write };
        if let Some(status) = table.get("status").and_then(status) {
            declaration.status = status;
        }
        if let Some(formats) = table.get("format").and_then(|value| value.list(|value| value.word(FORMATS))) {
            let has = |format| formats.contains(&format);
            declaration.formats = Formats { csv: has(Format::Csv), ndjson: has(Format::Ndjson) };
        }
        let invalidates = invalidates::read(table, head);
        declaration.statements = statements?.into_iter().map(|Sql(sql)| sql).collect();
        declaration.params = params?;
        settings(table, head, &mut declaration)?;
        if let Err(error) = declaration.validate() {
            let what = format!("the query of {}: {error}", head.path.as_str());
            value.error(Diagnostic::new(value.span(), what));
            return None;
        }
        warn_unused(&declaration, table, head);
        let names = head.path.names().map(str::to_owned).collect();
        let (invalidates, captures) = (invalidates?, Captures::new(head.path));
        Some(Self { declaration, span: value.span(), invalidates, captures, names })
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
        self.sources().any(|source| source.place() == Place::Claim)
    }

    /// Returns `true` if a parameter or a setting is a field of the request.
    pub(crate) fn reads_fields(&self) -> bool {
        self.sources().any(|source| source.place() == Place::Header)
    }

    /// The sources of its parameters and settings.
    fn sources(&self) -> impl Iterator<Item = &Source> {
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
        Ok(Box::new(PreparedQuery { declared, captures, invalidates }))
    }

    /// The parameters in the URL's query that the statements read.
    fn query_key(&self) -> Option<QueryKey> {
        let url = self.sources().filter(|source| source.place() == Place::Url);
        let names = url.map(Source::name).filter(|name| self.names.iter().all(|own| own != name));
        Some(QueryKey::Only(names.map(str::to_owned).collect()))
    }

    fn query(&self) -> Option<&Query> {
        Some(self)
    }
}

// === impl PreparedQuery ===

impl Prepared for PreparedQuery {
    fn build(&self, event_loop: &EventLoop<'_>) -> Result<SharedHandler<Context>> {
        let pool = event_loop.pool.context("there is no [database]")?;
        let service = QueryService::new(pool.clone(), self.declared.clone());
        Ok(Arc::new(QueryHandler {
            service: service.max_body(usize::try_from(event_loop.max_body)?),
            captures: self.captures.clone(),
            invalidates: Invalidates::new(event_loop.store, &self.invalidates),
        }))
    }

    fn declared(&self) -> Option<&Arc<Declared>> {
        Some(&self.declared)
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

fn status(value: Value<'_>) -> Option<StatusCode> {
    let number = value.integer(200, 299, "a status of success, 200 to 299")?;
    StatusCode::from_u16(number as u16).ok()
}

/// Reads the source of a parameter: `name` or `body.name`.
fn source(value: Value<'_>, head: &Head<'_>) -> Option<Source> {
    let Head { path, methods, .. } = head;
    const EXPECTED: &str =
        "the name of a path or query parameter, or \"body.\", \"header.\" or \"claim.\" and a name behind it";
    let text = value.str(EXPECTED)?;
    let nothing = |why: &str, expected: &str, meant: Option<String>| {
        let what = format!("nothing provides \"{text}\"{why}");
        value.error(Diagnostic::new(value.span(), what).expected(expected).meant(meant));
        None
    };
    match text.split_once('.') {
        Some(("body", field)) if !field.is_empty() && methods.all_safe() => {
            let why = format!(": a {methods} request has no body");
            let meant = path.names().find(|name| *name == field).unwrap_or(field);
            nothing(&why, "a path or query parameter, or method = \"POST\"", Some(meant.to_owned()))
        }
        Some(("body" | "claim", field)) if !field.is_empty() => Some(Source::named(text)),
        Some(("header", field)) if field.parse::<HeaderName>().is_ok() => Some(Source::named(text)),
        None if text == "body" && path.names().all(|name| name != "body") => {
            nothing(": the body is no parameter as a whole", "\"body.\" and the name of a field", None)
        }
        None if !text.is_empty() => Some(Source::named(text)),
        _ => {
            let field = text.rsplit('.').next().filter(|field| !field.is_empty());
            let safe = methods.all_safe();
            nothing("", EXPECTED, field.map(|field| if safe { field.to_owned() } else { format!("body.{field}") }))
        }
    }
}

/// Reads `settings` and `roles`, the settings of the query's transaction.
fn settings(table: &mut Section<'_>, head: &Head<'_>, declaration: &mut Declaration) -> Option<()> {
    const EXPECTED: &str = "a table such as { \"app.user_id\" = \"claim.sub\", role = \"claim.role\" }";
    let roles: Option<Vec<String>> = table.read("roles");
    let span = table.value_span("roles");
    let Some(value) = table.get("settings") else { return Some(()) };
    let DeValue::Table(settings) = value.raw() else { return value.wrong_type(EXPECTED) };
    for (key, raw) in settings {
        let name: &str = key.get_ref();
        let source = source(value.at("settings", raw), head)?;
        if name != "role" {
            declaration.settings.push(Setting::new(name, source));
            continue;
        }
        let Some(roles) = roles.clone().filter(|roles| !roles.is_empty()) else {
            let what = "\"role\" needs the roles that a request may have";
            value.error(Diagnostic::new(span, what).expected("roles = [\"reader\", \"editor\"] beside \"settings\""));
            return None;
        };
        declaration.role = Some(Role::new(source, roles));
    }
    Some(())
}

/// Adds the values of `default` to the parameters.
fn defaults(params: Option<Vec<Source>>, table: &mut Section<'_>) -> Option<Vec<Source>> {
    let Some(value) = table.get("default") else { return params };
    let DeValue::Table(defaults) = value.raw() else {
        return value.wrong_type("a table such as { page = 1 }");
    };
    let mut params = params?;
    for (key, default) in defaults {
        let name: &str = key.get_ref();
        if !params.iter().any(|param| param.name() == name) {
            let known: Vec<&str> = params.iter().map(Source::name).collect();
            let what = format!("\"{name}\" has a default but is not in params");
            value.error(Diagnostic::new(key.span(), what).meant(nearest(name, &known)));
            continue;
        }
        let Some(json) = json(default.get_ref()) else {
            let what = format!("the default of \"{name}\" is of a type that no parameter has");
            value.error(Diagnostic::new(default.span(), what).expected("a string, a number, a boolean or a list"));
            continue;
        };
        // A string is parsed as one in a path or a query is, so any type can be written as text.
        let given = |json: &serde_json::Value| json.as_str().map_or_else(|| Param::from(json.clone()), Param::from);
        let set = |param: Source| if param.name() == name { param.or(given(&json)) } else { param };
        params = params.into_iter().map(set).collect();
    }
    Some(params)
}

fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Boolean(yes) => (*yes).into(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok()?.into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok()?.into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(array) => array.iter().map(|value| json(value.get_ref())).collect::<Option<Vec<_>>>()?.into(),
        DeValue::Table(_) => return None,
    })
}
