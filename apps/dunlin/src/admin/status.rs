//! `/status.json`: what the status page shows.

use dunlin_fetch::{ServerState, ServerStatus};
use serde_json::{Value, json};

use super::State;
use crate::process;
use crate::service::Plan;
use crate::telemetry::{Counts, Label, RouteTotals};

pub(super) fn document(state: &State) -> Value {
    let plan = state.service.plan();
    let (config, telemetry) = (plan.config(), plan.telemetry());
    let totals = plan.totals();
    let (last, known) = match totals.split_last() {
        Some((last, known)) => (Some(last), known),
        None => (None, &totals[..]),
    };
    let mut routes: Vec<Value> = config
        .routes
        .iter()
        .zip(known)
        .map(|(route, (label, totals))| row(label, route.kind.name, &route.cache.to_string(), totals))
        .collect();
    routes.extend(last.filter(|(_, totals)| totals.answers() > 0).map(|(label, totals)| row(label, "", "", totals)));
    let usage = process::usage();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "config": config.file(),
        "uptime": telemetry.started.elapsed().as_secs(),
        "unready": state.unready(),
        "listen": state.server.local_addrs().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "cpu": usage.cpu.as_secs_f64(),
        "memory": usage.resident,
        "loops": state.server.stats().iter().map(|stats| json!({
            "connections": stats.connections,
            "parked": stats.parked,
            "requests": stats.requests,
        })).collect::<Vec<_>>(),
        "routes": routes,
        "reload": state.reloads.outcomes().document(),
        "cache": cache(&plan),
        "upstreams": plan.servers().iter().map(|(upstream, status)| server(upstream, status)).collect::<Vec<_>>(),
        "certificates": super::certificates::document(state),
        "live": plan.hub().map(|hub| {
            let stats = hub.stats();
            json!({"watchers": stats.watchers, "topics": stats.topics, "events": stats.events, "skipped": stats.skipped})
        }),
        "database": config.database.as_ref().map(|database| {
            let stats = database.stats();
            json!({"budget": stats.budget, "open": stats.shared + stats.own, "busy": stats.busy, "queries": stats.queries})
        }),
    })
}

/// The row of a server of an upstream.
fn server(upstream: &str, status: &ServerStatus) -> Value {
    let micros = |counts: &Counts, quantile| counts.quantile(quantile).map(|bound| bound.as_micros() as u64);
    let failures = status.failures.iter().filter(|(_, count)| *count > 0);
    json!({
        "upstream": upstream,
        "server": status.server,
        "state": status.state.as_str(),
        "reason": status.reason.as_deref().filter(|_| status.state != ServerState::Up),
        "pending": status.pending,
        "requests": status.requests,
        "failures": failures.map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>(),
        "connect": micros(&status.connect_times, 0.5),
        "p50": micros(&status.head_times, 0.5),
        "p99": micros(&status.head_times, 0.99),
    })
}

fn cache(plan: &Plan) -> Value {
    let stats = plan.cache().stats();
    json!({
        "hits": stats.hits,
        "misses": stats.misses,
        "collapsed": stats.collapsed,
        "keys": stats.keys,
        "bytes": stats.bytes,
        "memory": plan.config().cache.config.memory,
    })
}

fn row(label: &Label, kind: &str, cache: &str, totals: &RouteTotals) -> Value {
    let micros = |quantile| totals.ttfb.quantile(quantile).map(|bound| bound.as_micros() as u64);
    json!({
        "methods": label.methods,
        "path": label.path,
        "kind": kind,
        "cache": cache,
        "answers": totals.answers(),
        "errors": totals.classes[4],
        "refused": totals.classes[3],
        "aborted": totals.aborted,
        "bytes": totals.bytes,
        "p50": micros(0.5),
        "p99": micros(0.99),
    })
}
