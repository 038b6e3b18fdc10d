//! `explain`, with built-in and user rules.

use serde_json::Value;

use crate::command::{CommandOutput, Workspace};

#[test]
fn explain_prints_a_line_per_input_line_and_details_for_an_argument() {
    let workspace = Workspace::new();
    let output = workspace.run_with_stdin(
        "explain -",
        "550 5.1.1 user unknown\n\n554 Client host [192.0.2.1] blocked using zen.spamhaus.org\u{1b}[31m\n",
    );
    assert_eq!(output.exit_code, 0, "{}", output.transcript());
    insta::assert_snapshot!("explain_lines", output.transcript());
    let mut command = workspace.command("explain");
    command.arg("450 4.7.1 Greylisted, try again in 300 seconds");
    let output = CommandOutput::from(command.output().unwrap());
    insta::assert_snapshot!("explain_text", output.transcript());
}

#[test]
fn explain_exits_1_on_unknown_text_and_2_on_invalid_input() {
    let workspace = Workspace::new();
    for (input, code) in [
        ("550 5.1.1 user unknown\n", 0),
        ("550 5.1.1 user unknown\n550 xyzzy", 1),
        ("", 2),
        (" \n\r\n", 2),
        ("{\"eventType\":\"Bounce\"}", 2),
        ("{ no json", 2),
    ] {
        assert_eq!(workspace.run_with_stdin("explain", input).exit_code, code, "{input}");
    }
}

#[test]
fn explain_json_accepts_lines_and_events() {
    let workspace = Workspace::new();
    let json = |input: &str| -> Vec<Value> {
        let output = workspace.run_with_stdin("explain - --format json", input);
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let lines = json("550 5.1.1 user unknown\n421 4.7.0 [TSS04] Messages from 192.0.2.1 deferred");
    assert_eq!(lines[0]["cause"], "mailbox_unknown");
    assert_eq!(
        (&lines[0]["fault"], &lines[0]["action"]),
        (&"recipient_address".into(), &"suppress".into())
    );
    assert_eq!(lines[1]["rule"], "yahoo_deferred");
    let event = r#"{"eventType":"Bounce","mail":{"messageId":"m-1","timestamp":"2026-11-20T10:00:00.000Z","destination":["anna@example.org"]},
        "bounce":{"bounceType":"Transient","bounceSubType":"General","timestamp":"2026-11-20T10:00:01.000Z",
        "bouncedRecipients":[{"emailAddress":"anna@example.org","action":"failed","status":"5.4.4","diagnosticCode":"smtp; 550 5.4.4 Invalid domain"}]}}"#;
    let wrapped = serde_json::json!({"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:123456789012:t",
        "MessageId": "s-1", "Timestamp": "2026-11-20T10:00:02.000Z", "Message": event})
    .to_string();
    for input in [event.to_owned(), wrapped, format!("[{event},\n{event}]")] {
        let classifications = json(&input);
        assert_eq!(classifications[0]["cause"], "domain_invalid", "{input}");
        assert_eq!(classifications[0]["agrees_with_ses"], false, "{input}");
    }
}

#[test]
fn explain_keeps_the_order_of_60000_lines() {
    let workspace = Workspace::new();
    let lines: Vec<String> =
        (0..60_000).map(|at| format!("550 5.1.1 user unknown {at:05}\n")).collect();
    let input = lines.concat();
    // stdin is a file: with a pipe the child would block, because its output is read only after all input is written
    std::fs::write(workspace.path("lines.txt"), input).unwrap();
    let mut command = workspace.command("explain");
    command.stdin(std::fs::File::open(workspace.path("lines.txt")).unwrap());
    let output = CommandOutput::from(command.output().unwrap());
    assert_eq!((output.exit_code, output.stdout.lines().count()), (0, 60_000));
    let is_in_order =
        output.stdout.lines().enumerate().all(|(at, line)| line.ends_with(&format!("{at:05}")));
    assert!(is_in_order);
}

#[test]
fn user_cause_rules_take_precedence() {
    let workspace = Workspace::new();
    let write = |name: &str, text: &str| std::fs::write(workspace.path(name), text).unwrap();
    let rule = "[[rule]]\nid = \"partner\"\ncause = \"greylisted\"\naction = \"ignore\"\nphrase = [\"come back & tomorrow\", \"at our partner\"]\nsample = \"550 5.1.1 user unknown at our partner\"\n";
    write("causes.toml", rule);
    write("good.toml", "cause_rules = \"causes.toml\"\n");
    write("inside.toml", rule);
    write("lost.toml", &rule.replace("550 5.1.1 user unknown at our partner", "550 no"));
    write("wrong.toml", &rule.replace("greylisted", "gone"));
    write("two.toml", &rule.replace("sample", "code = 550\nsample"));
    for settings in ["good.toml", "inside.toml"] {
        let output = workspace.run_with_stdin(
            &format!("explain - --format json --config {settings}"),
            "550 5.1.1 user unknown, come back to us tomorrow",
        );
        assert!(
            output.stdout.contains("\"cause\":\"greylisted\"")
                && output.stdout.contains("\"action\":\"ignore\""),
            "{}",
            output.transcript()
        );
        let output = workspace.run(&format!("config check --config {settings}"));
        assert_eq!(
            (output.exit_code, output.stdout.as_str()),
            (0, "ok, 1 cause rule matches its sample\n")
        );
    }
    for (settings, error) in [
        ("lost.toml", "rule `partner` does not win its own sample `550 no`: no rule matches it"),
        ("wrong.toml", "rule `partner`: unknown cause `gone`"),
        ("two.toml", "needs exactly one of"),
    ] {
        for command in ["config check", "config show", "explain x"] {
            let output = workspace.run(&format!("{command} --config {settings}"));
            assert_eq!(output.exit_code, 2, "{command}");
            assert!(output.stderr.contains(error), "{}", output.transcript());
        }
    }
}
