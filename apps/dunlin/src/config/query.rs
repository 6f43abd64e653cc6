//! A `query` route: SQL as an endpoint.

use dunlin_cache::QueryKey;
use dunlin_pg::param::Param;
use dunlin_pg::{Access, Formats, Isolation, Place, Query as Declared, Rows, Source};
use http::StatusCode;
use toml::de::DeValue;

use super::Context;
use super::pattern::Pattern;
use super::policy::Group;
use super::route::Methods;
use super::section::{Read, Section, Value, nearest};
use super::source::{Diagnostic, Span};

/// A query as it is declared, and where.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) declared: Declared,
    /// Where the SQL stands.
    pub(crate) span: Span,
    /// The groups that a success invalidates.
    pub(crate) invalidates: Vec<String>,
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
    pub(super) fn read(
        table: &mut Section<'_>,
        path: &Pattern,
        methods: &Methods,
        context: &Context<'_>,
    ) -> Option<Self> {
        let value = table.get("query")?;
        let statements = value.list(Sql::read);
        if !context.database {
            let what = "this query has no database to run on";
            let expected = "url in [database], or DATABASE_URL in the environment";
            context.errors.push(Diagnostic::new(value.span(), what).expected(expected));
        }
        let params =
            table.get("params").map_or(Some(Vec::new()), |value| value.list(|value| source(value, path, methods)));
        let params = defaults(params, table);
        let mut declared = Declared { name: path.as_str().to_owned(), ..Declared::new(Vec::<String>::new()) };
        table.set_word("rows", ROWS, &mut declared.rows);
        table.set("share", &mut declared.share);
        declared.isolation = table.get("isolation").and_then(|value| value.word(ISOLATION));
        declared.access = if table.or("read_only", methods.all_safe()) { Access::Read } else { Access::Write };
        if let Some(status) = table.get("status").and_then(status) {
            declared.status = status;
        }
        if let Some(formats) = table.get("format").and_then(|value| value.list(|value| value.word(FORMATS))) {
            let has = |format| formats.contains(&format);
            declared.formats = Formats { csv: has(Format::Csv), ndjson: has(Format::Ndjson) };
        }
        let invalidates = invalidates(table, methods);
        declared.statements = statements?.into_iter().map(|Sql(sql)| sql).collect();
        declared.params = params?;
        if let Err(error) = declared.validate() {
            let what = format!("the query of {}: {error}", path.as_str());
            value.error(Diagnostic::new(value.span(), what));
            return None;
        }
        Some(Self { declared, span: value.span(), invalidates: invalidates? })
    }
}

impl Query {
    /// What of a URL's query tells answers apart: the parameters that the statements read.
    pub(crate) fn key(&self, path: &Pattern) -> QueryKey {
        let url = self.declared.params.iter().filter(|source| source.place() == Place::Url);
        let names = url.map(Source::name).filter(|name| path.names().all(|own| own != *name));
        QueryKey::Only(names.map(str::to_owned).collect())
    }
}

fn status(value: Value<'_>) -> Option<StatusCode> {
    let number = value.integer(200, 299, "a status of success, 200 to 299")?;
    StatusCode::from_u16(number as u16).ok()
}

/// `name` or `body.name`.
fn source(value: Value<'_>, path: &Pattern, methods: &Methods) -> Option<Source> {
    const EXPECTED: &str = "the name of a path or query parameter, or \"body.\" and the name of a field";
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
        Some(("body", field)) if !field.is_empty() => Some(Source::named(text)),
        None if !text.is_empty() => Some(Source::named(text)),
        _ => {
            let field = text.rsplit('.').next().filter(|field| !field.is_empty());
            let safe = methods.all_safe();
            nothing("", EXPECTED, field.map(|field| if safe { field.to_owned() } else { format!("body.{field}") }))
        }
    }
}

/// Gives the parameters what `default` has for them.
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
        // A string is read as a path's or a query's would be, so that any type can be written as text.
        let given = |json: &serde_json::Value| json.as_str().map_or_else(|| Param::Json(json.clone()), Param::from);
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

/// `invalidates`: a list of groups, on a route that can change something.
pub(super) fn invalidates(table: &mut Section<'_>, methods: &Methods) -> Option<Vec<String>> {
    let Some(value) = table.get("invalidates") else { return Some(Vec::new()) };
    if methods.all_safe() {
        let what = format!("a {methods} request changes nothing, so it invalidates nothing");
        value.error(Diagnostic::new(table.key_span("invalidates"), what).expected("method = \"POST\" or the like"));
        return None;
    }
    Some(value.list(Group::read)?.into_iter().map(|Group(name)| name).collect())
}
