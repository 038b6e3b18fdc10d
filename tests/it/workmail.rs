//! WorkMail: its log as it comes from CloudWatch Logs, and its rates, against a count by hand and against DuckDB.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use serde_json::{Value, json};

use crate::command::{Place, Said, said, tool};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, sent_and_bounced};

const NOW_MS: i64 = 1_795_132_800_000;
const HOUR_MS: i64 = 3_600_000;
const GROUP: &str = "/aws/workmail/emailevents/shop";

/// A line of the log.
#[derive(Debug, Clone)]
struct Line {
    at: i64,
    trace: String,
    event: Value,
}

impl Line {
    fn message(&self) -> String {
        json!({"traceId": self.trace, "event": self.event}).to_string()
    }

    /// As a subscription passes it on.
    fn document(&self) -> String {
        let events = [json!({"id": "1", "timestamp": self.at, "message": self.message()})];
        let document = json!({"messageType": "DATA_MESSAGE", "owner": "444455556666", "logGroup": GROUP,
            "logStream": "s", "logEvents": events, "region": "eu-west-1"});
        format!("{document}\n")
    }
}

fn submitted(at: i64, trace: &str, from: &str, to: &[String]) -> Line {
    let event = json!({"eventName": "OUTGOING_EMAIL_SUBMITTED", "recipients": to, "from": from, "subject": "x"});
    Line { at, trace: trace.to_owned(), event }
}

fn sent(at: i64, trace: &str, from: &str, to: &str) -> Line {
    let event = json!({"eventName": "OUTGOING_EMAIL_SENT", "recipient": to, "from": from, "messageId": "<m@x>"});
    Line { at, trace: trace.to_owned(), event }
}

/// Without its sender, as WorkMail writes it.
fn bounced(at: i64, trace: &str, to: &str, status: Option<&str>) -> Line {
    let mut recipient = json!({"emailAddress": to, "reason": "it came back"});
    if let Some(status) = status {
        recipient["status"] = json!(status);
    }
    let event = json!({"eventName": "OUTGOING_EMAIL_BOUNCED", "bouncedRecipient": recipient});
    Line { at, trace: trace.to_owned(), event }
}

fn incoming_bounce(at: i64, trace: &str, to: &str) -> Line {
    let recipient = json!({"emailAddress": to, "reason": "mailbox full", "status": "5.2.2"});
    let event = json!({"eventName": "INCOMING_EMAIL_BOUNCED", "bouncedRecipient": recipient});
    Line { at, trace: trace.to_owned(), event }
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }
}

/// What happened to one recipient of one mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Sent,
    Hard,
    Soft,
    Undetermined,
    Incoming,
}

/// One line that counts: when, whose mail, to which domain, and what became of it.
type Counted = (i64, &'static str, &'static str, End);

const SENDERS: [(&str, &str); 3] = [
    ("Anna <anna@shop.example>", "shop.example"),
    ("bert@shop.example", "shop.example"),
    ("news@list.example", "list.example"),
];
const DOMAINS: [&str; 4] = ["example.org", "example.net", "typo.example", "mail.example"];

/// A log of some weeks, and what is in it.
fn log(traces: usize) -> (Vec<Line>, Vec<Counted>) {
    let mut dice = Dice(7);
    let (mut lines, mut counted) = (Vec::new(), Vec::new());
    for number in 0..traces {
        let (from, sender) = SENDERS[dice.index(SENDERS.len())];
        let trace = format!("trace-{number}");
        let at = NOW_MS - i64::try_from(dice.below(20 * 24 * 3_600_000)).unwrap();
        let recipients: Vec<(String, &str)> = (0..=dice.below(4))
            .map(|n| {
                let domain = DOMAINS[dice.index(DOMAINS.len())];
                (format!("user{n}-{number}@{domain}"), domain)
            })
            .collect();
        let to: Vec<String> = recipients.iter().map(|(to, _)| to.clone()).collect();
        lines.push(submitted(at, &trace, from, &to));
        for (to, domain) in &recipients {
            // some come back hours after they were handed in
            let at = at + i64::try_from(1_000 + dice.below(14 * 3_600_000)).unwrap();
            // nobody at this domain has ever got a mail
            let fate =
                if *domain == "typo.example" { 80 + dice.below(20) } else { dice.below(100) };
            let (line, end) = match fate {
                0..=79 => (sent(at, &trace, from, to), End::Sent),
                80..=86 => (bounced(at, &trace, to, Some("5.1.1")), End::Hard),
                87..=92 => (bounced(at, &trace, to, Some("4.4.7")), End::Soft),
                _ => (bounced(at, &trace, to, None), End::Undetermined),
            };
            lines.push(line);
            counted.push((at, sender, *domain, end));
        }
        if dice.below(10) == 0 {
            lines.push(incoming_bounce(at, &format!("incoming-{number}"), "anna@shop.example"));
            counted.push((at, "", "shop.example", End::Incoming));
        }
    }
    // a log that is read again in part: nothing in it counts twice
    let again: Vec<Line> = lines.iter().step_by(3).cloned().collect();
    lines.extend(again);
    (lines, counted)
}

/// Counts of one end after another, out of the lines of a window that some words choose.
fn count(counted: &[Counted], window_ms: i64, of: impl Fn(&Counted) -> bool, ends: &[End]) -> u64 {
    let is_in = |line: &&Counted| {
        NOW_MS - window_ms < line.0 && line.0 <= NOW_MS && of(line) && ends.contains(&line.3)
    };
    counted.iter().filter(is_in).count() as u64
}

const BOUNCED: [End; 3] = [End::Hard, End::Soft, End::Undetermined];
const TRIED: [End; 4] = [End::Sent, End::Hard, End::Soft, End::Undetermined];

fn documents(lines: &[Line]) -> String {
    lines.iter().map(Line::document).collect()
}

fn report(place: &Place, further: &str) -> Vec<Value> {
    let said = place.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --format json {further}"
    ));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["service"], "workmail");
    said.json()["rows"].as_array().unwrap().clone()
}

#[test]
fn every_number_equals_a_count_by_hand() {
    let place = Place::new();
    let (lines, counted) = log(600);
    // SES beside it changes nothing
    place.ingest(&(documents(&lines) + &sent_and_bounced(50, 9)));
    for (window, ms) in
        [("24h", 24 * HOUR_MS), ("7d", 7 * 24 * HOUR_MS), ("15d", 15 * 24 * HOUR_MS)]
    {
        let one = |row: &Value, of: &dyn Fn(&Counted) -> bool| {
            let number = |ends: &[End]| json!(count(&counted, ms, of, ends));
            let got = |name: &str| row[name].clone();
            assert_eq!(got("attempts"), number(&TRIED), "{row}");
            assert_eq!(got("bounces"), number(&BOUNCED), "{row}");
            assert_eq!(got("sends"), number(&[End::Sent]), "{row}");
            assert_eq!(got("hard"), number(&[End::Hard]), "{row}");
            assert_eq!(got("soft"), number(&[End::Soft]), "{row}");
            assert_eq!(got("undetermined"), number(&[End::Undetermined]), "{row}");
            assert_eq!(got("incoming_bounces"), number(&[End::Incoming]), "{row}");
            assert_eq!(got("denominator"), "sent_and_bounced", "{row}");
            assert_eq!(got("bounce_rate"), got("total_bounce_rate"), "{row}");
            assert_eq!((got("complaint_rate"), got("delay_rate")), (Value::Null, Value::Null));
        };
        let rows = report(&place, &format!("--window {window}"));
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!(rows[0]["scope"], json!({"account": "444455556666", "region": "eu-west-1"}));
        one(&rows[0], &|_| true);
        assert!(rows[0]["attempts"].as_u64() > Some(20) && rows[0]["bounces"].as_u64() > Some(5));
        // bounces come without their sender: that of the submission is theirs
        let rows = report(&place, &format!("--window {window} --by source_domain"));
        assert_eq!(rows.len(), 3, "{rows:?}");
        for row in rows {
            let sender = row["scope"]["source_domain"].as_str().unwrap_or_default().to_owned();
            one(&row, &|line| line.1 == sender);
        }
        for row in report(&place, &format!("--window {window} --by recipient_domain")) {
            let domain = row["scope"]["recipient_domain"].as_str().unwrap().to_owned();
            one(&row, &|line| line.2 == domain);
            if domain == "typo.example" {
                assert_eq!(row["bounce_rate"], 1.0, "all mail to it bounced, and that is known");
            }
        }
    }
}

#[test]
fn the_last_so_many_attempts_equal_a_count_by_hand() {
    let place = Place::new();
    let (lines, counted) = log(600);
    place.ingest(&documents(&lines));
    let mut tried: Vec<&Counted> =
        counted.iter().filter(|line| line.0 <= NOW_MS && line.3 != End::Incoming).collect();
    tried.sort_by_key(|line| std::cmp::Reverse(line.0));
    let from = tried[199].0;
    let bounces = tried.iter().filter(|line| line.0 >= from && line.3 != End::Sent).count();
    let rows = report(&place, "--window volume:200");
    assert_eq!(rows[0]["attempts"], tried.iter().filter(|line| line.0 >= from).count());
    assert_eq!(rows[0]["bounces"], bounces);
}

#[test]
fn duckdb_counts_the_same() {
    let place = Place::new();
    place.ingest(&documents(&log(800).0));
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
    command.args(["-c", script]).arg(place.store()).arg(NOW_MS.to_string());
    let said = said(command.output().unwrap());
    assert_eq!(said.code, 0, "{said:?}");
    let duckdb: BTreeMap<String, [u64; 2]> = serde_json::from_str(&said.out).unwrap();
    let ours: BTreeMap<String, [u64; 2]> = report(&place, "--window 7d --by recipient_domain")
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

/// So many recipients at two domains in turn, an hour ago, of whom the first ones bounce.
fn one_mail_each(recipients: usize, bounces: usize) -> String {
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

fn check(place: &Place, further: &str) -> Said {
    place.run(&format!("check --service workmail --store STORE --at {NOW} --window 24h {further}"))
}

#[test]
fn a_check_of_workmail() {
    let place = Place::new();
    place.ingest(&one_mail_each(1_000, 62));
    place.ingest(&incoming_bounce(NOW_MS - HOUR_MS, "i", "anna@shop.example").document());
    insta::assert_snapshot!("workmail_check", check(&place, "").whole());
    let found = check(&place, "--format json").json();
    let verdict = &found["verdicts"][0];
    assert_eq!((&found["service"], &found["status"]), (&json!("workmail"), &json!("warning")));
    assert_eq!((&verdict["count"], &verdict["attempts"]), (&json!(62), &json!(1_000)));
    assert_eq!(verdict["denominator"], "sent_and_bounced");
    assert_eq!(verdict["incoming_bounces"], 1);
    let part = &verdict["contributors"][0];
    assert_eq!((&part["value"], &part["count"]), (&json!("example.net"), &json!(31)));
    assert_eq!((&part["attempts"], &part["rate_without"]), (&json!(500), &json!(0.062)));
    // nobody reports complaints to WorkMail, so there is no rate of them
    assert_eq!(found["verdicts"].as_array().unwrap().len(), 1);
    insta::assert_snapshot!("workmail_report", place.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --by source_domain"
    )).whole());
    let csv = place.run(&format!(
        "report --service workmail --store STORE --from 2026-11-19 --to {NOW} --every 1d --format csv"
    ));
    assert!(csv.out.lines().next().unwrap().contains(",incoming_bounces,"), "{csv:?}");
}

#[test]
fn bounces_without_what_was_sent_are_no_rate() {
    let place = Place::new();
    place.ingest(
        &(0..30)
            .map(|n| bounced(NOW_MS - HOUR_MS, &format!("t{n}"), "a@example.org", None).document())
            .collect::<String>(),
    );
    let said = check(&place, "--by recipient_domain");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("no OUTGOING_EMAIL_SENT events"), "{said:?}");
    assert!(!said.out.contains("100"), "{said:?}");
}

#[test]
fn who_asks_about_the_other_service_is_told() {
    let place = Place::new();
    place.ingest(&one_mail_each(10, 0));
    let said = place.run(&format!("check --store STORE --at {NOW}"));
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("hint: --service workmail tells WorkMail's rate"), "{said:?}");
    let place = Place::new();
    place.ingest(&sent_and_bounced(10, 0));
    let said = check(&place, "");
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("hint: without --service workmail"), "{said:?}");
}

/// A log group with one stream.
async fn log_group(emulator: &Emulator) {
    emulator.logs.create_log_group().log_group_name(GROUP).send().await.unwrap();
    let stream = emulator.logs.create_log_stream().log_group_name(GROUP).log_stream_name("s");
    stream.send().await.unwrap();
}

async fn put(emulator: &Emulator, lines: &[Line]) {
    for chunk in lines.chunks(500) {
        let event = |line: &Line| {
            InputLogEvent::builder().timestamp(line.at).message(line.message()).build().unwrap()
        };
        let call = emulator.logs.put_log_events().log_group_name(GROUP).log_stream_name("s");
        call.set_log_events(Some(chunk.iter().map(event).collect())).send().await.unwrap();
    }
}

async fn run(place: &Place, emulator: &Emulator, words: &str) -> Said {
    let mut command: Command = place.command(words);
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    tokio::task::spawn_blocking(move || said(command.output().unwrap())).await.unwrap()
}

/// Bounces and attempts of the last three days.
fn numbers(place: &Place) -> (u64, u64) {
    let said = place.run("check --service workmail --store STORE --window 3d --format json");
    let found = said.json();
    let verdict = &found["verdicts"][0];
    assert_eq!(verdict["scope"], json!({"account": "000000000000", "region": "us-east-1"}));
    (verdict["count"].as_u64().unwrap(), verdict["attempts"].as_u64().unwrap())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_is_drained_and_read_on_from_its_cursor() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    log_group(&emulator).await;
    // the emulator gives fifty events at a time and no token: seven in ten minutes are few enough to get on
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
    put(&emulator, &lines).await;
    let words = format!("ingest cloudwatch-logs:{GROUP} --store STORE --format json");
    let drained = run(&place, &emulator, &words).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    assert_eq!(drained.json()["messages"], 400, "{drained:?}");
    assert_eq!(numbers(&place), (100, 300));

    // again: the overlap alone is taken, and no number changes
    let again = run(&place, &emulator, &words).await;
    assert_eq!(again.json()["messages"], 8, "{again:?}");
    assert_eq!(numbers(&place), (100, 300));

    // late, but within the overlap; and new
    let late = start + 99 * 10 * 60_000 - 5 * 60_000;
    put(&emulator, &[bounced(late, "late", "late@example.org", Some("5.1.1"))]).await;
    put(&emulator, &[sent(now_ms() - 1_000, "new", "anna@shop.example", "new@example.org")]).await;
    let third = run(&place, &emulator, &words).await;
    assert_eq!(third.json()["messages"], 10, "{third:?}");
    assert_eq!(numbers(&place), (101, 302));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_is_followed_until_a_signal() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    log_group(&emulator).await;
    put(&emulator, &[sent(now_ms() - 1_000, "t", "anna@shop.example", "a@example.org")]).await;
    let mut command = place.command(&format!(
        "ingest cloudwatch-logs:{GROUP} --store STORE --follow --batch-age 1 --format json"
    ));
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    // the cursor is written when what it stands behind is durable
    while !place.path("store/cursors").is_dir() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended =
        tokio::task::spawn_blocking(move || said(child.wait_with_output().unwrap())).await.unwrap();
    assert_eq!((ended.code, &ended.json()["rows"]), (0, &json!(1)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_group_that_is_not_there_is_told_plainly() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let failed = run(&place, &emulator, "ingest cloudwatch-logs:missing --store STORE").await;
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.err.contains("no such log group: missing"), "{failed:?}");
    let arn = "arn:aws:logs:us-east-1:000000000000:log-group:missing";
    let failed = run(&place, &emulator, &format!("ingest {arn} --store STORE")).await;
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.err.contains("no such log group") && failed.err.contains("hint:"), "{failed:?}");
}
