//! `params`, `default`, `settings` and `roles`: the values that a query gets from its request.

use dunlin_pg::param::Param;
use dunlin_pg::{Query as Declaration, Role, Setting, Source};
use http::HeaderName;
use toml::de::DeValue;

use super::super::Head;
use crate::reader::{Diagnostic, Section, Value, nearest};

/// Reads `params` and `default`.
pub(super) fn read(table: &mut Section<'_>, head: &Head<'_>) -> Option<Vec<Source>> {
    let params = table.get("params").map_or(Some(Vec::new()), |value| value.list(|value| source(value, head)));
    defaults(params, table, head)
}

/// Reads the source of a parameter: `name`, `body.name`, and so on.
fn source(value: Value<'_>, head: &Head<'_>) -> Option<Source> {
    let Head { path, methods, .. } = head;
    const EXPECTED: &str = "the name of a path or query parameter, \"body\", \"client_ip\", \"request_id\", or \"body.\", \
         \"header.\", \"cookie.\" or \"claim.\" and a name behind it";
    let text = value.str(EXPECTED)?;
    let nothing = |why: &str, expected: &str, meant: Option<String>| {
        let what = format!("nothing provides \"{text}\"{why}");
        value.error(Diagnostic::new(value.span(), what).expected(expected).meant(meant));
        None
    };
    if path.names().any(|name| name == text) {
        return Some(Source::of_url(text));
    }
    match text.split_once('.') {
        Some(("body", field)) if !field.is_empty() && !methods.have_bodies() => {
            let why = format!(": a {methods} request has no body");
            let meant = path.names().find(|name| *name == field).unwrap_or(field);
            nothing(&why, "a path or query parameter, or method = \"POST\"", Some(meant.to_owned()))
        }
        Some(("body" | "claim", field)) if !field.is_empty() => Some(Source::named(text)),
        Some(("header" | "cookie", field)) if field.parse::<HeaderName>().is_ok() => Some(Source::named(text)),
        None if text == "body" && !methods.have_bodies() => {
            let why = format!(": a {methods} request has no body");
            nothing(&why, "a path or query parameter, or method = \"POST\"", None)
        }
        None if !text.is_empty() => Some(Source::named(text)),
        _ => {
            let field = text.rsplit('.').next().filter(|field| !field.is_empty());
            let bodies = methods.have_bodies();
            nothing("", EXPECTED, field.map(|field| if bodies { format!("body.{field}") } else { field.to_owned() }))
        }
    }
}

/// Reads `settings` and `roles`, the settings of the query's transaction.
pub(super) fn settings(table: &mut Section<'_>, head: &Head<'_>, declaration: &mut Declaration) -> Option<()> {
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
fn defaults(params: Option<Vec<Source>>, table: &mut Section<'_>, head: &Head<'_>) -> Option<Vec<Source>> {
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
        if head.document.is_null(default) {
            let set = |param: Source| if param.name() == name { param.or(Param::Null) } else { param };
            params = params.into_iter().map(set).collect();
            continue;
        }
        let Some(json) = json(default.get_ref()) else {
            let what = format!("the default of \"{name}\" is of a type that no parameter has");
            value
                .error(Diagnostic::new(default.span(), what).expected("null, a string, a number, a boolean or a list"));
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
