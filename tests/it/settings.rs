//! `config check` reports every setting that a command rejects, with the same message.

use crate::command::Workspace;
use crate::messages::{NOW, sent_and_bounced};

fn rule(lines: &str) -> String {
    format!("[[threshold]]\nmetric = \"bounce_rate\"\nwarning = 0.1\ncritical = 0.2\n{lines}")
}

#[test]
fn config_check_reports_what_commands_reject() {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10, 0));
    std::fs::write(workspace.path("in.ndjson"), sent_and_bounced(1, 0)).unwrap();
    std::fs::write(workspace.path("short"), "a key").unwrap();
    let check = format!("check --store STORE --at {NOW} --config c.toml");
    let ingest = "ingest in.ndjson --store STORE --config c.toml".to_owned();
    let cases = [
        (&check, "windows = [\"1y\"]".to_owned(), "`windows` in the settings: invalid window `1y`"),
        (&check, "windows = []".to_owned(), "`windows` in the settings: no window"),
        (&check, "by = [\"colour\"]".to_owned(), "`by` in the settings: cannot group by `colour`"),
        (&check, "own_domains = [\"a b\"]".to_owned(), "invalid own domain `a b`"),
        (
            &check,
            "counted_from = \"soon\"".to_owned(),
            "`counted_from` in the settings: invalid time `soon`",
        ),
        (&check, "contributors = [\"colour\"]".to_owned(), "cannot list contributors by `colour`"),
        (
            &check,
            "stale_after = \"soon\"".to_owned(),
            "`stale_after` in the settings: invalid duration `soon`",
        ),
        (&check, rule("colour = \"red\""), "unknown dimension `colour`"),
        (&check, rule("account = 123456789012"), "the value of `account` is not a string"),
        (&check, rule(""), "no scope given"),
        (
            &check,
            rule("identity = \"a\"").replace("bounce_rate", "open_rate"),
            "unknown metric `open_rate`",
        ),
        (&check, rule("identity = \"a\"\n") + &rule("identity = \"a\""), "two rules for"),
        (&check, "[bounce]\nwarning = 5.0".to_owned(), "[bounce]: thresholds must satisfy"),
        (&check, "[alert]\nclear_after = \"soon\"".to_owned(), "`clear_after` in [alert]"),
        (&check, "[alert]\nrenotify_after = \"soon\"".to_owned(), "`renotify_after` in [alert]"),
        (&check, "[alert]\nexec_timeout = \"soon\"".to_owned(), "`exec_timeout` in [alert]"),
        (&check, "[alert]\nsns = \"alarms\"".to_owned(), "not the ARN of an SNS topic: `alarms`"),
        (&check, "[alert]\nexec = \"\"".to_owned(), "the command is empty"),
        (&ingest, "[allow]\naccounts = [\"12345\"]".to_owned(), "no event matches `12345`"),
        (&ingest, "[allow]\ntopics = [\"ses-events\"]".to_owned(), "no event matches `ses-events`"),
        (
            &ingest,
            "[allow]\nidentities = [\"arn:aws:ses:us-east-1:123456789012:identity/a\"]".to_owned(),
            "`identities` in [allow] of the settings: no event matches",
        ),
        (&ingest, "[addresses]\npolicy = \"hash\"".to_owned(), "key"),
        (
            &ingest,
            "[addresses]\nkey_file = \"none\"".to_owned(),
            "could not read the key file `none`",
        ),
        (
            &ingest,
            "[addresses]\npolicy = \"hash\"\nkey_file = \"short\"".to_owned(),
            "invalid key file `short`",
        ),
        (&ingest, "cause_rules = \"none\"".to_owned(), "could not read cause rules `none`"),
    ];
    for (command, settings, expected) in cases {
        std::fs::write(workspace.path("c.toml"), &settings).unwrap();
        let of_command = workspace.run(command);
        assert!(of_command.exit_code >= 2, "{settings}: {of_command:?}");
        assert!(of_command.stderr.contains(expected), "{settings}: {of_command:?}");
        let checked = workspace.run("config check --config c.toml");
        assert_eq!(
            (checked.exit_code, checked.stdout.as_str()),
            (2, ""),
            "{settings}: {checked:?}"
        );
        assert_eq!(checked.stderr, of_command.stderr, "{settings}");
    }
}

#[test]
fn config_check_reports_all_invalid_sections_and_rules_without_effect() {
    let workspace = Workspace::new();
    let check = |settings: &str| {
        std::fs::write(workspace.path("c.toml"), settings).unwrap();
        workspace.run("config check --config c.toml")
    };
    let output = check("windows = [\"1y\"]\nstale_after = \"soon\"\n[allow]\naccounts = [\"1\"]\n");
    assert_eq!(output.stderr.matches("error: ").count(), 3, "{output:?}");
    let output = check("store = \"s3://b/p\"\n[alert]\nexec = \"page\"\nstate = \"s3://b\"\n");
    assert!(output.stderr.contains("no key in the location of the alert state"), "{output:?}");
    let output = check("store = \"s3://b/p\"\n[alert]\nexec = \"page\"\n");
    assert_eq!(output.exit_code, 0, "{output:?}");
    let output = check(&rule("identity = \"a\""));
    assert_eq!((output.exit_code, output.stdout.as_str()), (0, "ok\n"), "{output:?}");
    assert!(
        output.stderr.contains("[[threshold]] for bounce_rate of identity=a has no effect"),
        "{output:?}"
    );
}
