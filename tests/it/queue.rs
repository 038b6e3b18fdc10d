//! The queue: everything that is put in comes out once, and nothing is deleted that is not stored.

use std::process::Command;

use aws_sdk_sqs::types::QueueAttributeName;
use bouncewatch_fixtures::broken::broken;
use bouncewatch_fixtures::notices::notices;
use bouncewatch_fixtures::traffic::{Envelope, Options, Traffic, truth};
use serde_json::json;

use crate::command::{Place, Said, said};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, message, sent_and_bounced};

const END: &str = "2026-11-20T00:00:00Z";

async fn run(place: &Place, emulator: &Emulator, words: &str) -> Said {
    let mut command: Command = place.command(words);
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    tokio::task::spawn_blocking(move || said(command.output().unwrap())).await.unwrap()
}

/// Counts of the whole span, summed over accounts.
fn total(place: &Place, field: &str) -> u64 {
    let words = format!(
        "report --store STORE --to {END} --from 2026-10-21 --every 30d --window 30d --format json"
    );
    let report = place.run(&words).json();
    report["rows"].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_drained_into_the_store() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("bounces").await;
    // logical events, 1 % of their envelopes twice, broken bodies and every set-up notice
    let options = Options {
        events: 18_000,
        seed: 11,
        envelope: Envelope::Mixed,
        duplicates: 0.01,
        ..Options::default()
    };
    let mut bodies: Vec<String> = Traffic::new(&options).unwrap().collect();
    let events = bodies.len();
    bodies.extend(notices().into_iter().map(|notice| notice.body));
    let ignored = bodies.len() - events;
    bodies.extend(broken(50, 3).map(|broken| broken.body));
    emulator.put(&queue, &bodies).await;

    let drained =
        run(&place, &emulator, &format!("ingest {queue} --store STORE --format json")).await;
    let summary = drained.json();
    assert_eq!(drained.code, 1, "{drained:?}");
    assert_eq!(emulator.left(&queue).await, (0, 0));
    assert_eq!(summary["messages"], json!(bodies.len()), "{summary}");
    assert_eq!(summary["deleted"], json!(bodies.len()), "{summary}");
    assert_eq!(summary["quarantined"], 50, "{summary}");
    assert_eq!(
        summary["ignored"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(serde_json::Value::as_u64)
            .sum::<u64>(),
        ignored as u64
    );

    let truth = truth(&options).unwrap();
    let sum = |count: &dyn Fn(&bouncewatch_fixtures::traffic::Counts) -> u64| -> u64 {
        truth.scopes.iter().map(|scope| count(&scope.span)).sum()
    };
    for (field, expected) in [
        ("sends", sum(&|counts| counts.sends)),
        ("deliveries", sum(&|counts| counts.deliveries)),
        ("bounces", sum(&|counts| counts.counted_bounces)),
        ("soft", sum(&|counts| counts.soft_bounces)),
        ("auto_replies", sum(&|counts| counts.auto_replies)),
        ("complaints", sum(&|counts| counts.complaint_reports)),
        ("rejects", sum(&|counts| counts.rejects)),
        ("rendering_failures", sum(&|counts| counts.rendering_failures)),
    ] {
        assert_eq!(total(&place, field), expected, "{field}");
    }

    // everything once more changes no number
    let before = total(&place, "bounces");
    emulator.put(&queue, &bodies[..2_000]).await;
    run(&place, &emulator, &format!("ingest {queue} --store STORE")).await;
    assert_eq!(total(&place, "bounces"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_reaches_the_store_through_its_queue() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("from-topic").await;
    let topic =
        emulator.sns.create_topic().name("ses-events").send().await.unwrap().topic_arn.unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:from-topic";
    emulator.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    let options = Options { events: 300, seed: 5, envelope: Envelope::Raw, ..Options::default() };
    for event in Traffic::new(&options).unwrap() {
        emulator.sns.publish().topic_arn(&topic).message(event).send().await.unwrap();
    }
    let drained =
        run(&place, &emulator, &format!("ingest {arn} --store STORE --format json")).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    assert_eq!(emulator.left(&queue).await, (0, 0));
    let sends: u64 = truth(&options).unwrap().scopes.iter().map(|scope| scope.span.sends).sum();
    assert_eq!(total(&place, "sends"), sends);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_written_deletes_nothing() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("kept").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 50, ..Options::default() }).unwrap().collect();
    emulator.put(&queue, &bodies).await;
    std::fs::write(place.store(), "a file where the store should be").unwrap();
    let failed = run(&place, &emulator, &format!("ingest {queue} --store STORE")).await;
    assert_eq!(failed.code, 2, "{failed:?}");
    let (visible, hidden) = emulator.left(&queue).await;
    assert_eq!(visible + hidden, bodies.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_stores_what_was_received() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("followed").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 500, ..Options::default() }).unwrap().collect();
    emulator.put(&queue, &bodies).await;
    let mut command =
        place.command(&format!("ingest {queue} --store STORE --follow --format json"));
    command
        .args(["--endpoint-url", &emulator.url])
        .envs(CREDENTIALS)
        .stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    while emulator.left(&queue).await.0 > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended =
        tokio::task::spawn_blocking(move || said(child.wait_with_output().unwrap())).await.unwrap();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (visible, hidden) = emulator.left(&queue).await;
    let deleted = ended.json()["deleted"].as_u64().unwrap();
    // what was received and not handed over in time comes again; what is deleted is stored
    assert_eq!(deleted + visible + hidden, bodies.len() as u64);
    assert_eq!(ended.json()["messages"], deleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_not_there_is_told_plainly() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let missing = format!("{}/000000000000/missing", emulator.url);
    let failed = run(&place, &emulator, &format!("ingest {missing} --store STORE")).await;
    assert_eq!(failed.code, 2, "{failed:?}");
    assert!(failed.err.contains("no such queue") && failed.err.contains("hint:"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_goes_to_a_topic() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("alarms").await;
    let topic = emulator.sns.create_topic().name("alarms").send().await.unwrap().topic_arn.unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:alarms";
    emulator.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    let check = format!("check --store STORE --at {NOW} --alert-sns {topic}");

    place.ingest(&sent_and_bounced(1_000, 10));
    assert_eq!(run(&place, &emulator, &check).await.code, 0);
    assert_eq!(emulator.left(&queue).await, (0, 0));

    place.ingest(&sent_and_bounced(1_000, 62));
    assert_eq!(run(&place, &emulator, &check).await.code, 1);
    let got =
        emulator.sqs.receive_message().queue_url(&queue).send().await.unwrap().messages.unwrap();
    let envelope: serde_json::Value = serde_json::from_str(got[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        envelope["Subject"],
        "SES WARNING: bounce rate 6.20 % (62 of 1000) in 24h, 123456789012 us-east-1"
    );
    let alarm: serde_json::Value =
        serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    assert_eq!(alarm["status"], "warning");

    // a topic that is not there is told, and the exit code stays that of the verdict
    let failed = run(&place, &emulator, &check.replace(":alarms", ":nowhere")).await;
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.err.contains("could not publish to the topic"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_of_a_queue_that_never_rests_ends() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("busy").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 100, ..Options::default() }).unwrap().collect();
    emulator.put(&queue, &bodies).await;
    let feeding = tokio::spawn({
        let (sqs, queue, body) = (emulator.sqs.clone(), queue.clone(), bodies[0].clone());
        async move {
            loop {
                sqs.send_message().queue_url(&queue).message_body(&body).send().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    });
    let ended =
        run(&place, &emulator, &format!("ingest {queue} --store STORE --format json")).await;
    feeding.abort();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.json()["deleted"].as_u64().unwrap() >= bodies.len() as u64, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_ends_when_its_store_fails() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("failing").await;
    // the store can be made, but the day of the event is a file
    std::fs::create_dir_all(place.path("store/events")).unwrap();
    std::fs::write(place.path("store/events/date=2026-11-19"), "").unwrap();
    emulator.put(&queue, &[message(1).send()]).await;
    let ended =
        run(&place, &emulator, &format!("ingest {queue} --store STORE --follow --batch-age 1"))
            .await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("the store cannot be written, stopping"), "{ended:?}");
    assert_eq!(emulator.left(&queue).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fifo_queue_is_drained_group_by_group() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let made = emulator
        .sqs
        .create_queue()
        .queue_name("ordered.fifo")
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::ContentBasedDeduplication, "true");
    let queue = made.send().await.unwrap().queue_url.unwrap();
    // more of each group than one answer holds
    for number in 0..60 {
        let group = format!("group-{}", number % 2);
        let send = emulator.sqs.send_message().queue_url(&queue).message_group_id(group);
        send.message_body(message(number).send()).send().await.unwrap();
    }
    // a batch that waits for its age would hold the groups back for minutes
    let words = format!("ingest {queue} --store STORE --batch-age 120 --format json");
    let drained = run(&place, &emulator, &words).await;
    assert_eq!(drained.code, 0, "{drained:?}");
    assert_eq!(drained.json()["deleted"], 60, "{drained:?}");
    assert_eq!(emulator.left(&queue).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_left_to_the_dead_letter_queue_on_request() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let plain = emulator.queue("plain").await;
    let refused =
        run(&place, &emulator, &format!("ingest {plain} --store STORE --poison leave")).await;
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("needs a dead-letter queue"), "{refused:?}");

    let dead = emulator.queue("dead").await;
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1});
    let made = emulator
        .sqs
        .create_queue()
        .queue_name("source")
        .attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    let queue = made.send().await.unwrap().queue_url.unwrap();
    let bodies = [message(1).send(), "no event".to_owned(), message(2).send()];
    emulator.put(&queue, &bodies).await;
    let words = format!(
        "ingest {queue} --store STORE --poison leave --batch-age 1 --visibility 2 --format json"
    );
    let first = run(&place, &emulator, &words).await;
    assert_eq!(first.code, 1, "{first:?}");
    let summary = first.json();
    assert_eq!((&summary["deleted"], &summary["quarantined"]), (&json!(2), &json!(0)), "{summary}");
    assert!(summary["left"].as_u64().unwrap() >= 1, "{summary}");
    // it comes once more, which is once too often
    for _ in 0..10 {
        if emulator.left(&dead).await.0 == 1 {
            break;
        }
        run(&place, &emulator, &words).await;
    }
    assert_eq!(emulator.left(&dead).await, (1, 0));
    assert_eq!(emulator.left(&queue).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_strangers_are_set_aside() {
    let (emulator, place) = (Emulator::start().await, Place::new());
    let queue = emulator.queue("open-to-all").await;
    let forged = message(2).send().replace("123456789012", "999999999999");
    emulator.put(&queue, &[message(1).send(), forged]).await;
    let allow = "[allow]\naccounts = [\"123456789012\"]\nidentities = [\"example.com\"]\n";
    std::fs::write(place.path("settings.toml"), allow).unwrap();
    let words = format!("ingest {queue} --store STORE --config settings.toml --format json");
    let drained = run(&place, &emulator, &words).await;
    assert_eq!(drained.code, 1, "{drained:?}");
    let summary = drained.json();
    assert_eq!(summary["quarantined_by_reason"]["not_allowed"], 1, "{summary}");
    assert_eq!((&summary["rows"], &summary["deleted"]), (&json!(1), &json!(2)), "{summary}");
    // a replay under the same settings changes nothing, one that allows all takes it
    let replay = "store quarantine replay --store STORE --format json";
    let again = place.run(&format!("{replay} --config settings.toml")).json();
    assert_eq!((&again["rows"], &again["quarantined"]), (&json!(0), &json!(1)), "{again}");
    let taken = place.run(replay).json();
    assert_eq!((&taken["rows"], &taken["quarantined"]), (&json!(1), &json!(0)), "{taken}");
}
