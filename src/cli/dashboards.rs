//! Arguments of `dashboards`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch dashboards
  bouncewatch dashboards grafana-reputation > reputation.json
  bouncewatch dashboards prometheus-rules > bouncewatch-rules.yml
  bouncewatch dashboards grafana-alerts --datasource UID > alerts.yml")]
pub(crate) struct DashboardsArgs {
    /// File to print [default: list the files with install steps]
    ///
    /// Dashboards (JSON): grafana-reputation, grafana-consumer. Alert rules (YAML): prometheus-rules, grafana-alerts.
    #[arg(value_enum, value_name = "NAME", hide_possible_values = true)]
    pub(crate) name: Option<DashboardName>,
    /// UID of the data source in Grafana, for grafana-alerts
    ///
    /// Replaces ${DS_PROMETHEUS} in the file. Without it, Grafana replaces ${DS_PROMETHEUS} by its environment variable of
    /// that name. In the dashboards it is a variable: select the data source in Grafana.
    #[arg(long, value_name = "UID", value_parser = data_source_uid, requires = "name")]
    pub(crate) datasource: Option<String>,
}

/// A file that the command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DashboardName {
    /// Grafana dashboard of the rates (JSON)
    GrafanaReputation,
    /// Grafana dashboard of the consumer (JSON)
    GrafanaConsumer,
    /// Alert rules for Prometheus (YAML)
    PrometheusRules,
    /// Alert rules for Grafana (YAML)
    GrafanaAlerts,
}

/// Accepts the UIDs of Grafana: letters, digits, `-` and `_`, at most 40.
fn data_source_uid(text: &str) -> Result<String, &'static str> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 40 || !text.chars().all(is_allowed) {
        return Err("a UID has 1 to 40 letters, digits, `-` and `_`");
    }
    Ok(text.to_owned())
}
