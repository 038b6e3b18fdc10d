//! WorkMail: ingest of its log from CloudWatch Logs, and rates against a manual count and DuckDB.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace, tool};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, sent_and_bounced};

const NOW_MS: i64 = 1_795_132_800_000;
const HOUR_MS: i64 = 3_600_000;
const GROUP: &str = "/aws/workmail/emailevents/shop";

/// A line of the WorkMail event log.
#[derive(Debug, Clone)]
struct LogLine {
    at: i64,
    trace: String,
    event: Value,
}

impl LogLine {
    fn message(&self) -> String {
        json!({"traceId": self.trace, "event": self.event}).to_string()
    }

    /// Returns the document that a CloudWatch Logs subscription delivers.
    fn document(&self) -> String {
        let events = [json!({"id": "1", "timestamp": self.at, "message": self.message()})];
        let document = json!({"messageType": "DATA_MESSAGE", "owner": "444455556666", "logGroup": GROUP,
            "logStream": "s", "logEvents": events, "region": "eu-west-1"});
        format!("{document}\n")
    }
}

fn submitted(at: i64, trace: &str, from: &str, to: &[String]) -> LogLine {
    let event = json!({"eventName": "OUTGOING_EMAIL_SUBMITTED", "recipients": to, "from": from, "subject": "x"});
    LogLine { at, trace: trace.to_owned(), event }
}

fn sent(at: i64, trace: &str, from: &str, to: &str) -> LogLine {
    let event = json!({"eventName": "OUTGOING_EMAIL_SENT", "recipient": to, "from": from, "messageId": "<m@x>"});
    LogLine { at, trace: trace.to_owned(), event }
}

/// Returns a bounce; WorkMail does not log its sender.
fn bounced(at: i64, trace: &str, to: &str, status: Option<&str>) -> LogLine {
    let mut recipient = json!({"emailAddress": to, "reason": "it came back"});
    if let Some(status) = status {
        recipient["status"] = json!(status);
    }
    let event = json!({"eventName": "OUTGOING_EMAIL_BOUNCED", "bouncedRecipient": recipient});
    LogLine { at, trace: trace.to_owned(), event }
}

fn incoming_bounce(at: i64, trace: &str, to: &str) -> LogLine {
    let recipient = json!({"emailAddress": to, "reason": "mailbox full", "status": "5.2.2"});
    let event = json!({"eventName": "INCOMING_EMAIL_BOUNCED", "bouncedRecipient": recipient});
    LogLine { at, trace: trace.to_owned(), event }
}

/// Deterministic pseudo-random numbers (linear congruential generator).
struct PseudoRandom(u64);

impl PseudoRandom {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }
}

/// Outcome of one recipient of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Sent,
    Hard,
    Soft,
    Undetermined,
    Incoming,
}

/// Expected row: time, sender domain, recipient domain, outcome.
type ExpectedOutcome = (i64, &'static str, &'static str, Outcome);

const SENDERS: [(&str, &str); 3] = [
    ("Anna <anna@shop.example>", "shop.example"),
    ("bert@shop.example", "shop.example"),
    ("news@list.example", "list.example"),
];
const DOMAINS: [&str; 4] = ["example.org", "example.net", "typo.example", "mail.example"];

/// Returns a log of 20 days with `traces` messages, and the expected outcomes.
fn log(traces: usize) -> (Vec<LogLine>, Vec<ExpectedOutcome>) {
    let mut random = PseudoRandom(7);
    let (mut lines, mut counted) = (Vec::new(), Vec::new());
    for number in 0..traces {
        let (from, sender) = SENDERS[random.index(SENDERS.len())];
        let trace = format!("trace-{number}");
        let at = NOW_MS - i64::try_from(random.below(20 * 24 * 3_600_000)).unwrap();
        let recipients: Vec<(String, &str)> = (0..=random.below(4))
            .map(|n| {
                let domain = DOMAINS[random.index(DOMAINS.len())];
                (format!("user{n}-{number}@{domain}"), domain)
            })
            .collect();
        let to: Vec<String> = recipients.iter().map(|(to, _)| to.clone()).collect();
        lines.push(submitted(at, &trace, from, &to));
        for (to, domain) in &recipients {
            // some outcomes are hours after the submission
            let at = at + i64::try_from(1_000 + random.below(14 * 3_600_000)).unwrap();
            // all messages to this domain bounce
            let fate =
                if *domain == "typo.example" { 80 + random.below(20) } else { random.below(100) };
            let (line, end) = match fate {
                0..=79 => (sent(at, &trace, from, to), Outcome::Sent),
                80..=86 => (bounced(at, &trace, to, Some("5.1.1")), Outcome::Hard),
                87..=92 => (bounced(at, &trace, to, Some("4.4.7")), Outcome::Soft),
                _ => (bounced(at, &trace, to, None), Outcome::Undetermined),
            };
            lines.push(line);
            counted.push((at, sender, *domain, end));
        }
        if random.below(10) == 0 {
            lines.push(incoming_bounce(at, &format!("incoming-{number}"), "anna@shop.example"));
            counted.push((at, "", "shop.example", Outcome::Incoming));
        }
    }
    // a third of the log is read twice
    let again: Vec<LogLine> = lines.iter().step_by(3).cloned().collect();
    lines.extend(again);
    (lines, counted)
}

/// Returns the number of expected outcomes `ends` in a window, filtered by `of`.
fn count(
    counted: &[ExpectedOutcome],
    window_ms: i64,
    of: impl Fn(&ExpectedOutcome) -> bool,
    ends: &[Outcome],
) -> u64 {
    let is_in = |line: &&ExpectedOutcome| {
        NOW_MS - window_ms < line.0 && line.0 <= NOW_MS && of(line) && ends.contains(&line.3)
    };
    counted.iter().filter(is_in).count() as u64
}

const BOUNCED: [Outcome; 3] = [Outcome::Hard, Outcome::Soft, Outcome::Undetermined];
const ATTEMPTED: [Outcome; 4] =
    [Outcome::Sent, Outcome::Hard, Outcome::Soft, Outcome::Undetermined];

fn documents(lines: &[LogLine]) -> String {
    lines.iter().map(LogLine::document).collect()
}

fn report(workspace: &Workspace, extra: &str) -> Vec<Value> {
    let output = workspace.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --format json {extra}"
    ));
    assert_eq!(output.exit_code, 0, "{output:?}");
    assert_eq!(output.json()["service"], "workmail");
    output.json()["rows"].as_array().unwrap().clone()
}

#[test]
fn workmail_report_matches_a_manual_count() {
    let workspace = Workspace::new();
    let (lines, counted) = log(600);
    // SES events in the same store do not count
    workspace.ingest(&(documents(&lines) + &sent_and_bounced(50, 9)));
    for (window, ms) in
        [("24h", 24 * HOUR_MS), ("7d", 7 * 24 * HOUR_MS), ("15d", 15 * 24 * HOUR_MS)]
    {
        let one = |row: &Value, of: &dyn Fn(&ExpectedOutcome) -> bool| {
            let number = |ends: &[Outcome]| json!(count(&counted, ms, of, ends));
            let actual = |name: &str| row[name].clone();
            assert_eq!(actual("attempts"), number(&ATTEMPTED), "{row}");
            assert_eq!(actual("bounces"), number(&BOUNCED), "{row}");
            assert_eq!(actual("sends"), number(&[Outcome::Sent]), "{row}");
            assert_eq!(actual("hard"), number(&[Outcome::Hard]), "{row}");
            assert_eq!(actual("soft"), number(&[Outcome::Soft]), "{row}");
            assert_eq!(actual("undetermined"), number(&[Outcome::Undetermined]), "{row}");
            assert_eq!(actual("incoming_bounces"), number(&[Outcome::Incoming]), "{row}");
            assert_eq!(actual("denominator"), "sent_and_bounced", "{row}");
            assert_eq!(actual("bounce_rate"), actual("total_bounce_rate"), "{row}");
            assert_eq!(
                (actual("complaint_rate"), actual("delay_rate")),
                (Value::Null, Value::Null)
            );
        };
        let rows = report(&workspace, &format!("--window {window}"));
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["scope"], json!({"account": "444455556666", "region": "eu-west-1"}));
        one(&rows[0], &|_| true);
        assert!(rows[0]["attempts"].as_u64() > Some(20) && rows[0]["bounces"].as_u64() > Some(5));
        // the sender of a bounce is that of its submission
        let rows = report(&workspace, &format!("--window {window} --by source_domain"));
        assert_eq!(rows.len(), 3, "{rows:?}");
        for row in rows {
            let sender = row["scope"]["source_domain"].as_str().unwrap_or_default().to_owned();
            one(&row, &|line| line.1 == sender);
        }
        for row in report(&workspace, &format!("--window {window} --by recipient_domain")) {
            let domain = row["scope"]["recipient_domain"].as_str().unwrap().to_owned();
            one(&row, &|line| line.2 == domain);
            if domain == "typo.example" {
                assert_eq!(row["bounce_rate"], 1.0, "all messages to this domain bounced");
            }
        }
    }
}

#[test]
fn workmail_volume_window_matches_a_manual_count() {
    let workspace = Workspace::new();
    let (lines, counted) = log(600);
    workspace.ingest(&documents(&lines));
    let mut tried: Vec<&ExpectedOutcome> =
        counted.iter().filter(|line| line.0 <= NOW_MS && line.3 != Outcome::Incoming).collect();
    tried.sort_by_key(|line| std::cmp::Reverse(line.0));
    let from = tried[199].0;
    let bounces = tried.iter().filter(|line| line.0 >= from && line.3 != Outcome::Sent).count();
    let rows = report(&workspace, "--window volume:200");
    assert_eq!(rows[0]["attempts"], tried.iter().filter(|line| line.0 >= from).count());
    assert_eq!(rows[0]["bounces"], bounces);
}

#[test]
fn workmail_report_matches_duckdb() {
    let workspace = Workspace::new();
    workspace.ingest(&documents(&log(800).0));
    let script = "
import duckdb, json, sys
day = int(sys.argv[2])
rows = duckdb.sql(f'''
    WITH ends AS (
        SELECT DISTINCT message_id, recipient, recipient_domain, kind, class, epoch_ms(event_at) AS moment
        FROM read_parquet('{sys.argv[1]}/events/*/*.parquet', hive_partitioning = false)
        WHERE service = 'workmail' AND kind IN ('send', 'bounce')
    )
    SELECT recipient_domain, count(DISTINCT (message_id, recipient)), count(*) FILTER (WHERE kind = 'bounce')
    FROM ends WHERE moment > {day} - 604800000 AND moment <= {day} GROUP BY ALL
''').fetchall()
print(json.dumps({domain: [tried, bounced] for domain, tried, bounced in rows}))
";
    let mut command = Command::new(tool("venv/bin/python"));
    command.args(["-c", script]).arg(workspace.store()).arg(NOW_MS.to_string());
    let output = CommandOutput::from(command.output().unwrap());
    assert_eq!(output.exit_code, 0, "{output:?}");
    let duckdb: BTreeMap<String, [u64; 2]> = serde_json::from_str(&output.stdout).unwrap();
    let ours: BTreeMap<String, [u64; 2]> = report(&workspace, "--window 7d --by recipient_domain")
        .iter()
        .filter(|row| row["attempts"] != 0)
        .map(|row| {
            let domain = row["scope"]["recipient_domain"].as_str().unwrap().to_owned();
            (domain, ["attempts", "bounces"].map(|name| row[name].as_u64().unwrap()))
        })
        .collect();
    assert_eq!(ours.len(), DOMAINS.len());
    assert_eq!(ours, duckdb);
}

/// Returns one message for each recipient, one hour before [`NOW`], at two domains in turn; the first `bounces` bounce.
pub(crate) fn one_message_each(recipients: usize, bounces: usize) -> String {
    let at = NOW_MS - HOUR_MS;
    let line = |number: usize| {
        let (trace, to) = (
            format!("t{number}"),
            format!("user{number}@{}", ["example.org", "example.net"][number % 2]),
        );
        let end = if number < bounces {
            bounced(at + 1_000, &trace, &to, Some("5.1.1"))
        } else {
            sent(at + 1_000, &trace, "anna@shop.example", &to)
        };
        submitted(at, &trace, "anna@shop.example", &[to]).document() + &end.document()
    };
    (0..recipients).map(line).collect()
}

fn check(workspace: &Workspace, extra: &str) -> CommandOutput {
    workspace
        .run(&format!("check --service workmail --store STORE --at {NOW} --window 24h {extra}"))
}

#[test]
fn workmail_check_exits_1_at_6_percent() {
    let workspace = Workspace::new();
    workspace.ingest(&one_message_each(1_000, 62));
    workspace.ingest(&incoming_bounce(NOW_MS - HOUR_MS, "i", "anna@shop.example").document());
    insta::assert_snapshot!("workmail_check", check(&workspace, "").transcript());
    let found = check(&workspace, "--format json").json();
    let verdict = &found["verdicts"][0];
    assert_eq!((&found["service"], &found["status"]), (&json!("workmail"), &json!("warning")));
    assert_eq!((&verdict["count"], &verdict["attempts"]), (&json!(62), &json!(1_000)));
    assert_eq!(verdict["denominator"], "sent_and_bounced");
    assert_eq!(verdict["incoming_bounces"], 1);
    let contributor = &verdict["contributors"][0];
    assert_eq!((&contributor["value"], &contributor["count"]), (&json!("example.net"), &json!(31)));
    assert_eq!(
        (&contributor["attempts"], &contributor["rate_without"]),
        (&json!(500), &json!(0.062))
    );
    // WorkMail has no complaint events, so there is no complaint rate
    assert_eq!(found["verdicts"].as_array().unwrap().len(), 1);
    insta::assert_snapshot!("workmail_report", workspace.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --by source_domain"
    )).transcript());
    let csv = workspace.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --format csv"
    ));
    assert!(csv.stdout.lines().next().unwrap().contains(",incoming_bounces,"), "{csv:?}");
}

#[test]
fn workmail_check_exits_3_without_sent_events() {
    let workspace = Workspace::new();
    workspace.ingest(
        &(0..30)
            .map(|n| bounced(NOW_MS - HOUR_MS, &format!("t{n}"), "a@example.org", None).document())
            .collect::<String>(),
    );
    let output = check(&workspace, "--by recipient_domain");
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(output.stderr.contains("no OUTGOING_EMAIL_SENT events"), "{output:?}");
    assert!(!output.stdout.contains("100"), "{output:?}");
}

#[test]
fn check_suggests_the_service_that_has_events() {
    let workspace = Workspace::new();
    workspace.ingest(&one_message_each(10, 0));
    let output = workspace.run(&format!("check --store STORE --at {NOW}"));
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(output.stderr.contains("hint: use --service workmail"), "{output:?}");
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(10, 0));
    let output = check(&workspace, "");
    assert_eq!(output.exit_code, 3, "{output:?}");
    assert!(output.stderr.contains("hint: omit --service workmail"), "{output:?}");
}

/// Creates a log group with one stream.
async fn create_log_group(emulator: &Emulator) {
    emulator.logs.create_log_group().log_group_name(GROUP).send().await.unwrap();
    let stream = emulator.logs.create_log_stream().log_group_name(GROUP).log_stream_name("s");
    stream.send().await.unwrap();
}

async fn put_log_events(emulator: &Emulator, lines: &[LogLine]) {
    for chunk in lines.chunks(500) {
        let event = |line: &LogLine| {
            InputLogEvent::builder().timestamp(line.at).message(line.message()).build().unwrap()
        };
        let call = emulator.logs.put_log_events().log_group_name(GROUP).log_stream_name("s");
        call.set_log_events(Some(chunk.iter().map(event).collect())).send().await.unwrap();
    }
}

async fn run(workspace: &Workspace, emulator: &Emulator, arguments: &str) -> CommandOutput {
    let mut command: Command = workspace.command(arguments);
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    tokio::task::spawn_blocking(move || CommandOutput::from(command.output().unwrap()))
        .await
        .unwrap()
}

/// Returns bounces and attempts of the last three days.
fn bounces_and_attempts(workspace: &Workspace) -> (u64, u64) {
    let output = workspace.run("check --service workmail --store STORE --window 3d --format json");
    let found = output.json();
    let verdict = &found["verdicts"][0];
    assert_eq!(verdict["scope"], json!({"account": "000000000000", "region": "us-east-1"}));
    (verdict["count"].as_u64().unwrap(), verdict["attempts"].as_u64().unwrap())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_group_drain_resumes_from_cursor() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    create_log_group(&emulator).await;
    // the emulator returns at most 50 events and no token, so the log has 4 events per 10 minutes
    let start = now_ms() - 20 * HOUR_MS;
    let mut lines = Vec::new();
    for trace in 0..100_i64 {
        let (at, name) = (start + trace * 10 * 60_000, format!("t{trace}"));
        let to: Vec<String> = (0..3).map(|n| format!("user{n}-{trace}@example.org")).collect();
        lines.push(submitted(at, &name, "anna@shop.example", &to));
        lines.push(sent(at + 1_000, &name, "anna@shop.example", &to[0]));
        lines.push(sent(at + 2_000, &name, "anna@shop.example", &to[1]));
        lines.push(bounced(at + 3_000, &name, &to[2], Some("5.1.1")));
    }
    put_log_events(&emulator, &lines).await;
    let arguments = format!("ingest cloudwatch-logs:{GROUP} --store STORE --format json");
    let drained = run(&workspace, &emulator, &arguments).await;
    assert_eq!(drained.exit_code, 0, "{drained:?}");
    assert_eq!(drained.json()["messages"], 400, "{drained:?}");
    assert_eq!(bounces_and_attempts(&workspace), (100, 300));

    // the second run reads only the overlap
    let again = run(&workspace, &emulator, &arguments).await;
    assert_eq!(again.json()["messages"], 8, "{again:?}");
    assert_eq!(bounces_and_attempts(&workspace), (100, 300));

    // a late event within the overlap, and a new event
    let late = start + 99 * 10 * 60_000 - 5 * 60_000;
    put_log_events(&emulator, &[bounced(late, "late", "late@example.org", Some("5.1.1"))]).await;
    put_log_events(
        &emulator,
        &[sent(now_ms() - 1_000, "new", "anna@shop.example", "new@example.org")],
    )
    .await;
    let third = run(&workspace, &emulator, &arguments).await;
    assert_eq!(third.json()["messages"], 10, "{third:?}");
    assert_eq!(bounces_and_attempts(&workspace), (101, 302));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_group_follow_stops_on_sigterm() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    create_log_group(&emulator).await;
    put_log_events(&emulator, &[sent(now_ms() - 1_000, "t", "anna@shop.example", "a@example.org")])
        .await;
    let mut command = workspace.command(&format!(
        "ingest cloudwatch-logs:{GROUP} --store STORE --follow --batch-age 1 --format json"
    ));
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // the cursor is written after its events are durable
    while !workspace.path("store/cursors").is_dir() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let finished =
        tokio::task::spawn_blocking(move || CommandOutput::from(child.wait_with_output().unwrap()))
            .await
            .unwrap();
    assert_eq!((finished.exit_code, &finished.json()["rows"]), (0, &json!(1)), "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_log_group_exits_2() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let failed = run(&workspace, &emulator, "ingest cloudwatch-logs:missing --store STORE").await;
    assert_eq!(failed.exit_code, 2, "{failed:?}");
    assert!(failed.stderr.contains("no such log group: missing"), "{failed:?}");
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:missing";
    let failed = run(&workspace, &emulator, &format!("ingest {arn} --store STORE")).await;
    assert_eq!(failed.exit_code, 2, "{failed:?}");
    assert!(
        failed.stderr.contains("no such log group") && failed.stderr.contains("hint:"),
        "{failed:?}"
    );
}
