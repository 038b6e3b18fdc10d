//! SNS alerts during a bounce storm: `check` every 5 minutes, an SNS topic with a subscribed queue, and an SNS outage. Checks
//! number, time and content of the messages.

use std::ops::RangeInclusive;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Scenario, Traffic};
use chrono::TimeDelta;
use serde_json::Value;

use crate::command::{CommandOutput, Workspace};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, minutes_after_now};

const STEP_MINUTES: i64 = 5;
/// Minutes of a replay, relative to midnight; the storm lasts from -360 to 0.
const REPLAY_MINUTES: RangeInclusive<i64> = -390..=270;
/// Range outside of any replay.
const NO_OUTAGE: RangeInclusive<i64> = i64::MIN..=i64::MIN;
/// Endpoint without a server.
const UNREACHABLE: &str = "http://127.0.0.1:1";

/// Returns a store with a day of mail, a bounce storm in its last 6 hours, and 8 hours of normal mail after it.
fn workspace_with_storm() -> Workspace {
    let options = Options { envelope: Envelope::Raw, feedback: false, ..Options::default() };
    let storm = Options { scenario: Scenario::Storm, events: 8_000, ..options.clone() };
    let night = Options {
        scenario: Scenario::Quiet,
        events: 3_000,
        seed: 2,
        start: DEFAULT_END,
        end: DEFAULT_END + TimeDelta::hours(8),
        ..options
    };
    let events =
        [storm.spanning(DEFAULT_END, 1), night].map(|options| Traffic::new(&options).unwrap());
    let workspace = Workspace::new();
    std::fs::write(
        workspace.path("events.ndjson"),
        events.into_iter().flatten().collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    assert_eq!(workspace.run("ingest events.ndjson --store STORE").exit_code, 0);
    workspace
}

/// An SNS topic with a subscribed queue.
struct Topic {
    emulator: Emulator,
    arn: String,
    queue: String,
}

impl Topic {
    async fn new() -> Self {
        let emulator = Emulator::start().await;
        let queue = emulator.create_queue("alarms").await;
        let arn =
            emulator.sns.create_topic().name("alarms").send().await.unwrap().topic_arn.unwrap();
        let to = "arn:aws:sqs:us-east-1:000000000000:alarms";
        emulator.sns.subscribe().topic_arn(&arn).protocol("sqs").endpoint(to).send().await.unwrap();
        Self { emulator, arn, queue }
    }

    /// Receives and deletes all SNS envelopes of the queue, ordered by time.
    async fn messages(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let call = self
                .emulator
                .sqs
                .receive_message()
                .queue_url(&self.queue)
                .max_number_of_messages(10);
            let got = call.send().await.unwrap().messages.unwrap_or_default();
            if got.is_empty() {
                all.sort_by_key(|envelope| alert(envelope)["as_of"].to_string());
                return all;
            }
            for message in got {
                all.push(serde_json::from_str(message.body.as_ref().unwrap()).unwrap());
                let receipt = message.receipt_handle.unwrap();
                self.emulator
                    .sqs
                    .delete_message()
                    .queue_url(&self.queue)
                    .receipt_handle(receipt)
                    .send()
                    .await
                    .unwrap();
            }
        }
    }
}

/// Returns the JSON alert of an SNS envelope.
fn alert(envelope: &Value) -> Value {
    serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap()
}

/// Returns `minutes:change level` for each message, minutes after midnight.
fn summaries(messages: &[Value]) -> Vec<String> {
    let one = |envelope: &Value| {
        let json = alert(envelope);
        let changes = json["alert"]["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{json}");
        format!(
            "{}:{} {}",
            minutes(&json["as_of"]),
            changes[0]["change"].as_str().unwrap(),
            json["alert"]["level"].as_str().unwrap()
        )
    };
    messages.iter().map(one).collect()
}

/// Returns a time as minutes after midnight.
fn minutes(time: &Value) -> i64 {
    let ms = |text: &str| bouncewatch_schemas::time::parse_ms(text).unwrap();
    (ms(time.as_str().unwrap()) - ms(NOW)) / 60_000
}

/// Returns the first minute at which the window of 1 hour reaches a threshold, recomputed from `report`: the rate is at the
/// threshold, and the volume is at least 1,000 or the rate is significantly above it with at least 5 bounces.
fn crossing(workspace: &Workspace, threshold: f64) -> i64 {
    let (from, to) =
        (minutes_after_now(*REPLAY_MINUTES.start()), minutes_after_now(*REPLAY_MINUTES.end()));
    let report = workspace.run(&format!(
        "report --store STORE --from {from} --to {to} --every 1m --window 1h --format json"
    ));
    let found = report.json();
    let reaches = |row: &&Value| {
        let number = |key: &str| row[key].as_f64().unwrap_or_default();
        let low = row["bounce_interval"][0].as_f64().unwrap_or_default();
        let enough = number("attempts") >= 1_000.0 || (low > threshold && number("bounces") >= 5.0);
        number("bounce_rate") >= threshold && enough
    };
    minutes(&found["rows"].as_array().unwrap().iter().find(reaches).unwrap()["to"])
}

/// Runs `check` at each step; SNS is unreachable in the minutes `down`.
fn replay(
    workspace: &Workspace,
    topic: &Topic,
    steps: RangeInclusive<i64>,
    down: RangeInclusive<i64>,
    arguments: &[&str],
) {
    for at in steps.step_by(usize::try_from(STEP_MINUTES).unwrap()) {
        let mut command = workspace.command(&format!(
            "check --store STORE --window 1h,3h --at {} --alert-sns {}",
            minutes_after_now(at),
            topic.arn
        ));
        let is_down = down.contains(&at);
        let url = if is_down { UNREACHABLE } else { &topic.emulator.url };
        command.args(["--endpoint-url", url]).args(arguments).envs(CREDENTIALS);
        let run = CommandOutput::from(command.output().unwrap());
        assert!(run.exit_code < 3, "{at}: {run:?}");
        assert!(is_down || !run.stderr.contains("error"), "{at}: {run:?}");
        assert!(!run.stderr.contains("DispatchFailure"), "{at}: {run:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounce_storm_sends_one_warning_one_critical_and_one_clear() {
    let (topic, workspace) = (Topic::new().await, workspace_with_storm());
    let (warning, critical) = (crossing(&workspace, 0.05), crossing(&workspace, 0.10));
    let (topic, workspace) = tokio::task::spawn_blocking(move || {
        // two windows of one scope raise one alert
        replay(&workspace, &topic, REPLAY_MINUTES, NO_OUTAGE, &[]);
        (topic, workspace)
    })
    .await
    .unwrap();
    let messages = topic.messages().await;
    let alerts = summaries(&messages);
    println!("reached 5 % at minute {warning}, 10 % at minute {critical}; alerts {alerts:?}");
    assert_eq!(alerts.len(), 3, "{alerts:?}");
    let at: Vec<i64> = messages.iter().map(|message| minutes(&alert(message)["as_of"])).collect();
    // each alert is sent by the first run after the threshold is reached
    assert!((0..STEP_MINUTES).contains(&(at[0] - warning)), "{warning}: {alerts:?}");
    assert!((0..STEP_MINUTES).contains(&(at[1] - critical)), "{critical}: {alerts:?}");
    assert!(
        alerts[0].ends_with(":raised warning") && alerts[1].ends_with(":worsened critical"),
        "{alerts:?}"
    );
    assert!(alerts[2].ends_with(":cleared ok") && at[2] > 30, "{alerts:?}");
    // subject and attributes (for filter policies)
    let (first, last) = (&messages[1], &messages[2]);
    let subject = first["Subject"].as_str().unwrap();
    assert!(subject.starts_with("SES CRITICAL: bounce rate 1") && subject.len() < 100, "{subject}");
    assert_eq!(first["MessageAttributes"]["level"]["Value"], "critical", "{first}");
    assert_eq!(first["MessageAttributes"]["metric"]["Value"], "bounce_rate", "{first}");
    let text = alert(last)["alert"]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("OK: bounce rate ")
            && text.contains("\n  was CRITICAL from 2026-11-19 18:"),
        "{text}"
    );
    // no open alert remains
    let state: Value =
        serde_json::from_slice(&std::fs::read(workspace.path("store/alerts.json")).unwrap())
            .unwrap();
    assert_eq!(state["alarms"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alert_is_delivered_after_an_sns_outage() {
    let (topic, workspace) = (Topic::new().await, workspace_with_storm());
    let (warning, critical) = (crossing(&workspace, 0.05), crossing(&workspace, 0.10));
    // outage from before the warning until after the critical level
    let down = warning - 5..=critical + 5;
    let back = *down.end();
    let (topic, workspace) = tokio::task::spawn_blocking(move || {
        replay(&workspace, &topic, -360..=back + 15, down, &["--alert-exec", "cat >> received"]);
        (topic, workspace)
    })
    .await
    .unwrap();
    let messages = topic.messages().await;
    let alerts = summaries(&messages);
    // one message after the outage, with the current level
    assert_eq!(messages.len(), 1, "{alerts:?}");
    assert!(alerts[0].ends_with(":raised critical"), "{alerts:?}");
    assert!(
        (1..=STEP_MINUTES).contains(&(minutes(&alert(&messages[0])["as_of"]) - back)),
        "{back}: {alerts:?}"
    );
    // the other channel had no outage
    let received = std::fs::read_to_string(workspace.path("received")).unwrap();
    let levels: Vec<Value> = received
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["alert"]["level"].clone())
        .collect();
    assert_eq!(levels, ["warning", "critical"]);
}
