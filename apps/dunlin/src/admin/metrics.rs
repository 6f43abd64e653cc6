//! `/metrics`: all counters, in the text format of Prometheus (version 0.0.4).
//!
//! The counters live where they count, and are read when somebody asks. So nothing piles up between two scrapes, and the
//! way of a request pays for additions alone.

use std::fmt::{Display, Write as _};

use super::State;
use crate::process;
use crate::telemetry::RouteTotals;

/// A document being written: families, each with a type and its samples.
#[derive(Default)]
struct Exposition(String);

/// A metric without labels: name, type, help, value.
type Plain<'a> = (&'a str, Kind, &'a str, f64);

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge};

// === impl Exposition ===

impl Exposition {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Counter => "counter",
            Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn all(&mut self, metrics: &[Plain<'_>]) {
        for (name, kind, help, value) in metrics {
            self.family(name, *kind, help);
            self.sample(name, "", value);
        }
    }
}

/// `name="value"`, escaped.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

pub(super) fn exposition(state: &State) -> String {
    let mut out = Exposition::default();
    out.family("dunlin_build_info", Gauge, "The version that runs.");
    out.sample("dunlin_build_info", &label("version", env!("CARGO_PKG_VERSION")), 1);
    let ready = if state.unready().is_empty() { 1.0 } else { 0.0 };
    out.all(&[
        ("dunlin_ready", Gauge, "Whether new clients may be sent here.", ready),
        (
            "dunlin_uptime_seconds",
            Gauge,
            "Seconds since the start.",
            state.plan.telemetry().started.elapsed().as_secs_f64(),
        ),
    ]);
    process_metrics(&mut out);
    routes(&mut out, &state.plan.telemetry().totals());
    loops(&mut out, state);
    layers(&mut out, state);
    database(&mut out, state);
    out.0
}

fn process_metrics(out: &mut Exposition) {
    let usage = process::usage();
    out.all(&[
        ("process_cpu_seconds_total", Counter, "User and system time.", usage.cpu.as_secs_f64()),
        ("process_resident_memory_bytes", Gauge, "Memory in use.", usage.resident as f64),
        ("process_open_fds", Gauge, "Open file descriptors.", usage.descriptors as f64),
    ]);
}

fn routes(out: &mut Exposition, totals: &[(&str, RouteTotals)]) {
    let labelled: Vec<(String, &RouteTotals)> =
        totals.iter().map(|(path, totals)| (label("route", path), totals)).collect();
    out.family("dunlin_requests_total", Counter, "Requests that were answered, by route and class of status.");
    for (route, totals) in &labelled {
        for (class, count) in totals.classes.iter().enumerate().filter(|(_, count)| **count > 0) {
            out.sample("dunlin_requests_total", &format!("{route},status=\"{}xx\"", class + 1), count);
        }
    }
    out.family("dunlin_requests_aborted_total", Counter, "Requests that were given up before their answer was whole.");
    for (route, totals) in &labelled {
        out.sample("dunlin_requests_aborted_total", route, totals.aborted);
    }
    out.family("dunlin_response_bytes_total", Counter, "Bytes of bodies that were sent, as encoded.");
    for (route, totals) in &labelled {
        out.sample("dunlin_response_bytes_total", route, totals.bytes);
    }
    let ttfb = "dunlin_response_head_seconds";
    out.family(ttfb, Kind::Histogram, "From the request's head to the answer's head.");
    labelled.iter().for_each(|(route, totals)| totals.ttfb.write(&mut out.0, ttfb, route));
    let duration = "dunlin_request_duration_seconds";
    out.family(duration, Kind::Histogram, "From the request's head to the end of the answer's body.");
    labelled.iter().for_each(|(route, totals)| totals.duration.write(&mut out.0, duration, route));
}

fn loops(out: &mut Exposition, state: &State) {
    let stats = state.server.stats();
    let mut each = |name: &str, kind, help, value: &dyn Fn(&dunlin_server::LoopStats) -> u64| {
        out.family(name, kind, help);
        for stats in &stats {
            out.sample(name, &format!("loop=\"{}\"", stats.index), value(stats));
        }
    };
    each("dunlin_connections", Gauge, "Open connections.", &|stats| stats.connections as u64);
    each("dunlin_connections_parked", Gauge, "Idle connections that hold no buffers.", &|stats| stats.parked as u64);
    each("dunlin_connections_accepted_total", Counter, "Connections accepted.", &|stats| stats.accepted);
    each("dunlin_connections_rejected_total", Counter, "Ended: what came was no request.", &|stats| stats.rejected);
    each("dunlin_connections_timed_out_total", Counter, "Ended: no head in time.", &|stats| stats.timed_out);
    each("dunlin_connections_refused_total", Counter, "Closed at once: too many.", &|stats| stats.refused);
    each("dunlin_connections_handed_over_total", Counter, "Given to a loop with fewer.", &|stats| stats.handed_over);
    each("dunlin_panics_total", Counter, "Requests whose handler panicked.", &|stats| stats.panicked);
    each("dunlin_accept_paused_total", Counter, "Times that accepting had to wait.", &|stats| stats.full);
    each("dunlin_loop_requests_total", Counter, "Requests, by event loop.", &|stats| stats.requests);
}

fn layers(out: &mut Exposition, state: &State) {
    let cache = state.plan.cache().stats();
    out.all(&[
        ("dunlin_cache_hits_total", Counter, "Answered from the cache.", cache.hits as f64),
        ("dunlin_cache_stale_hits_total", Counter, "Of these, with what was stale.", cache.stale as f64),
        ("dunlin_cache_misses_total", Counter, "The origin was asked.", cache.misses as f64),
        ("dunlin_cache_collapsed_total", Counter, "Answered by another's fill.", cache.collapsed as f64),
        ("dunlin_cache_bypassed_total", Counter, "Not for the cache.", cache.bypassed as f64),
        ("dunlin_cache_validated_total", Counter, "Found still good by the origin.", cache.validated as f64),
        ("dunlin_cache_stored_total", Counter, "Answers stored.", cache.stored as f64),
        ("dunlin_cache_overtaken_total", Counter, "Fills overtaken by an invalidation.", cache.overtaken as f64),
        ("dunlin_cache_invalidations_total", Counter, "Invalidations.", cache.invalidations as f64),
        ("dunlin_cache_store_failures_total", Counter, "Failures of the second level.", cache.store_failures as f64),
        ("dunlin_cache_keys", Gauge, "Keys in memory.", cache.keys as f64),
        ("dunlin_cache_bytes", Gauge, "Bytes in memory.", cache.bytes as f64),
    ]);
    let compress = state.plan.compress().stats();
    out.all(&[
        ("dunlin_compress_kept", Gauge, "Encodings that are kept.", compress.kept as f64),
        ("dunlin_compress_kept_bytes", Gauge, "Bytes that they take.", compress.kept_bytes as f64),
        ("dunlin_compress_made_total", Counter, "Encodings made to be kept.", compress.made as f64),
        ("dunlin_compress_improved_total", Counter, "Of these, replaced with a better one.", compress.improved as f64),
        (
            "dunlin_compress_overflowed_total",
            Counter,
            "Encoded on the loop for want of threads.",
            compress.overflowed as f64,
        ),
    ]);
    if let Some(store) = &state.plan.config().cache.redis {
        let stats = store.stats();
        out.all(&[
            (
                "dunlin_redis_connected",
                Gauge,
                "Whether the second level answers.",
                f64::from(u8::from(stats.connected)),
            ),
            ("dunlin_redis_listening", Gauge, "Whether invalidations are heard.", f64::from(u8::from(stats.listening))),
            ("dunlin_redis_hits_total", Counter, "Found there.", stats.hits as f64),
            ("dunlin_redis_misses_total", Counter, "Not found there.", stats.misses as f64),
            ("dunlin_redis_kept_total", Counter, "Answers kept there.", stats.kept as f64),
            ("dunlin_redis_overtaken_total", Counter, "Not kept: invalidated meanwhile.", stats.overtaken as f64),
            ("dunlin_redis_dropped_total", Counter, "Not sent: too much on its way.", stats.dropped as f64),
            ("dunlin_redis_heard_total", Counter, "Invalidations of other instances.", stats.heard as f64),
            ("dunlin_redis_failures_total", Counter, "Commands that failed or took too long.", stats.failures as f64),
            ("dunlin_redis_gaps_total", Counter, "Times that memory was emptied.", stats.gaps as f64),
        ]);
    }
    let files = state
        .plan
        .files()
        .map(dunlin_static::Files::stats)
        .fold((0, 0), |sum, stats| (sum.0 + stats.files, sum.1 + stats.bytes));
    out.all(&[
        ("dunlin_files_known", Gauge, "Files that are known.", files.0 as f64),
        ("dunlin_files_bytes", Gauge, "Bytes that they take in memory.", files.1 as f64),
    ]);
}

fn database(out: &mut Exposition, state: &State) {
    let Some(database) = &state.plan.config().database else { return };
    let stats = database.stats();
    out.all(&[
        ("dunlin_database_budget", Gauge, "The most connections.", stats.budget as f64),
        ("dunlin_database_shared", Gauge, "Open connections that are shared by reads.", stats.shared as f64),
        ("dunlin_database_own", Gauge, "Other open connections.", stats.own as f64),
        ("dunlin_database_busy", Gauge, "Of these, at work.", stats.busy as f64),
        ("dunlin_database_queries_total", Counter, "Statements and transactions.", stats.queries as f64),
        ("dunlin_database_joined_total", Counter, "Reads answered by another's.", stats.joined as f64),
        ("dunlin_database_retried_total", Counter, "Run again.", stats.retried as f64),
        ("dunlin_database_exhausted_total", Counter, "No connection in time.", stats.exhausted as f64),
        ("dunlin_database_cancelled_total", Counter, "Cancelled on the server.", stats.cancelled as f64),
        ("dunlin_database_lost_total", Counter, "Shared connections lost.", stats.lost as f64),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("route", "/a\"b\\c\n"), r#"route="/a\"b\\c\n""#);
    }
}
