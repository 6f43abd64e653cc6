//! `dunlin routes`: what answers where.

use std::fmt::Write as _;

use crate::cli::Failure;
use crate::config::{Config, Kind, Route};

const HEAD: [&str; 6] = ["METHODS", "PATH", "KIND", "ANSWERS", "CACHE", "COMPRESSION"];

/// Prints the routes as a table.
pub(crate) fn routes(config: &Config) -> Result<(), Failure> {
    print!("{}", table(config));
    Ok(())
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
        route.path.as_str().to_owned(),
        route.kind.which().name().to_owned(),
        shorten(&answers(&route.kind), 40),
        route.cache.to_string(),
        if route.compress { "yes" } else { "no" }.to_owned(),
    ]
}

/// What stands behind the route, on one line.
fn answers(kind: &Kind) -> String {
    match kind {
        Kind::Text(text) => format!("{:?}", text.text),
        Kind::Files(files) => files.root.display().to_string(),
        Kind::Query(query) => query.declared.statements.join("; "),
        Kind::Fetch(fetch) => fetch.url.to_string(),
        Kind::Proxy(proxy) => proxy.url.to_string(),
    }
}

/// Its words with single spaces, and an ellipsis where it is too long.
fn shorten(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= most {
        return words;
    }
    words.chars().take(most - 1).chain(['…']).collect()
}
