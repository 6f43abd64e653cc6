//! `/metrics`: all figures, for Prometheus.
//!
//! Each part counts for itself and describes its own figures. They are read when the page is asked
//! for, so the path of a request pays for additions alone.

use std::borrow::Cow;

use dunlin_fetch::ServerStatus;
use dunlin_http::{Metric, MetricKind};

use super::State;
use super::exposition::Exposition;
use crate::process;
use crate::telemetry::{Counts, Label, RouteTotals};

/// The page.
pub(super) fn page(state: &State) -> String {
    let mut out = Exposition::default();
    let plan = state.service.plan();
    let totals = plan.totals();
    let mut metrics = service(state);
    metrics.extend(process::usage().metrics());
    metrics.extend(crate::log::metrics());
    metrics.extend(totals.iter().flat_map(|(label, totals)| route(label, totals)));
    metrics.extend(state.server.stats().iter().flat_map(dunlin_server::LoopStats::metrics));
    metrics.extend(plan.metrics());
    metrics.extend(super::certificates::metrics(state));
    metrics.extend(state.reloads.outcomes().metrics());
    // Metrics of one name follow each other on the page, whatever their order here.
    out.metrics(metrics);
    out.histograms(
        "dunlin_response_head_seconds",
        "Time from the request's head to the response's head.",
        totals.iter().map(|(label, totals)| (labels(label), &totals.ttfb)),
    );
    out.histograms(
        "dunlin_request_duration_seconds",
        "Time from the request's head to the end of the response's body.",
        totals.iter().map(|(label, totals)| (labels(label), &totals.duration)),
    );
    let servers = plan.servers();
    let labelled = |times: fn(&ServerStatus) -> &Counts| {
        servers.iter().map(move |(upstream, status)| {
            let labels = vec![("upstream", upstream.clone().into()), ("server", status.server.clone().into())];
            (labels, times(status))
        })
    };
    if !servers.is_empty() {
        out.histograms(
            "dunlin_upstream_server_connect_seconds",
            "Time to open a connection to the server: name, TCP and TLS.",
            labelled(|status| &status.connect_times),
        );
        out.histograms(
            "dunlin_upstream_server_head_seconds",
            "Time from a request to the head of the server's response.",
            labelled(|status| &status.head_times),
        );
    }
    out.into_text()
}

fn service(state: &State) -> Vec<Metric> {
    let ready = if state.unready().is_empty() { 1.0 } else { 0.0 };
    let uptime = state.service.plan().telemetry().started.elapsed().as_secs_f64();
    vec![
        Metric::gauge("dunlin_build_info", "The running version.", 1.0).label("version", env!("CARGO_PKG_VERSION")),
        Metric::gauge("dunlin_ready", "1 if new clients may be sent here.", ready),
        Metric::gauge("dunlin_uptime_seconds", "Seconds since the start.", uptime),
    ]
}

/// The figures of one route.
fn route(label: &Label, totals: &RouteTotals) -> Vec<Metric> {
    let metric = |name, help, value: u64| Metric { labels: labels(label), ..Metric::counter(name, help, value) };
    let mut metrics: Vec<Metric> = Vec::new();
    for (class, count) in totals.classes.iter().enumerate().filter(|(_, count)| **count > 0) {
        let help = "Requests with a complete response, by route and class of status.";
        metrics.push(metric("dunlin_requests_total", help, *count).label("status", format!("{}xx", class + 1)));
    }
    let help = "Requests that ended before their response was complete.";
    metrics.push(metric("dunlin_requests_aborted_total", help, totals.aborted));
    metrics.push(metric("dunlin_response_bytes_total", "Bytes of response bodies, as encoded.", totals.bytes));
    metrics
}

/// The labels of a route. The methods tell routes of one path apart.
fn labels(label: &Label) -> Vec<(&'static str, Cow<'static, str>)> {
    vec![("route", label.path.clone().into()), ("method", label.methods.clone().into())]
}

impl process::Usage {
    fn metrics(self) -> Vec<Metric> {
        let Self { cpu, resident, descriptors } = self;
        let cpu = Metric {
            kind: MetricKind::Counter,
            ..Metric::gauge("process_cpu_seconds_total", "User and system time.", cpu.as_secs_f64())
        };
        vec![
            cpu,
            Metric::gauge("process_resident_memory_bytes", "Memory in use.", resident as f64),
            Metric::gauge("process_open_fds", "Open file descriptors.", descriptors as f64),
        ]
    }
}
