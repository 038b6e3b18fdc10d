//! `check --brake`: pauses sending in the second check that demands it. Responses of AWS are scripted; `fixtures/deploy`
//! has the same with an emulator.

use bouncewatch_schemas::time::format_ms;
use chrono::Utc;
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace};
use crate::emulator::CREDENTIALS;
use crate::endpoint::Endpoint;
use crate::messages::sent_and_bounced;

const IDENTITY: (&str, &str) = (
    "200 OK",
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
     </GetCallerIdentityResult></GetCallerIdentityResponse>",
);
/// Alert command that appends each message to a file.
const ALERT: [&str; 2] = ["--alert-exec", "cat >> received"];
const DONE: (&str, &str) = ("200 OK", "{}");
const SET_ALLOWED: (&str, &str) = ("200 OK", r#"{"SendingOptions": {"SendingEnabled": true}}"#);
const SET_PAUSED: (&str, &str) = ("200 OK", r#"{"SendingOptions": {"SendingEnabled": false}}"#);
const DENIED: (&str, &str) =
    ("403 Forbidden", r#"{"__type": "AccessDeniedException", "message": "x"}"#);

/// A store with 120 bounces of 1,000 messages of the configuration set `main`, an hour ago, and settings for a target.
fn workspace(target: &str) -> Workspace {
    let workspace = Workspace::new();
    let an_hour_ago = format_ms(Utc::now().timestamp_millis() - 3_600_000);
    let events = sent_and_bounced(1_000, 120).replace("2026-11-19T23:00:00.000Z", &an_hour_ago);
    let tagged = r#""ses:configuration-set":["main"],"ses:tenant-name":["shop"]"#;
    workspace.ingest(&events.replace(r#""ses:configuration-set":["main"]"#, tagged));
    let settings = format!(
        "by = [\"configuration_set\", \"tenant\"]\n[brake]\ntarget = \"{target}\"\nconfirm_after = \"0s\"\n"
    );
    std::fs::write(workspace.path("settings.toml"), settings).unwrap();
    workspace
}

/// Runs a check with the brake and an alert command; returns also method, path and body of each request.
fn check(
    workspace: &Workspace,
    extra: &str,
    answers: Vec<(&'static str, &'static str)>,
) -> (CommandOutput, Vec<String>) {
    let endpoint = Endpoint::start("", answers);
    let url = endpoint.url.trim_end_matches('/');
    let arguments =
        format!("check --store STORE --config settings.toml --endpoint-url {url} --brake {extra}");
    let mut command = workspace.command(&arguments);
    let output = command.args(ALERT).envs(CREDENTIALS).output().unwrap();
    (CommandOutput::from(output), endpoint.finish_lines())
}

/// The part of the JSON about the brake.
fn brake(output: &CommandOutput) -> Value {
    let json: Value = serde_json::from_str(&output.stdout).expect(&output.stderr);
    json["brake"].clone()
}

#[test]
fn second_check_pauses_the_set_reads_it_back_and_notifies_the_channel() {
    let workspace = workspace("configuration_set:main");
    let (output, requests) = check(&workspace, "--format json", vec![IDENTITY]);
    let first = brake(&output);
    assert_eq!((output.exit_code, &first["phase"]), (2, &json!("watching")), "{output:?}");
    assert_eq!(requests.len(), 1);

    let (output, requests) =
        check(&workspace, "--format json", vec![IDENTITY, SET_ALLOWED, DONE, SET_PAUSED]);
    let second = brake(&output);
    assert_eq!((output.exit_code, &second["phase"]), (2, &json!("paused")), "{output:?}");
    assert_eq!((&second["by"], &second["failed"]), (&json!("brake"), &json!(false)));
    assert_eq!(second["cause"]["count"], 120);
    assert_eq!(second["scope"]["configuration_set"], "main");
    let path = "/v2/email/configuration-sets/main";
    assert_eq!(
        requests[1..],
        [
            format!("GET {path}"),
            format!(r#"PUT {path}/sending {{"SendingEnabled":false}}"#),
            format!("GET {path}")
        ]
    );
    let received = std::fs::read_to_string(workspace.path("received")).unwrap();
    assert!(received.contains("the brake paused sending"), "{received}");
    let command = "aws sesv2 put-configuration-set-sending-options --region us-east-1 --configuration-set-name main --sending-enabled";
    assert!(received.contains(command), "{received}");

    // the next check only reads; a table and metrics name the pause
    let (output, requests) = check(&workspace, "", vec![IDENTITY, SET_PAUSED]);
    assert!(
        output
            .stdout
            .contains("brake    123456789012 us-east-1 configuration_set=main: PAUSED since"),
        "{output:?}"
    );
    assert_eq!(requests.len(), 2);
    let (output, _) = check(&workspace, "--format prometheus", vec![IDENTITY, SET_PAUSED]);
    assert!(output.stdout.contains("bouncewatch_brake_paused{"), "{output:?}");

    // a human allows sending again: no new pause, also without further calls
    let (output, _) = check(&workspace, "--format json", vec![IDENTITY, SET_ALLOWED]);
    assert_eq!(brake(&output)["phase"], "released");
    for _ in 0..2 {
        let (output, _) = check(&workspace, "--format json", vec![IDENTITY]);
        assert_eq!(brake(&output)["phase"], "released");
    }
}

#[test]
fn denied_call_is_reported_and_tried_again() {
    let workspace = workspace("configuration_set:main");
    check(&workspace, "", vec![IDENTITY]);
    for _ in 0..2 {
        let (output, _) =
            check(&workspace, "--format json", vec![IDENTITY, SET_ALLOWED, DENIED, SET_ALLOWED]);
        assert_eq!((output.exit_code, &brake(&output)["failed"]), (2, &json!(true)), "{output:?}");
        let error = "error: the brake: access to ses:PutConfigurationSetSendingOptions is denied\n  hint: deploy/policies/brake.json allows it";
        assert!(output.stderr.contains(error), "{output:?}");
    }
    let received = std::fs::read_to_string(workspace.path("received")).unwrap();
    let about_brake = received.lines().filter(|line| line.contains("the brake failed"));
    assert_eq!(about_brake.count(), 1, "{received}");
}

#[test]
fn tenant_and_account_are_paused_by_their_own_calls() {
    let arn = "arn:aws:ses:us-east-1:123456789012:tenant/shop/t-1";
    let tenant = workspace("tenant:shop");
    check(&tenant, "", vec![IDENTITY]);
    let known = (
        "200 OK",
        r#"{"Tenant": {"TenantName": "shop", "TenantArn": "arn:aws:ses:us-east-1:123456789012:tenant/shop/t-1"}}"#,
    );
    let entity = |status: &str| -> (&'static str, &'static str) {
        let record = json!({"Status": status, "LastUpdatedTimestamp": 1_600_000_000});
        let entity = json!({"ReputationEntity": {"CustomerManagedStatus": record}}).to_string();
        ("200 OK", Box::leak(entity.into_boxed_str()))
    };
    let answers = vec![IDENTITY, known, entity("ENABLED"), DONE, entity("DISABLED")];
    let (output, requests) = check(&tenant, "--format json", answers);
    assert_eq!(brake(&output)["phase"], "paused", "{output:?}");
    assert!(
        requests[3].ends_with(r#"/customer-managed-status {"SendingStatus":"DISABLED"}"#),
        "{requests:?}"
    );
    assert!(requests[3].contains(&arn.replace(':', "%3A").replace('/', "%2F")), "{requests:?}");

    let account = workspace("account");
    let (allowed, paused) =
        (("200 OK", r#"{"SendingEnabled": true}"#), ("200 OK", r#"{"SendingEnabled": false}"#));
    check(&account, "--brake-account", vec![IDENTITY]);
    let answers = vec![IDENTITY, allowed, DONE, paused];
    let (output, requests) = check(&account, "--brake-account --format json", answers);
    assert_eq!(brake(&output)["phase"], "paused", "{output:?}");
    assert_eq!(requests[2], r#"PUT /v2/email/account/sending {"SendingEnabled":false}"#);
    let (output, _) = check(&account, "--brake-account", vec![IDENTITY, DENIED]);
    let error = "access to ses:GetAccount is denied\n  hint: deploy/policies/brake-account.json";
    assert!(output.stderr.contains(error), "{output:?}");
}

#[test]
fn rate_of_another_account_pauses_nothing() {
    let workspace = workspace("configuration_set:main");
    let other = (
        "200 OK",
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>999999999999</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
    );
    for _ in 0..2 {
        let (output, _) = check(&workspace, "--format json", vec![other]);
        assert_eq!(brake(&output)["why"], "no rate is critical and significant", "{output:?}");
    }
}

#[test]
fn dry_run_prints_the_call_and_changes_nothing() {
    let workspace = workspace("configuration_set:main");
    for _ in 0..2 {
        let (output, _) = check(&workspace, "--dry-run", vec![IDENTITY, SET_ALLOWED]);
        let note = "note: dry run of the brake: bounce rate 12.00 % (120 of 1000) in 24h; if the next check agrees, it would call ses:PutConfigurationSetSendingOptions ConfigurationSetName=main SendingEnabled=false (it may send now)";
        assert!(output.stderr.contains(note), "{output:?}");
        assert!(!workspace.path("store/alerts.json").exists());
    }
}

#[test]
fn missing_rate_target_or_flag_is_an_error_before_any_call() {
    let workspace = workspace("account");
    let run = |settings: &str, arguments: &str| {
        std::fs::write(workspace.path("settings.toml"), settings).unwrap();
        workspace.run(&format!("check --store STORE --config settings.toml --brake {arguments}"))
    };
    let set = "[brake]\ntarget = \"configuration_set:main\"\n";
    for (settings, arguments, expected) in [
        ("", "", "[brake] of the settings: no target"),
        ("[brake]\ntarget = \"set:main\"\n", "", "invalid target `set:main`"),
        ("[brake]\ntarget = \"account\"\n", "", "add --brake-account"),
        (set, "", "add \"configuration_set\" to `by`"),
        (set, "--by configuration_set --window 7d", "`24h` is not a window of time of this check"),
        (set, "--by configuration_set --at 2026-11-20T00:00:00Z", "omit --at"),
    ] {
        let output = run(settings, arguments);
        assert_eq!(output.exit_code, 3, "{settings} {arguments} {output:?}");
        assert!(output.stderr.contains(expected), "{expected} {output:?}");
    }
    std::fs::write(workspace.path("settings.toml"), set).unwrap();
    let output = workspace.run("config check --config settings.toml");
    assert!(output.stderr.contains("add \"configuration_set\" to `by`"), "{output:?}");
}
