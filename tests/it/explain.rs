//! `explain`, and rules of the user's for it.

use serde_json::Value;

use crate::command::Place;

#[test]
fn one_text_is_explained_in_full() {
    let place = Place::new();
    let said = place.run_with(
        "explain -",
        "550 5.1.1 user unknown\n\n554 Client host [192.0.2.1] blocked using zen.spamhaus.org\u{1b}[31m\n",
    );
    assert_eq!(said.code, 0, "{}", said.whole());
    insta::assert_snapshot!("explain_lines", said.whole());
    let mut command = place.command("explain");
    command.arg("450 4.7.1 Greylisted, try again in 300 seconds");
    let said = crate::command::said(command.output().unwrap());
    insta::assert_snapshot!("explain_text", said.whole());
}

#[test]
fn the_exit_code_tells_whether_all_is_known() {
    let place = Place::new();
    for (input, code) in [
        ("550 5.1.1 user unknown\n", 0),
        ("550 5.1.1 user unknown\n550 xyzzy", 1),
        ("", 2),
        (" \n\r\n", 2),
        ("{\"eventType\":\"Bounce\"}", 2),
        ("{ no json", 2),
    ] {
        assert_eq!(place.run_with("explain", input).code, code, "{input}");
    }
}

#[test]
fn lines_and_events_as_json() {
    let place = Place::new();
    let json = |input: &str| -> Vec<Value> {
        let said = place.run_with("explain - --format json", input);
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
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
        let told = json(&input);
        assert_eq!(told[0]["cause"], "domain_invalid", "{input}");
        assert_eq!(told[0]["agrees_with_ses"], false, "{input}");
    }
}

#[test]
fn many_lines_keep_their_order() {
    let place = Place::new();
    let lines: Vec<String> =
        (0..60_000).map(|at| format!("550 5.1.1 user unknown {at:05}\n")).collect();
    let input = lines.concat();
    // from a file: the answers come while more is read, and nobody would read them
    std::fs::write(place.path("lines.txt"), input).unwrap();
    let mut command = place.command("explain");
    command.stdin(std::fs::File::open(place.path("lines.txt")).unwrap());
    let said = crate::command::said(command.output().unwrap());
    assert_eq!((said.code, said.out.lines().count()), (0, 60_000));
    let in_order =
        said.out.lines().enumerate().all(|(at, line)| line.ends_with(&format!("{at:05}")));
    assert!(in_order);
}

#[test]
fn rules_of_the_user_go_first() {
    let place = Place::new();
    let write = |name: &str, text: &str| std::fs::write(place.path(name), text).unwrap();
    let rule = "[[rule]]\nid = \"partner\"\ncause = \"greylisted\"\naction = \"ignore\"\nphrase = [\"come back & tomorrow\", \"at our partner\"]\nsample = \"550 5.1.1 user unknown at our partner\"\n";
    write("causes.toml", rule);
    write("good.toml", "cause_rules = \"causes.toml\"\n");
    write("inside.toml", rule);
    write("lost.toml", &rule.replace("550 5.1.1 user unknown at our partner", "550 no"));
    write("wrong.toml", &rule.replace("greylisted", "gone"));
    write("two.toml", &rule.replace("sample", "code = 550\nsample"));
    for settings in ["good.toml", "inside.toml"] {
        let said = place.run_with(
            &format!("explain - --format json --config {settings}"),
            "550 5.1.1 user unknown, come back to us tomorrow",
        );
        assert!(
            said.out.contains("\"cause\":\"greylisted\"")
                && said.out.contains("\"action\":\"ignore\""),
            "{}",
            said.whole()
        );
        let said = place.run(&format!("config check --config {settings}"));
        assert_eq!((said.code, said.out.as_str()), (0, "ok, and 1 cause rule knows its sample\n"));
    }
    for (settings, error) in [
        ("lost.toml", "rule `partner` does not win its own sample `550 no`: no rule knows it"),
        ("wrong.toml", "rule `partner`: no such cause: `gone`"),
        ("two.toml", "needs exactly one of"),
    ] {
        for command in ["config check", "config show", "explain x"] {
            let said = place.run(&format!("{command} --config {settings}"));
            assert_eq!(said.code, 2, "{command}");
            assert!(said.err.contains(error), "{}", said.whole());
        }
    }
}
