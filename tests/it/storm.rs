//! A storm of bounces, replayed in steps of five minutes through `check`, with a topic of a real SNS server and a queue
//! that is subscribed to it: how many messages, how soon, and what becomes of them when SNS is away.

use std::ops::RangeInclusive;

use bouncewatch_fixtures::traffic::{DEFAULT_END, Envelope, Options, Scenario, Traffic};
use chrono::TimeDelta;
use serde_json::Value;

use crate::command::{Place, said};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, minutes_after_now};

const STEP_MINUTES: i64 = 5;
/// From half an hour before the storm, which is on for six hours up to midnight.
const WHOLE: RangeInclusive<i64> = -390..=270;
/// No minute of a replay.
const NEVER: RangeInclusive<i64> = i64::MIN..=i64::MIN;
/// Nobody listens here.
const AWAY: &str = "http://127.0.0.1:1";

/// A day of mail with a storm in its last six hours, and a quiet night after it.
fn stormy() -> Place {
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
    let place = Place::new();
    std::fs::write(
        place.path("events.ndjson"),
        events.into_iter().flatten().collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    assert_eq!(place.run("ingest events.ndjson --store STORE").code, 0);
    place
}

/// A topic, and a queue that gets what is published to it.
struct Topic {
    emulator: Emulator,
    arn: String,
    queue: String,
}

impl Topic {
    async fn new() -> Self {
        let emulator = Emulator::start().await;
        let queue = emulator.queue("alarms").await;
        let arn =
            emulator.sns.create_topic().name("alarms").send().await.unwrap().topic_arn.unwrap();
        let to = "arn:aws:sqs:us-east-1:000000000000:alarms";
        emulator.sns.subscribe().topic_arn(&arn).protocol("sqs").endpoint(to).send().await.unwrap();
        Self { emulator, arn, queue }
    }

    /// All that came: the envelopes of SNS.
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

/// What a message tells machines.
fn alert(envelope: &Value) -> Value {
    serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap()
}

/// `minutes:change level`, minutes after midnight.
fn told(messages: &[Value]) -> Vec<String> {
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

/// Minutes after midnight of a time.
fn minutes(time: &Value) -> i64 {
    let ms = |text: &str| bouncewatch_schemas::time::parse_ms(text).unwrap();
    (ms(time.as_str().unwrap()) - ms(NOW)) / 60_000
}

/// The first minute at which a window of an hour reaches a threshold, by the rule in words.
fn crossing(place: &Place, threshold: f64) -> i64 {
    let (from, to) = (minutes_after_now(*WHOLE.start()), minutes_after_now(*WHOLE.end()));
    let report = place.run(&format!(
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

/// Runs `check` at each step; `down` are the minutes in which SNS is away.
fn replay(
    place: &Place,
    topic: &Topic,
    steps: RangeInclusive<i64>,
    down: RangeInclusive<i64>,
    words: &[&str],
) {
    for at in steps.step_by(usize::try_from(STEP_MINUTES).unwrap()) {
        let mut command = place.command(&format!(
            "check --store STORE --window 1h,3h --at {} --alert-sns {}",
            minutes_after_now(at),
            topic.arn
        ));
        let is_down = down.contains(&at);
        let url = if is_down { AWAY } else { &topic.emulator.url };
        command.args(["--endpoint-url", url]).args(words).envs(CREDENTIALS);
        let run = said(command.output().unwrap());
        assert!(run.code < 3, "{at}: {run:?}");
        assert!(is_down || !run.err.contains("error"), "{at}: {run:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_one_warning_one_critical_and_one_all_clear() {
    let (topic, place) = (Topic::new().await, stormy());
    let (warning, critical) = (crossing(&place, 0.05), crossing(&place, 0.10));
    let (topic, place) = tokio::task::spawn_blocking(move || {
        // in two windows, of which the longer one follows the shorter one up and down
        replay(&place, &topic, WHOLE, NEVER, &[]);
        (topic, place)
    })
    .await
    .unwrap();
    let messages = topic.messages().await;
    let told = told(&messages);
    println!("crossed 5 % at minute {warning}, 10 % at minute {critical}; told {told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
    let at: Vec<i64> = messages.iter().map(|message| minutes(&alert(message)["as_of"])).collect();
    // the message is that of the next run
    assert!((0..STEP_MINUTES).contains(&(at[0] - warning)), "{warning}: {told:?}");
    assert!((0..STEP_MINUTES).contains(&(at[1] - critical)), "{critical}: {told:?}");
    assert!(
        told[0].ends_with(":raised warning") && told[1].ends_with(":worsened critical"),
        "{told:?}"
    );
    assert!(told[2].ends_with(":cleared ok") && at[2] > 30, "{told:?}");
    // what people and filters get
    let (first, last) = (&messages[1], &messages[2]);
    let subject = first["Subject"].as_str().unwrap();
    assert!(subject.starts_with("SES CRITICAL: bounce rate 1") && subject.len() < 100, "{subject}");
    assert_eq!(first["MessageAttributes"]["level"]["Value"], "critical", "{first}");
    assert_eq!(first["MessageAttributes"]["metric"]["Value"], "bounce_rate", "{first}");
    let text = alert(last)["alert"]["text"].as_str().unwrap().to_owned();
    assert!(
        text.starts_with("OK: bounce rate ")
            && text.contains("it was CRITICAL from 2026-11-19 18:"),
        "{text}"
    );
    // nobody is left who has to be told anything
    let state: Value =
        serde_json::from_slice(&std::fs::read(place.path("store/alerts.json")).unwrap()).unwrap();
    assert_eq!(state["alarms"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_sns_is_away() {
    let (topic, place) = (Topic::new().await, stormy());
    let (warning, critical) = (crossing(&place, 0.05), crossing(&place, 0.10));
    // away from before the warning until after the critical level
    let down = warning - 5..=critical + 5;
    let back = *down.end();
    let (topic, place) = tokio::task::spawn_blocking(move || {
        replay(&place, &topic, -360..=back + 15, down, &["--alert-exec", "cat >> got"]);
        (topic, place)
    })
    .await
    .unwrap();
    let messages = topic.messages().await;
    let told = told(&messages);
    // one message when it is back, and what is true then
    assert_eq!(messages.len(), 1, "{told:?}");
    assert!(told[0].ends_with(":raised critical"), "{told:?}");
    assert!(
        (1..=STEP_MINUTES).contains(&(minutes(&alert(&messages[0])["as_of"]) - back)),
        "{back}: {told:?}"
    );
    // the other channel was there all the time
    let got = std::fs::read_to_string(place.path("got")).unwrap();
    let levels: Vec<Value> = got
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["alert"]["level"].clone())
        .collect();
    assert_eq!(levels, ["warning", "critical"]);
}
