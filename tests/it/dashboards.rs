//! `dashboards` prints the files, and all their queries run in Prometheus on the metrics of `check` and `ingest`.

use std::path::Path;
use std::process::Command;

use crate::command::{CommandOutput, Workspace, tool};

#[test]
fn dashboards_prints_each_file_unchanged() {
    let workspace = Workspace::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let output = workspace.run(&format!("dashboards {name}"));
        assert_eq!(output.exit_code, 0, "{output:?}");
        assert_eq!(output.stdout, std::fs::read_to_string(&path).unwrap(), "{name}");
    }
}

#[test]
fn queries_of_dashboards_and_rules_run_in_prometheus() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dashboards/test_queries.py");
    let prometheus = tool("prometheus/usr/bin/prometheus");
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg("-B").arg(script).arg(env!("CARGO_BIN_EXE_bouncewatch"));
    let output = command.arg(prometheus.ancestors().nth(4).unwrap()).output().unwrap();
    assert!(output.status.success(), "{:?}", CommandOutput::from(output));
}
