//! Alerts to webhooks: formats, signatures, and failures of the endpoint.

use serde_json::Value;

use crate::command::{CommandOutput, Workspace};
use crate::endpoint::Endpoint;
use crate::messages::{minutes_after_now, sent_and_bounced};

/// An endpoint that answers one request with each of some statuses.
fn endpoint(statuses: &[&'static str]) -> Endpoint {
    Endpoint::start(
        "T0/part-that-is-secret",
        statuses.iter().map(|status| (*status, "bad\x1b")).collect(),
    )
}

/// Settings of the page, and of a webhook with its URL in `OPS_URL`.
const PAGE_AND_OPS: &str = "[page]\nurl = \"https://status.example.com/page.html\"\n[[alert.webhook]]\nname = \"ops\"\nformat = \"json\"\nurl_env = \"OPS_URL\"\n";

/// Runs a command with the settings.
fn run(workspace: &Workspace, arguments: &str, url: &str) -> CommandOutput {
    let mut command = workspace.command(&format!("{arguments} --config settings.toml"));
    CommandOutput::from(command.env("OPS_URL", url).output().unwrap())
}

/// Runs a `check` of a store with a bounce rate of 6.2 % with the settings.
fn check(workspace: &Workspace, minutes: i64, url: &str) -> CommandOutput {
    let at = minutes_after_now(minutes);
    run(workspace, &format!("check --store STORE --window 1h --at {at}"), url)
}

fn workspace(settings: &str) -> Workspace {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 62));
    std::fs::write(workspace.path("secret"), "secret\n").unwrap();
    std::fs::write(workspace.path("settings.toml"), settings).unwrap();
    workspace
}

#[test]
fn webhook_receives_each_alert_once_also_after_a_failure() {
    let workspace = workspace(&format!("{PAGE_AND_OPS}secret_file = \"secret\"\n"));
    let endpoint = endpoint(&["503 Service Unavailable", "302 Found", "200 OK"]);
    for (minutes, expected) in [
        (-30, Some("503 Service Unavailable bad\\u{1b}")),
        (-25, Some("302 Found")),
        (-20, None),
        (-15, None),
    ] {
        let output = check(&workspace, minutes, &endpoint.url);
        assert_eq!(output.exit_code, 1, "{output:?}");
        let error = "error: could not post to the webhook ops";
        assert_eq!(output.stderr.contains(error), expected.is_some(), "{output:?}");
        assert!(output.stderr.contains(expected.unwrap_or_default()), "{output:?}");
        assert!(!output.stderr.contains("part-that-is-secret"), "{output:?}");
    }
    let requests = endpoint.finish();
    let messages: Vec<Value> =
        requests.iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(messages.len(), 3);
    // the receiver can deduplicate by ID
    assert_eq!(messages[0]["alert"]["id"], messages[2]["alert"]["id"]);
    assert_eq!(messages[2]["alert"]["level"], "warning");
    let head = &requests[2].0;
    assert!(head.starts_with("POST /T0/part-that-is-secret HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/json\r\n"), "{head}");
    assert!(head.contains("\r\nbouncewatch-signature: t="), "{head}");
    assert!(!head.contains("\r\nbouncewatch-signature: t=0,"), "{head}");
}

#[test]
fn chat_services_get_text_and_a_link_to_the_page() {
    for (format, text) in [
        ("slack", "/text"),
        ("discord", "/embeds/0/description"),
        ("teams", "/attachments/0/content/body/0/inlines/0/text"),
    ] {
        let workspace = workspace(&format!(
            "[page]\nurl = \"https://status.example.com/page.html\"\n[[alert.webhook]]\nname = \"ops\"\nformat = \"{format}\"\nurl_env = \"OPS_URL\"\n"
        ));
        let endpoint = endpoint(&["204 No Content"]);
        let output = check(&workspace, -30, &endpoint.url);
        assert_eq!((output.exit_code, output.stderr.as_str()), (1, ""), "{format}");
        let requests = endpoint.finish();
        let (head, body) = &requests[0];
        assert!(!head.contains("bouncewatch-signature"), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        let text = body.pointer(text).unwrap().as_str().unwrap();
        assert!(text.contains("WARNING: bounce rate 6.20 % (62 of 1000) in 1h"), "{format} {text}");
        assert!(body.to_string().contains("https://status.example.com/page.html"), "{body}");
    }
}

#[test]
fn invalid_settings_of_a_webhook_are_reported_before_anything_is_sent() {
    let ops = "[[alert.webhook]]\nname = \"ops\"\n";
    for (settings, expected) in [
        (format!("{ops}format = \"irc\"\nurl_env = \"OPS_URL\"\n"), "unknown format `irc`"),
        (format!("{ops}format = \"slack\"\n"), "url_file or url_env is missing"),
        (
            format!("{ops}format = \"slack\"\nurl_env = \"OPS_URL\"\nurl_file = \"secret\"\n"),
            "not both",
        ),
        (
            format!("{ops}format = \"slack\"\nurl_env = \"OPS_URL\"\n").repeat(2),
            "empty or not unique: `ops`",
        ),
    ] {
        let workspace = workspace(&settings);
        let output = check(&workspace, -30, "http://127.0.0.1:9/part-that-is-secret");
        assert_eq!((output.exit_code, output.stdout.as_str()), (3, ""), "{settings} {output:?}");
        assert!(output.stderr.contains(expected), "{settings} {output:?}");
        assert!(!output.stderr.contains("part-that-is-secret"), "{output:?}");
        assert!(!workspace.path("store/alerts.json").try_exists().unwrap());
    }
}

/// A crontab that does not set the variable of one webhook must not mute the other.
#[test]
fn unusable_webhook_is_an_error_and_the_others_receive_alerts() {
    for (url, expected) in [
        ("url_env = \"NO_SUCH_NAME\"", "`NO_SUCH_NAME`"),
        ("url_file = \"no/such/file\"", "could not read `no/such/file`"),
        ("url_file = \"secret\"", "must start with https://"),
        ("url_env = \"OPS_URL\"\nsecret_env = \"NO_SUCH_NAME\"", "`NO_SUCH_NAME`"),
    ] {
        let chat = format!("[[alert.webhook]]\nname = \"chat\"\nformat = \"slack\"\n{url}\n");
        let workspace = workspace(&(chat + PAGE_AND_OPS));
        let endpoint = endpoint(&["200 OK"]);
        for minutes in [-30, -25] {
            let output = check(&workspace, minutes, &endpoint.url);
            assert_eq!(output.exit_code, 1, "{output:?}");
            assert!(output.stderr.contains("error: [[alert.webhook]] `chat`"), "{output:?}");
            assert!(output.stderr.contains(expected), "{output:?}");
        }
        assert_eq!(endpoint.finish().len(), 1);
        let checked = workspace.run("config check --config settings.toml");
        assert_eq!(checked.exit_code, 2, "{checked:?}");
        assert!(checked.stderr.contains("[[alert.webhook]] `chat`"), "{checked:?}");
    }
}

#[test]
fn test_alert_is_sent_to_each_channel_and_changes_no_state() {
    let workspace = workspace(PAGE_AND_OPS);
    let endpoint = endpoint(&["200 OK", "404 Not Found"]);
    let test = |command: &str| {
        run(&workspace, &format!("check --test-alert --alert-exec {command}"), &endpoint.url)
    };
    let output = test("cat>received");
    assert_eq!((output.exit_code, output.stderr.as_str()), (0, ""), "{output:?}");
    assert_eq!(output.stdout, "sent to exec\nsent to webhook:ops\n");
    let output = test("false --alert-stdout");
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(output.stderr.contains("error: the alert command failed"), "{output:?}");
    assert!(output.stderr.contains("error: could not post to the webhook ops"), "{output:?}");
    assert!(output.stdout.contains("test message, no alert\n"), "{output:?}");
    assert!(!workspace.path("store/alerts.json").try_exists().unwrap());
    let requests = endpoint.finish();
    let received = std::fs::read_to_string(workspace.path("received")).unwrap();
    assert_eq!(received.trim_end(), requests[0].1);
    let message: Value = serde_json::from_str(&received).unwrap();
    assert_eq!(message["test"], true);
    assert_eq!(message["alert"]["level"], "ok");
    assert_eq!(message["alert"]["page"], "https://status.example.com/page.html");
    let no_channel = workspace.run("check --test-alert");
    assert_eq!(no_channel.exit_code, 3, "{no_channel:?}");
    assert!(no_channel.stderr.contains("no alert channel is set\n  hint: "), "{no_channel:?}");
}

#[test]
fn check_without_alerts_reads_no_secret() {
    let workspace = workspace(
        "[[alert.webhook]]\nname = \"ops\"\nformat = \"slack\"\nurl_env = \"NO_SUCH_NAME\"\n",
    );
    let at = minutes_after_now(-30);
    let arguments = format!("check --store STORE --window 1h --at {at} --config settings.toml");
    let output = workspace.run(&arguments);
    assert!(output.stderr.contains("`NO_SUCH_NAME`"), "{output:?}");
    let output = workspace.run(&format!("{arguments} --no-alert"));
    assert_eq!((output.exit_code, output.stderr.as_str()), (1, ""), "{output:?}");
}
