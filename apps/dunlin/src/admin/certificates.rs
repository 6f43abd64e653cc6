//! The certificates in use, for the status page and for metrics: those of files, and those by ACME.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use dunlin_acme::Facts;
use dunlin_http::{Clock, Metric};
use serde_json::{Value, json};

use super::State;

/// A row for each certificate of a file, and for each name of `[server.tls.acme]`.
pub(super) fn document(state: &State) -> Vec<Value> {
    let now = Clock::system().now();
    let files = files(state).into_iter().map(|facts| {
        json!({
            "names": facts.names,
            "source": "file",
            "issuer": facts.issuer,
            "not_after": seconds(facts.not_after),
            "days": days(facts.not_after, now),
        })
    });
    let status = state.service.plan().certificates().status();
    let acme = status.into_iter().map(|status| {
        json!({
            "names": [status.name],
            "source": "acme",
            "issuer": status.issuer,
            "not_after": status.not_after.map(seconds),
            "days": status.not_after.map(|end| days(end, now)),
            "next_order": status.next_order.map(seconds),
            "error": status.error,
        })
    });
    files.chain(acme).collect()
}

/// The time that is left for each name, and the orders.
pub(super) fn metrics(state: &State) -> Vec<Metric> {
    let certificates = state.service.plan().certificates().clone();
    // Of several certificates for one name, the first to end counts.
    let mut ends: BTreeMap<String, SystemTime> = BTreeMap::new();
    let files = files(state).into_iter().flat_map(|facts| {
        let end = facts.not_after;
        facts.names.into_iter().map(move |name| (name, end))
    });
    let acme = certificates.status().into_iter().filter_map(|status| Some((status.name, status.not_after?)));
    for (name, end) in files.chain(acme) {
        ends.entry(name).and_modify(|first| *first = end.min(*first)).or_insert(end);
    }
    let now = Clock::system().now();
    let help = "Seconds until the certificate for a name ends; negative afterwards.";
    let metric = |(name, end)| {
        Metric::gauge("dunlin_certificate_left_seconds", help, seconds(end) - seconds(now)).label("name", name)
    };
    let orders = certificates.stats().into_iter().flat_map(|stats| stats.metrics());
    ends.into_iter().map(metric).chain(orders).collect()
}

fn files(state: &State) -> Vec<Facts> {
    state.server.file_certificates().iter().filter_map(|der| Facts::of(der)).collect()
}

/// Whole days until `end`, negative afterwards.
fn days(end: SystemTime, now: SystemTime) -> i64 {
    ((seconds(end) - seconds(now)) / 86_400.0).floor() as i64
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64().floor()
}
