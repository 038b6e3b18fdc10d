//! `bouncewatch dashboards`: Grafana dashboards and alert rules, which are files in `dashboards/`.

use std::fmt::Write;

use anyhow::bail;
use clap::ValueEnum;

use super::command_result::CommandResult;
use crate::cli::{DashboardName, DashboardsArgs};

/// What `--datasource` replaces; the comment at the top of the file has the variable without quotes.
const DATA_SOURCE: &str = "\"${DS_PROMETHEUS}\"";

/// Returns the text of a file.
const fn text(name: DashboardName) -> &'static str {
    match name {
        DashboardName::GrafanaReputation => {
            include_str!("../../dashboards/grafana-reputation.json")
        }
        DashboardName::GrafanaConsumer => include_str!("../../dashboards/grafana-consumer.json"),
        DashboardName::PrometheusRules => include_str!("../../dashboards/prometheus-rules.yml"),
        DashboardName::GrafanaAlerts => include_str!("../../dashboards/grafana-alerts.yml"),
    }
}

/// Returns the content of a file and how to install it.
const fn guide(name: DashboardName) -> [&'static str; 3] {
    const IMPORT: &str = "install: in Grafana, Dashboards > New > Import, paste the output";
    match name {
        DashboardName::GrafanaReputation => [
            "Grafana dashboard: rates with intervals and thresholds, levels, groups, feed",
            "needs:   check --format prometheus, in the textfile collector of node_exporter",
            IMPORT,
        ],
        DashboardName::GrafanaConsumer => [
            "Grafana dashboard: lag, throughput, quarantine, failures, AWS calls",
            "needs:   ingest --follow --metrics-addr, scraped as the job `bouncewatch`",
            IMPORT,
        ],
        DashboardName::PrometheusRules => [
            "alert rules for Prometheus: rates, unknown rate, stale check or feed, consumer",
            "needs:   Prometheus 2.42 or newer, with the metrics of both dashboards",
            "install: save the output, add its path to rule_files in prometheus.yml, reload",
        ],
        DashboardName::GrafanaAlerts => [
            "the same alert rules for Grafana, if Grafana evaluates alerts",
            "needs:   --datasource UID, the UID of the Prometheus data source in Grafana",
            "install: save the output in provisioning/alerting of Grafana, restart Grafana",
        ],
    }
}

pub(super) fn run(args: &DashboardsArgs) -> anyhow::Result<CommandResult> {
    let Some(name) = args.name else {
        return Ok(CommandResult::data(list()));
    };
    let Some(uid) = &args.datasource else {
        return Ok(CommandResult::data(text(name)));
    };
    if name != DashboardName::GrafanaAlerts {
        bail!("--datasource applies to grafana-alerts only");
    }
    Ok(CommandResult::data(text(name).replace(DATA_SOURCE, &format!("\"{uid}\""))))
}

fn list() -> String {
    let mut list = String::new();
    for name in DashboardName::value_variants() {
        let value = name.to_possible_value();
        let shown = value.as_ref().map_or("", |value| value.get_name());
        let [content, needs, install] = guide(*name);
        // writing to a String cannot fail
        _ = writeln!(list, "{shown}\n  {content}\n  {needs}\n  {install}\n");
    }
    list.push_str("`bouncewatch dashboards NAME` prints a file.\n");
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(name: Option<DashboardName>, datasource: Option<&str>) -> anyhow::Result<String> {
        let result = run(&DashboardsArgs { name, datasource: datasource.map(str::to_owned) })?;
        Ok(String::from_utf8(result.data)?)
    }

    #[test]
    fn list_names_every_file_and_fits_80_columns() {
        let list = printed(None, None).unwrap();
        for name in DashboardName::value_variants() {
            let name = name.to_possible_value().unwrap();
            assert!(list.lines().any(|line| line == name.get_name()), "{list}");
        }
        assert!(list.lines().all(|line| line.chars().count() <= 80), "{list}");
    }

    #[test]
    fn dashboard_names_equal_file_names_in_dashboards_folder() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into())
            .collect();
        files.sort();
        let mut names: Vec<String> = DashboardName::value_variants()
            .iter()
            .map(|name| name.to_possible_value().unwrap().get_name().to_owned())
            .collect();
        names.sort();
        assert_eq!(files, names);
    }

    #[test]
    fn datasource_replaces_the_variable_in_alerts_only() {
        let with_uid = printed(Some(DashboardName::GrafanaAlerts), Some("abc")).unwrap();
        assert!(
            with_uid.contains("datasourceUid: \"abc\"") && !with_uid.contains("datasourceUid: \"$")
        );
        assert!(printed(Some(DashboardName::GrafanaConsumer), Some("abc")).is_err());
    }
}
