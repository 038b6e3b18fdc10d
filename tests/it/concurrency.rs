//! Several consumers on one queue, compaction and `check` on the same S3 store at the same time.

use std::process::{Child, Command, Stdio};

use bouncewatch_fixtures::bucket_server::BucketServer;
use bouncewatch_fixtures::traffic::{Envelope, Options, Shuffle, Traffic};
use chrono::{DateTime, TimeDelta, Utc};

use crate::command::{CommandOutput, Workspace, tool};
use crate::emulator::{CREDENTIALS, Emulator};

const STORE: &str = "s3://shared/bouncewatch";
const CONSUMERS: usize = 4;
/// Minimum number of compactions, each followed by a check.
const ROUNDS_MIN: usize = 3;
const MIDDLE: &str = "2026-11-10T00:00:00Z";
const END: &str = "2026-11-20T00:00:00Z";

fn traffic(seed: u64, end: &str) -> Vec<String> {
    let end = end.parse::<DateTime<Utc>>().unwrap();
    let options = Options {
        events: 1_500,
        seed,
        envelope: Envelope::Mixed,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        start: end - TimeDelta::days(9),
        end,
        ..Options::default()
    };
    Traffic::new(&options).unwrap().collect()
}

struct SharedStore {
    workspace: Workspace,
    queues: Emulator,
    buckets: BucketServer,
}

impl SharedStore {
    /// Returns the command with the endpoints of both servers: one for SQS, one for S3.
    fn command(&self, arguments: &str) -> Command {
        let mut command = self.workspace.command(arguments);
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", self.buckets.url())
            .env("AWS_ENDPOINT_URL_SQS", &self.queues.url);
        command
    }

    fn run(&self, arguments: &str) -> CommandOutput {
        CommandOutput::from(self.command(arguments).output().unwrap())
    }

    fn consumer(&self, queue: &str) -> Child {
        self.command(&format!("ingest {queue} --store {STORE} --batch-age 1 --format json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn check(&self, store: &str, at: &str) -> CommandOutput {
        let by = "--by recipient_domain --window 24h,7d,volume:1000";
        self.run(&format!("check --store {store} --at {at} {by} --format json --cache cache"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_is_exact_while_4_consumers_and_compaction_run() {
    let tools = tool("venv/bin/moto_server").ancestors().nth(3).unwrap().to_path_buf();
    let buckets = BucketServer::start(&tools).unwrap();
    buckets.make_bucket("shared").unwrap();
    let shared =
        SharedStore { workspace: Workspace::new(), queues: Emulator::start().await, buckets };
    let (before, after) = (traffic(1, MIDDLE), traffic(2, END));
    std::fs::write(shared.workspace.path("before.ndjson"), before.join("\n")).unwrap();
    std::fs::write(shared.workspace.path("after.ndjson"), after.join("\n")).unwrap();
    // expected results: the same events in a local store, in the middle and at the end
    assert_eq!(shared.run("ingest before.ndjson --store reference").exit_code, 0);
    let expected_in_the_middle = shared.check("reference", MIDDLE);
    assert_eq!(shared.run("ingest after.ndjson --store reference").exit_code, 0);
    assert_eq!(shared.check("reference", MIDDLE).stdout, expected_in_the_middle.stdout);

    assert_eq!(shared.run(&format!("ingest before.ndjson --store {STORE}")).exit_code, 0);
    let queue = shared.queues.create_queue("shared").await;
    let all = [before, after].concat();
    shared.queues.send_all(&queue, &all).await;
    let (shared, deleted) = tokio::task::spawn_blocking(move || {
        let mut consumers: Vec<Child> = (0..CONSUMERS).map(|_| shared.consumer(&queue)).collect();
        let mut rounds = 0;
        while rounds < ROUNDS_MIN || consumers.iter_mut().any(|c| c.try_wait().unwrap().is_none()) {
            let compacted = shared.run(&format!("store compact --store {STORE} --grace 0s"));
            // exit code 1: a day changed during compaction and is skipped
            assert!(compacted.exit_code <= 1, "{compacted:?}");
            let check = shared.check(STORE, MIDDLE);
            assert_eq!(
                check.stdout, expected_in_the_middle.stdout,
                "round {rounds}: {}",
                check.stderr
            );
            rounds += 1;
        }
        let deleted: u64 = consumers
            .into_iter()
            .map(|consumer| {
                let finished = CommandOutput::from(consumer.wait_with_output().unwrap());
                let summary = finished.json();
                // exit code 1: other consumers still had messages at its end
                let others_have_messages = summary["in_flight"]["messages"].as_u64() > Some(0);
                assert_eq!(finished.exit_code, i32::from(others_have_messages), "{finished:?}");
                summary["deleted"].as_u64().unwrap()
            })
            .sum();
        (shared, deleted)
    })
    .await
    .unwrap();

    assert_eq!(deleted, all.len() as u64);
    let at_the_end = shared.check("reference", END).stdout;
    assert_eq!(shared.check(STORE, END).stdout, at_the_end);
    assert_eq!(shared.run(&format!("store compact --store {STORE} --grace 0s")).exit_code, 0);
    assert_eq!(shared.check(STORE, END).stdout, at_the_end);
    let verified = shared.run(&format!("store verify --store {STORE} --format json"));
    assert_eq!(verified.json()["problems"], serde_json::json!([]));
}
