//! `dunlin routes`: the table of routes.

use std::fmt::Write as _;

use serde_json::json;

use crate::config::{Config, Route};
use crate::failure::Failure;
use crate::routes::Cache;

const HEAD: [&str; 6] = ["METHODS", "PATH", "KIND", "ANSWERS", "CACHE", "COMPRESSION"];

/// Prints the routes: as a table, or as a JSON document.
pub(crate) fn routes(config: &Config, json: bool) -> Result<(), Failure> {
    super::print(&if json { document(config) } else { table(config) })
}

/// The routes as a JSON array of objects.
fn document(config: &Config) -> String {
    let object = |route: &Route| {
        json!({
            "hosts": route.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "methods": route.methods.as_slice().iter().map(|method| method.as_str()).collect::<Vec<_>>(),
            "path": route.path.as_str(),
            "kind": route.kind.name,
            "answers": route.room.describe(),
            "cache": cache(route),
            "compress": route.compress,
            "auth": route.admission.auth,
        })
    };
    let routes: Vec<serde_json::Value> = config.routes.iter().map(object).collect();
    format!("{:#}\n", serde_json::Value::from(routes))
}

fn table(config: &Config) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(config.routes.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    out
}

fn row(route: &Route) -> [String; 6] {
    [
        route.methods.to_string(),
        route.name(),
        route.kind.name.to_owned(),
        shorten(&route.room.describe(), 40),
        cache(route),
        if route.compress { "yes" } else { "no" }.to_owned(),
    ]
}

/// The cache of a route. Files are in memory without asking.
fn cache(route: &Route) -> String {
    match route.kind.in_memory {
        true if matches!(route.cache, Cache::Off) => Cache::Browser(None).to_string(),
        _ => route.cache.to_string(),
    }
}

/// The text with single spaces, and with an ellipsis if it is longer than `limit`.
fn shorten(text: &str, limit: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= limit {
        return words;
    }
    words.chars().take(limit - 1).chain(['…']).collect()
}
