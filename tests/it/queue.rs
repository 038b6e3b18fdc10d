//! Ingest from SQS: each message is stored, and a message is deleted only after it is stored.

use std::path::Path;
use std::process::Command;

use aws_sdk_sqs::types::QueueAttributeName;
use bouncewatch_fixtures::broken::broken;
use bouncewatch_fixtures::notices::notices;
use bouncewatch_fixtures::traffic::{Envelope, Options, Traffic, truth};
use serde_json::json;

use crate::command::{CommandOutput, Workspace};
use crate::emulator::{CREDENTIALS, Emulator};
use crate::messages::{NOW, message, sent_and_bounced};
use crate::telemetry::Consumer;

const END: &str = "2026-11-20T00:00:00Z";

async fn run(workspace: &Workspace, emulator: &Emulator, arguments: &str) -> CommandOutput {
    let mut command: Command = workspace.command(arguments);
    command.args(["--endpoint-url", &emulator.url]).envs(CREDENTIALS);
    tokio::task::spawn_blocking(move || CommandOutput::from(command.output().unwrap()))
        .await
        .unwrap()
}

/// Returns a count of the last 30 days, summed over all accounts.
fn total(workspace: &Workspace, field: &str) -> u64 {
    let arguments = format!(
        "report --store STORE --to {END} --from 2026-10-21 --every 30d --window 30d --format json"
    );
    let report = workspace.run(&arguments).json();
    report["rows"].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_drains_queue_into_store() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("bounces").await;
    // events with 1 % duplicates, all set-up notices and invalid bodies
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
    emulator.send_all(&queue, &bodies).await;

    let drained =
        run(&workspace, &emulator, &format!("ingest {queue} --store STORE --format json")).await;
    let summary = drained.json();
    assert_eq!(drained.exit_code, 1, "{drained:?}");
    assert_eq!(emulator.message_counts(&queue).await, (0, 0));
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
        truth.scopes.iter().map(|scope| count(&scope.full_period)).sum()
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
        assert_eq!(total(&workspace, field), expected, "{field}");
    }

    // duplicates do not change a count
    let before = total(&workspace, "bounces");
    emulator.send_all(&queue, &bodies[..2_000]).await;
    run(&workspace, &emulator, &format!("ingest {queue} --store STORE")).await;
    assert_eq!(total(&workspace, "bounces"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_message_neither_ends_the_run_nor_takes_its_memory() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("hostile").await;
    let fixture = "fixtures/payloads/logs-packed-bounce-with-an-id-of-megabytes.json";
    let pill = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture));
    // as plain JSON
    let recipients: Vec<String> = (0..1_000).map(|n| format!("u{n}@example.org")).collect();
    let addresses: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut long = message(0);
    long.id = "i".repeat(150_000);
    let plain = long.event_to(&addresses, "Send", "send", &json!({}));
    let mut bodies: Vec<String> = (1..=20).map(|number| message(number).send()).collect();
    bodies.extend([pill.unwrap(), plain]);
    let consumer = Consumer::start(&workspace, &emulator, &queue);
    emulator.send_all(&queue, &bodies).await;
    consumer.wait_for("all are deleted", |it| it.metric("messages_deleted_total") > 21.5);
    assert!((consumer.metric("events_stored_total") - 20.0).abs() < 0.5);
    assert!((consumer.metric("documents_quarantined_total") - 2.0).abs() < 0.5);
    let peak = consumer.peak_memory_kb();
    assert!(peak < 150_000, "{peak} kB");
    consumer.stop();
    let (code, summary, output) = tokio::task::spawn_blocking(|| consumer.wait()).await.unwrap();
    assert_eq!((code, &summary["quarantined_by_reason"]["too_large"]), (1, &json!(2)), "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_reads_sns_topic_through_sqs() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("from-topic").await;
    let topic =
        emulator.sns.create_topic().name("ses-events").send().await.unwrap().topic_arn.unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:from-topic";
    emulator.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    let options = Options { events: 300, seed: 5, envelope: Envelope::Raw, ..Options::default() };
    for event in Traffic::new(&options).unwrap() {
        emulator.sns.publish().topic_arn(&topic).message(event).send().await.unwrap();
    }
    let drained =
        run(&workspace, &emulator, &format!("ingest {arn} --store STORE --format json")).await;
    assert_eq!(drained.exit_code, 0, "{drained:?}");
    assert_eq!(emulator.message_counts(&queue).await, (0, 0));
    let sends: u64 =
        truth(&options).unwrap().scopes.iter().map(|scope| scope.full_period.sends).sum();
    assert_eq!(total(&workspace, "sends"), sends);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unwritable_store_deletes_no_messages() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("kept").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 50, ..Options::default() }).unwrap().collect();
    emulator.send_all(&queue, &bodies).await;
    std::fs::write(workspace.store(), "a file where the store should be").unwrap();
    let failed = run(&workspace, &emulator, &format!("ingest {queue} --store STORE")).await;
    assert_eq!(failed.exit_code, 2, "{failed:?}");
    let (visible, in_flight) = emulator.message_counts(&queue).await;
    assert_eq!(visible + in_flight, bodies.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_flushes_received_messages() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("followed").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 500, ..Options::default() }).unwrap().collect();
    emulator.send_all(&queue, &bodies).await;
    let mut command =
        workspace.command(&format!("ingest {queue} --store STORE --follow --format json"));
    command
        .args(["--endpoint-url", &emulator.url])
        .envs(CREDENTIALS)
        .stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    while emulator.message_counts(&queue).await.0 > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let finished =
        tokio::task::spawn_blocking(move || CommandOutput::from(child.wait_with_output().unwrap()))
            .await
            .unwrap();
    assert_eq!(finished.exit_code, 0, "{finished:?}");
    let (visible, in_flight) = emulator.message_counts(&queue).await;
    let deleted = finished.json()["deleted"].as_u64().unwrap();
    // messages received but not stored before the end become visible again; deleted messages are stored
    assert_eq!(deleted + visible + in_flight, bodies.len() as u64);
    assert_eq!(finished.json()["messages"], deleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_queue_exits_2_with_hint() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let missing = format!("{}/000000000000/missing", emulator.url);
    let failed = run(&workspace, &emulator, &format!("ingest {missing} --store STORE")).await;
    assert_eq!(failed.exit_code, 2, "{failed:?}");
    assert!(
        failed.stderr.contains("no such queue") && failed.stderr.contains("hint:"),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_publishes_alert_to_sns_topic() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("alerts").await;
    let topic = emulator.sns.create_topic().name("alerts").send().await.unwrap().topic_arn.unwrap();
    let arn = "arn:aws:sqs:us-east-1:000000000000:alerts";
    emulator.sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn).send().await.unwrap();
    let check = format!("check --store STORE --at {NOW} --alert-sns {topic}");

    workspace.ingest(&sent_and_bounced(1_000, 10));
    assert_eq!(run(&workspace, &emulator, &check).await.exit_code, 0);
    assert_eq!(emulator.message_counts(&queue).await, (0, 0));

    workspace.ingest(&sent_and_bounced(1_000, 62));
    assert_eq!(run(&workspace, &emulator, &check).await.exit_code, 1);
    let response = emulator.sqs.receive_message().queue_url(&queue).send().await.unwrap();
    let messages = response.messages.unwrap();
    let envelope: serde_json::Value =
        serde_json::from_str(messages[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        envelope["Subject"],
        "SES WARNING: bounce rate 6.20 % (62 of 1000) in 24h, 123456789012 us-east-1"
    );
    let alert: serde_json::Value =
        serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    assert_eq!(alert["status"], "warning");

    // a missing topic is an error on stderr; the exit code remains the status
    let failed = run(&workspace, &emulator, &check.replace(":alerts", ":missing")).await;
    assert_eq!(failed.exit_code, 1, "{failed:?}");
    assert!(failed.stderr.contains("could not publish to the topic"), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_ends_while_messages_keep_arriving() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("busy").await;
    let bodies: Vec<String> =
        Traffic::new(&Options { events: 100, ..Options::default() }).unwrap().collect();
    emulator.send_all(&queue, &bodies).await;
    let feeding = tokio::spawn({
        let (sqs, queue, body) = (emulator.sqs.clone(), queue.clone(), bodies[0].clone());
        async move {
            loop {
                sqs.send_message().queue_url(&queue).message_body(&body).send().await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    });
    let finished =
        run(&workspace, &emulator, &format!("ingest {queue} --store STORE --format json")).await;
    feeding.abort();
    assert_eq!(finished.exit_code, 0, "{finished:?}");
    assert!(finished.json()["deleted"].as_u64().unwrap() >= bodies.len() as u64, "{finished:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_exits_2_if_store_fails() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("failing").await;
    // the store can be opened, but a file has the name of the folder of the day
    std::fs::create_dir_all(workspace.path("store/events")).unwrap();
    std::fs::write(workspace.path("store/events/date=2026-11-19"), "").unwrap();
    emulator.send_all(&queue, &[message(1).send()]).await;
    let finished =
        run(&workspace, &emulator, &format!("ingest {queue} --store STORE --follow --batch-age 1"))
            .await;
    assert_eq!(finished.exit_code, 2, "{finished:?}");
    assert!(finished.stderr.contains("the store cannot be written, stopping"), "{finished:?}");
    assert_eq!(emulator.message_counts(&queue).await, (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifo_queue_is_drained_before_batch_age() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let attributes = [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::ContentBasedDeduplication, "true"),
    ];
    let queue = emulator.create_queue_with("ordered.fifo", &attributes).await;
    // more messages of each group than one ReceiveMessage response holds
    for number in 0..60 {
        let group = format!("group-{}", number % 2);
        let send = emulator.sqs.send_message().queue_url(&queue).message_group_id(group);
        send.message_body(message(number).send()).send().await.unwrap();
    }
    // SQS blocks a group while a message of it is in flight, so the batch must be flushed before its age
    let arguments = format!("ingest {queue} --store STORE --batch-age 120 --format json");
    let drained = run(&workspace, &emulator, &arguments).await;
    assert_eq!(drained.exit_code, 0, "{drained:?}");
    assert_eq!(drained.json()["deleted"], 60, "{drained:?}");
    assert_eq!(emulator.message_counts(&queue).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_leave_moves_messages_to_dead_letter_queue() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let plain = emulator.create_queue("plain").await;
    let refused =
        run(&workspace, &emulator, &format!("ingest {plain} --store STORE --poison leave")).await;
    assert_eq!(refused.exit_code, 2, "{refused:?}");
    assert!(refused.stderr.contains("has no dead-letter queue"), "{refused:?}");

    let dead = emulator.create_queue("dead").await;
    let policy = json!({"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 1});
    let attributes = [(QueueAttributeName::RedrivePolicy, &*policy.to_string())];
    let queue = emulator.create_queue_with("source", &attributes).await;
    let bodies = [message(1).send(), "no event".to_owned(), message(2).send()];
    emulator.send_all(&queue, &bodies).await;
    let arguments = format!(
        "ingest {queue} --store STORE --poison leave --batch-age 1 --visibility 2 --format json"
    );
    let first = run(&workspace, &emulator, &arguments).await;
    assert_eq!(first.exit_code, 1, "{first:?}");
    let summary = first.json();
    assert_eq!((&summary["deleted"], &summary["quarantined"]), (&json!(2), &json!(0)), "{summary}");
    assert!(summary["left"].as_u64().unwrap() >= 1, "{summary}");
    // SQS moves it to the dead-letter queue on the second receive
    for _ in 0..10 {
        if emulator.message_counts(&dead).await.0 == 1 {
            break;
        }
        run(&workspace, &emulator, &arguments).await;
    }
    assert_eq!(emulator.message_counts(&dead).await, (1, 0));
    assert_eq!(emulator.message_counts(&queue).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_outside_allow_list_are_quarantined() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("open-to-all").await;
    let forged = message(2).send().replace("123456789012", "999999999999");
    emulator.send_all(&queue, &[message(1).send(), forged]).await;
    let allow = "[allow]\naccounts = [\"123456789012\"]\nidentities = [\"example.com\"]\n";
    std::fs::write(workspace.path("settings.toml"), allow).unwrap();
    let arguments = format!("ingest {queue} --store STORE --config settings.toml --format json");
    let drained = run(&workspace, &emulator, &arguments).await;
    assert_eq!(drained.exit_code, 1, "{drained:?}");
    let summary = drained.json();
    assert_eq!(summary["quarantined_by_reason"]["not_allowed"], 1, "{summary}");
    assert_eq!((&summary["rows"], &summary["deleted"]), (&json!(1), &json!(2)), "{summary}");
    // a replay with the same allow list changes nothing, one without an allow list stores the event
    let replay = "store quarantine replay --store STORE --format json";
    let again = workspace.run(&format!("{replay} --config settings.toml")).json();
    assert_eq!((&again["rows"], &again["quarantined"]), (&json!(0), &json!(1)), "{again}");
    let ingested = workspace.run(replay).json();
    assert_eq!((&ingested["rows"], &ingested["quarantined"]), (&json!(1), &json!(0)), "{ingested}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_with_messages_at_another_consumer_exits_1() {
    let (emulator, workspace) = (Emulator::start().await, Workspace::new());
    let queue = emulator.create_queue("shared").await;
    emulator.send_all(&queue, &[message(1).send()]).await;
    let received = emulator.sqs.receive_message().queue_url(&queue).visibility_timeout(600);
    assert_eq!(received.send().await.unwrap().messages.unwrap().len(), 1);
    let arguments = format!("ingest {queue} --store STORE");
    let drained = run(&workspace, &emulator, &format!("{arguments} --format json")).await;
    let summary = drained.json();
    assert_eq!((drained.exit_code, &summary["in_flight"]["messages"]), (1, &json!(1)), "{summary}");
    assert!(summary["in_flight"]["visible_by"].is_string(), "{summary}");
    let drained = run(&workspace, &emulator, &arguments).await;
    assert!(drained.stdout.contains("  1 messages are in flight elsewhere"), "{drained:?}");
}
