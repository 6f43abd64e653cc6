//! The judgement of what was seen. Pure: a check reads [`Facts`] and returns a [`Finding`].

mod caching;
mod connections;
mod content;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::facts::Facts;
use crate::report::Finding;

/// Judges every tip.
pub(crate) fn all(facts: &Facts) -> Vec<Finding> {
    vec![
        connections::redirects(facts),
        connections::plain(facts),
        connections::version(facts),
        connections::keep_alive(facts),
        connections::tls(facts),
        connections::resumption(facts),
        connections::first_byte(facts),
        content::compression(facts),
        content::codings(facts),
        content::vary(facts),
        content::assets(facts),
        content::dictionaries(facts),
        caching::validators(facts),
        caching::lifetime(facts),
        caching::assets(facts),
        caching::hits(facts),
    ]
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 10.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

fn bytes(size: usize) -> String {
    match size {
        0..10_000 => format!("{size} bytes"),
        10_000..10_000_000 => format!("{} KB", size / 1000),
        _ => format!("{} MB", size / 1_000_000),
    }
}
