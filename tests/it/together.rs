//! Several consumers on one queue, a compactor and somebody who asks, all on one store in a bucket at the same time.

use std::process::{Child, Command, Stdio};

use bouncewatch_fixtures::bucket_server::BucketServer;
use bouncewatch_fixtures::traffic::{Envelope, Options, Shuffle, Traffic};
use chrono::{DateTime, TimeDelta, Utc};

use crate::command::{Place, Said, said, tool};
use crate::emulator::{CREDENTIALS, Emulator};

const STORE: &str = "s3://shared/bouncewatch";
const CONSUMERS: usize = 4;
/// How often compactor and check take turns at least.
const TURNS_MIN: usize = 3;
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

struct Shared {
    place: Place,
    queues: Emulator,
    buckets: BucketServer,
}

impl Shared {
    /// Queues are on one server, buckets on another.
    fn command(&self, words: &str) -> Command {
        let mut command = self.place.command(words);
        command
            .envs(CREDENTIALS)
            .env("AWS_ENDPOINT_URL", self.buckets.url())
            .env("AWS_ENDPOINT_URL_SQS", &self.queues.url);
        command
    }

    fn run(&self, words: &str) -> Said {
        said(self.command(words).output().unwrap())
    }

    fn consumer(&self, queue: &str) -> Child {
        self.command(&format!("ingest {queue} --store {STORE} --batch-age 1 --format json"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn check(&self, store: &str, at: &str) -> Said {
        let by = "--by recipient_domain --window 24h,7d,volume:1000";
        self.run(&format!("check --store {store} --at {at} {by} --format json --cache cache"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_true_while_four_consumers_and_a_compactor_write() {
    let tools = tool("venv/bin/moto_server").ancestors().nth(3).unwrap().to_path_buf();
    let buckets = BucketServer::start(&tools).unwrap();
    buckets.make_bucket("shared").unwrap();
    let shared = Shared { place: Place::new(), queues: Emulator::start().await, buckets };
    let (before, after) = (traffic(1, MIDDLE), traffic(2, END));
    std::fs::write(shared.place.path("before.ndjson"), before.join("\n")).unwrap();
    std::fs::write(shared.place.path("after.ndjson"), after.join("\n")).unwrap();
    // the truth: everything in one run into a folder, as it was in the middle and at the end
    assert_eq!(shared.run("ingest before.ndjson --store truth").code, 0);
    let truth_in_the_middle = shared.check("truth", MIDDLE);
    assert_eq!(shared.run("ingest after.ndjson --store truth").code, 0);
    assert_eq!(shared.check("truth", MIDDLE).out, truth_in_the_middle.out);

    assert_eq!(shared.run(&format!("ingest before.ndjson --store {STORE}")).code, 0);
    let queue = shared.queues.queue("shared").await;
    let all = [before, after].concat();
    shared.queues.put(&queue, &all).await;
    let (shared, deleted) = tokio::task::spawn_blocking(move || {
        let mut consumers: Vec<Child> = (0..CONSUMERS).map(|_| shared.consumer(&queue)).collect();
        let mut turns = 0;
        while turns < TURNS_MIN || consumers.iter_mut().any(|c| c.try_wait().unwrap().is_none()) {
            let compacted = shared.run(&format!("store compact --store {STORE} --grace 0s"));
            // 1: a day was changed meanwhile and left for the next time
            assert!(compacted.code <= 1, "{compacted:?}");
            let check = shared.check(STORE, MIDDLE);
            assert_eq!(check.out, truth_in_the_middle.out, "turn {turns}: {}", check.err);
            turns += 1;
        }
        let deleted: u64 = consumers
            .into_iter()
            .map(|consumer| {
                let ended = said(consumer.wait_with_output().unwrap());
                assert_eq!(ended.code, 0, "{ended:?}");
                ended.json()["deleted"].as_u64().unwrap()
            })
            .sum();
        (shared, deleted)
    })
    .await
    .unwrap();

    assert_eq!(deleted, all.len() as u64);
    let at_the_end = shared.check("truth", END).out;
    assert_eq!(shared.check(STORE, END).out, at_the_end);
    assert_eq!(shared.run(&format!("store compact --store {STORE} --grace 0s")).code, 0);
    assert_eq!(shared.check(STORE, END).out, at_the_end);
    let verified = shared.run(&format!("store verify --store {STORE} --format json"));
    assert_eq!(verified.json()["problems"], serde_json::json!([]));
}
