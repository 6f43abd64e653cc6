//! The figures of an upstream.

use std::sync::atomic::Ordering;

use dunlin_http::Metric;

use super::server::{FailureKind, Server};
use super::state::Upstream;

// === impl Upstream ===

impl Upstream {
    /// The figures with their descriptions.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let own = |metric: Metric| metric.label("upstream", self.name.clone());
        let waiting = self.config.max_waiting.saturating_sub(self.places.available_permits());
        let mut metrics = vec![
            own(Metric::counter(
                "dunlin_upstream_retries_total",
                "Requests tried again, on another server or after a wait.",
                self.retries.get(),
            )),
            own(Metric::gauge("dunlin_upstream_waiting", "Requests that wait for a server.", waiting as f64)),
            own(Metric::counter(
                "dunlin_upstream_overloaded_total",
                "Requests refused because every server had max_pending requests.",
                self.overloaded.get(),
            )),
            own(Metric::counter(
                "dunlin_upstream_unavailable_total",
                "Requests that no server was up for.",
                self.unavailable.get(),
            )),
        ];
        metrics.extend(self.servers.iter().flat_map(|server| self.server_metrics(server)));
        metrics
    }

    fn server_metrics(&self, server: &Server) -> Vec<Metric> {
        let own = |metric: Metric| metric.label("upstream", self.name.clone()).label("server", server.name.clone());
        let gauge = |name, help, value: f64| own(Metric::gauge(name, help, value));
        let flag = |name, help, value: bool| gauge(name, help, f64::from(u8::from(value)));
        let (standing, now) = (server.standing(), self.now());
        let mut metrics = vec![
            flag("dunlin_upstream_server_up", "1 if the server is up.", standing.is_open(now) && !self.is_down()),
            flag(
                "dunlin_upstream_server_ejected",
                "1 if the server gets no requests because too many failed.",
                standing.ejected_until > now,
            ),
            flag(
                "dunlin_upstream_server_unhealthy",
                "1 if the server gets no requests because its health checks fail.",
                standing.is_unhealthy,
            ),
            gauge(
                "dunlin_upstream_server_pending",
                "Requests under way to the server.",
                server.pending.load(Ordering::Relaxed) as f64,
            ),
            own(Metric::counter(
                "dunlin_upstream_server_requests_total",
                "Requests sent to the server, each attempt counted.",
                server.requests.get(),
            )),
        ];
        metrics.extend(FailureKind::ALL.into_iter().zip(&server.failures).map(|(kind, count)| {
            own(Metric::counter(
                "dunlin_upstream_server_failures_total",
                "Failed requests to the server by kind.",
                count.get(),
            ))
            .label("kind", kind.as_str())
        }));
        metrics
    }
}
