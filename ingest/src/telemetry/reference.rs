//! Descriptions of all metrics, and the reference page `docs/src/metrics.md` that is generated from them.

use std::fmt::Write;

use prometheus_client::registry::{Metric, Registry, Unit};

/// Prefix of all metric names.
const PREFIX: &str = "bouncewatch";

/// Description of one metric, as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricDescription {
    /// Name of the sample as Prometheus stores it, with prefix, unit and suffix (`_total`, `_info`). A histogram has
    /// samples with the suffixes `_bucket`, `_sum` and `_count`.
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// `seconds` or `bytes`.
    pub unit: Option<String>,
    /// Names of its labels.
    pub labels: Vec<&'static str>,
    /// Its help text.
    pub help: &'static str,
}

/// Name, unit, labels and help text of a metric to register.
#[derive(Debug)]
pub(super) struct MetricSpec {
    name: &'static str,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
}

impl MetricSpec {
    /// A metric without unit and labels. `help` must not end with a full stop.
    pub(super) const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, unit: None, labels: &[], help }
    }

    pub(super) fn unit(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    pub(super) fn labels(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }
}

/// A registry that keeps the description of each metric.
#[derive(Debug)]
pub(super) struct DescribedRegistry {
    pub(super) registry: Registry,
    pub(super) descriptions: Vec<MetricDescription>,
}

impl DescribedRegistry {
    pub(super) fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), descriptions: Vec::new() }
    }

    pub(super) fn register(&mut self, spec: MetricSpec, metric: impl Metric) {
        let MetricSpec { name, unit, labels, help } = spec;
        let kind = metric.metric_type().as_str().to_owned();
        let unit_name = unit.as_ref().map(|unit| unit.as_str().to_owned());
        let unit_suffix = unit_name.as_deref().map_or_else(String::new, |unit| format!("_{unit}"));
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        self.descriptions.push(MetricDescription {
            name: format!("{PREFIX}_{name}{unit_suffix}{suffix}"),
            kind,
            unit: unit_name,
            labels: labels.to_vec(),
            help,
        });
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }
}

/// The reference page of all metrics, as Markdown.
pub fn markdown(metrics: &[MetricDescription]) -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `bouncewatch ingest --metrics-addr ADDR` serves these metrics at `/metrics` in the OpenMetrics 1.0.0 text format\n\
         (`application/openmetrics-text`). [Run the consumer](consumer.md) describes the endpoint; [Grafana and\n\
         Prometheus](grafana.md) has a dashboard and alert rules.\n\n\
         A counter starts at 0 with each run. No metric contains an email address.\n\n\
         | metric | type | labels | unit | meaning |\n\
         |---|---|---|---|---|\n",
    );
    let mut sorted: Vec<&MetricDescription> = metrics.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for MetricDescription { name, kind, unit, labels, help } in sorted {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        // writing to a String cannot fail
        _ = writeln!(
            page,
            "| `{name}` | {kind} | {} | {} | {help} |",
            labels.join(", "),
            unit.as_deref().unwrap_or_default()
        );
    }
    page.push_str(
        "\nA histogram has the samples `_bucket`, `_sum` and `_count`. `reason` is a reason of quarantine or of an ignored\n\
         document, see [Troubleshooting](troubleshooting.md). `action` is the name of the IAM permission, for example\n\
         `sqs:ReceiveMessage`.\n\n\
         This page is generated from the registry of metrics in `ingest/src/telemetry/metrics.rs`.\n",
    );
    page
}
