//! The text format of Prometheus, version 0.0.4.

use std::borrow::Cow;
use std::fmt::Write as _;

use dunlin_http::{Metric, MetricKind};

use crate::telemetry::Counts;

/// A page of metrics: families, each with its samples.
#[derive(Default)]
pub(super) struct Exposition(String);

/// The metrics of one name.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    samples: Vec<Sample>,
}

/// One series: a set of labels with its value.
struct Sample {
    labels: Vec<(&'static str, Cow<'static, str>)>,
    value: f64,
}

// === impl Exposition ===

impl Exposition {
    /// Writes metrics in the order of their first appearance. Values of one series are added up, so
    /// that no series is there twice.
    pub(super) fn metrics(&mut self, metrics: Vec<Metric>) {
        for Family { name, help, kind, samples } in families(metrics) {
            self.family(name, kind.as_str(), help);
            for Sample { labels, value } in samples {
                let labels = labels_text(&labels);
                let _ = match &*labels {
                    "" => writeln!(self.0, "{name} {value}"),
                    _ => writeln!(self.0, "{name}{{{labels}}} {value}"),
                };
            }
        }
    }

    /// Writes a histogram for each set of labels.
    pub(super) fn histograms<'c>(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Vec<(&'static str, Cow<'static, str>)>, &'c Counts)>,
    ) {
        self.family(name, "histogram", help);
        for (labels, counts) in series {
            counts.write(&mut self.0, name, &labels_text(&labels));
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

fn families(metrics: Vec<Metric>) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for Metric { name, help, kind, labels, value } in metrics {
        let index = families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            families.push(Family { name, help, kind, samples: Vec::new() });
            families.len() - 1
        });
        let samples = &mut families[index].samples;
        match samples.iter_mut().find(|sample| sample.labels == labels) {
            Some(sample) => sample.value += value,
            None => samples.push(Sample { labels, value }),
        }
    }
    families
}

/// `name="value"` for each label, escaped.
fn labels_text(labels: &[(&'static str, Cow<'static, str>)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let texts = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(labels_text(&[("route", "/a\"b\\c\n".into())]), r#"route="/a\"b\\c\n""#);
    }

    #[test]
    fn each_series_is_there_once() {
        let mut out = Exposition::default();
        let files = |value| Metric::gauge("files", "Files.", value);
        let hits = |route: &'static str, value| Metric::counter("hits_total", "Hits.", value).label("route", route);
        out.metrics(vec![files(1.0), hits("/", 1), files(2.5), hits("/a", 4), hits("/", 2)]);
        let expect = "# HELP files Files.\n# TYPE files gauge\nfiles 3.5\n\
            # HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total{route=\"/\"} 3\nhits_total{route=\"/a\"} 4\n";
        assert_eq!(out.into_text(), expect);
    }
}
