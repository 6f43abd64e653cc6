//! `dunlin routes`: the table of routes.

use std::fmt::Write as _;

use crate::config::{Config, Route};
use crate::failure::Failure;
use crate::routes::Cache;

const HEAD: [&str; 6] = ["METHODS", "PATH", "KIND", "ANSWERS", "CACHE", "COMPRESSION"];

/// Prints the routes as a table.
pub(crate) fn routes(config: &Config) -> Result<(), Failure> {
    super::print(&table(config))
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
