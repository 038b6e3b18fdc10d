//! Output formats, escaping of untrusted text, and conventions of command-line programs (pipes, devices, completion).

use std::process::Stdio;

use serde_json::json;

use crate::command::{CommandOutput, Workspace};
use crate::messages::{Message, NOW, message, sent_and_bounced};

fn report(workspace: &Workspace, extra: &str) -> crate::command::CommandOutput {
    workspace.run(&format!(
        "report --store STORE --from 2026-11-18 --to {NOW} --every 1d --window 24h {extra}"
    ))
}

#[test]
fn report_prints_table_csv_json_and_parquet() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(200, 7));
    insta::assert_snapshot!("report_table", report(&workspace, "--by tag:campaign").transcript());
    insta::assert_snapshot!(
        "report_csv",
        report(&workspace, "--by identity --by recipient_domain --format csv").transcript()
    );
    insta::assert_snapshot!("report_json", report(&workspace, "--format json").transcript());
    let mut parquet = workspace.command(&format!(
        "report --store STORE --from 2026-11-18 --to {NOW} --format parquet -o r.parquet"
    ));

    assert_eq!(CommandOutput::from(parquet.output().unwrap()).exit_code, 0);
    assert!(std::fs::read(workspace.path("r.parquet")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn report_escapes_formulas_and_control_characters() {
    let workspace = Workspace::new();
    let hostile = Message {
        tags: json!({"campaign": ["=HYPERLINK(\"http://x\")\u{1b}[31m,\u{202e}"]}),
        ..message(1)
    };
    workspace.ingest(&hostile.send());
    let csv = report(&workspace, "--by tag:campaign --format csv").stdout;
    assert!(csv.contains("\"'=HYPERLINK"), "{csv}");
    let table = report(&workspace, "--by tag:campaign").stdout;
    assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'), "{table:?}");
}

#[test]
fn quiet_ingest_reports_quarantined_documents_on_stderr() {
    let workspace = Workspace::new();
    let output = workspace.run_with_stdin("ingest - --store STORE -q", "{\nbroken\n");
    assert_eq!((output.exit_code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.starts_with("error: documents quarantined: "), "{output:?}");
    assert!(output.stderr.contains("hint: `bouncewatch store quarantine list`"), "{output:?}");
    // without -q the summary has them
    let output = workspace.run_with_stdin("ingest - --store STORE", "broken\n");
    assert!(output.stdout.contains("quarantined 1: ") && output.stderr.is_empty(), "{output:?}");
    workspace.ingest("");
    let output = workspace.run_with_stdin("ingest - --store STORE -q", "");
    assert_eq!((output.exit_code, output.stderr.as_str()), (0, ""), "{output:?}");
}

#[test]
fn ingest_prints_counts_and_quarantine_reasons() {
    let workspace = Workspace::new();
    let events = sent_and_bounced(3, 1)
        + "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}\n<html>\u{1b}[2J\n{\"eventType\":\"Teleport\",\"mail\":{\"messageId\":\"m\"}}\n";
    let transcript = workspace.run_with_stdin("ingest - --store STORE", &events).transcript();
    let (before_duration, _) = transcript.split_once(", in ").unwrap();
    let (_, after_duration) = transcript.split_once(" s\n").unwrap();
    insta::assert_snapshot!("ingest_table", format!("{before_duration}{after_duration}"));
    let list = workspace.run("store quarantine list --store STORE --bodies");
    assert_eq!(list.exit_code, 0);
    let without_times: Vec<&str> = list
        .stdout
        .lines()
        .map(|line| line.split_once("Z  ").map_or(line, |(_, rest)| rest))
        .collect();
    insta::assert_snapshot!("quarantine_list", without_times.join("\n"));
}

#[test]
fn closed_stdout_exits_0() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(50, 2));
    let mut command = workspace.command(&format!(
        "report --store STORE --from 2020-01-01 --to {NOW} --every 1h --format csv"
    ));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let finished = CommandOutput::from(child.wait_with_output().unwrap());
    assert_eq!((finished.exit_code, finished.stderr.as_str()), (0, ""));
}

#[test]
fn config_rejects_unknown_keys_and_invalid_values() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 30));
    let with = |text: &str| {
        std::fs::write(workspace.path("c.toml"), text).unwrap();
        workspace.run(&format!("check --config c.toml --store STORE --at {NOW}"))
    };
    assert_eq!(with("[bounce]\nwarning = 0.03\n").exit_code, 1);
    assert_eq!(with("store = 'elsewhere'\nown_domains = ['example.org']\n").exit_code, 3);
    for (text, names) in [
        ("wimdows = []", "wimdows"),
        ("[bounce]\nwarning = 5\n", "fractions"),
        ("windows = [", "line 1: unclosed array"),
    ] {
        let failed = with(text);
        assert_eq!(failed.exit_code, 3, "{failed:?}");
        assert!(failed.stderr.contains(names) && failed.stderr.contains("c.toml"), "{failed:?}");
    }
    assert_eq!(workspace.run("config show").exit_code, 0);
    assert!(workspace.run("config init").stdout.contains("minimum_volume = 1000"));
}

#[test]
fn unreadable_files_are_reported_and_the_rest_is_ingested() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("in")).unwrap();
    std::fs::write(workspace.path("in/a.ndjson"), sent_and_bounced(5, 0)).unwrap();
    std::fs::write(workspace.path("in/b.parquet"), b"PAR1....PAR1").unwrap();
    std::fs::write(workspace.path("in/c.gz"), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3])
        .unwrap();
    let output = workspace.run("ingest in --store STORE --format json");
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert!(
        output.stderr.contains("b.parquet` is a Parquet file") && output.stderr.contains("c.gz"),
        "{output:?}"
    );
    assert_eq!(output.json()["rows"], 5);
}

#[test]
fn os_error_is_printed_once() {
    let workspace = Workspace::new();
    std::os::unix::fs::symlink("loop", workspace.path("loop")).unwrap();
    let output = workspace.run_with_stdin("ingest - --store loop", "");
    assert_eq!((output.exit_code, output.stderr.matches("os error").count()), (2, 1), "{output:?}");
}

#[test]
fn bash_completion_completes_a_flag() {
    let workspace = Workspace::new();
    let output = workspace.run("completions bash");
    assert_eq!((output.exit_code, output.stderr.as_str()), (0, ""));
    let ask = r#"COMP_WORDS=(bouncewatch ingest --sto); COMP_CWORD=2; _bouncewatch bouncewatch --sto ingest; echo "${COMPREPLY[@]}""#;
    let script = format!("{}\n{ask}", output.stdout);
    let answer = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "--store\n");
}

#[test]
fn output_option_keeps_devices_and_accepts_a_dash() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(50, 2));
    let output = workspace.run(&format!("check --store STORE --at {NOW} -o /dev/null"));
    assert_eq!((output.exit_code, output.stdout.as_str()), (0, ""), "{output:?}");
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    let output = workspace.run(&format!("check --store STORE --at {NOW} -o -"));
    assert!(output.stdout.starts_with("OK"), "{output:?}");
    for arguments in ["--config c.toml check --nope", "--log-format json check --nope"] {
        assert_eq!(workspace.run(arguments).exit_code, 3, "{arguments}");
    }
    for own in [".own.example", "@own.example", "own.example."] {
        assert_eq!(
            workspace.run(&format!("check --store STORE --at {NOW} --own-domain {own}")).exit_code,
            0
        );
    }
    assert_eq!(
        workspace.run(&format!("check --store STORE --at {NOW} --own-domain a,b")).exit_code,
        3
    );
}
