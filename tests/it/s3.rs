//! S3: archives in a bucket, event notifications for new objects, and a store in a bucket. The server is moto.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bouncewatch_fixtures::bucket_server::BucketServer;
use serde_json::{Value, json};

use crate::command::{CommandOutput, Workspace, tool};
use crate::emulator::{CREDENTIALS, config};
use crate::messages::{NOW, message, sent_and_bounced};

pub(crate) fn server(bucket: &str) -> BucketServer {
    let tools = tool("venv/bin/moto_server").ancestors().nth(3).unwrap().to_path_buf();
    let server = BucketServer::start(&tools).unwrap();
    server.make_bucket(bucket).unwrap();
    server
}

fn run(workspace: &Workspace, server: &BucketServer, arguments: &str) -> CommandOutput {
    let mut command = workspace.command(arguments);
    command.args(["--endpoint-url", &server.url()]).envs(CREDENTIALS);
    CommandOutput::from(command.output().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn object_created_notifications_are_ingested() {
    let (server, workspace) = (server("archive"), Workspace::new());
    let sqs = aws_sdk_sqs::Client::new(&config(&server.url()).await);
    let queue = sqs.create_queue().queue_name("new-objects").send().await.unwrap();
    let queue = queue.queue_url.unwrap();
    // the server sends a test event, then an event for each object
    server.notify("archive", "new-objects").unwrap();
    let sends = |from: usize, to: usize| -> String {
        (from..to).map(|number| message(number).send()).collect()
    };
    server.put_object("archive", "ses/2026/part one+1", sends(0, 6).as_bytes()).unwrap();
    server.put_object("archive", "ses/2026/ü", message(1).bounce().as_bytes()).unwrap();
    server.put_object("archive", "ses/table.parquet", b"PAR1....PAR1").unwrap();
    let pointer = |name: &str, key: &str| {
        json!({"eventSource": "aws:s3", "eventName": name, "awsRegion": "us-east-1",
            "s3": {"bucket": {"name": "archive"}, "object": {"key": key, "size": 1}}})
    };
    let record = |event: String| json!({"body": event});
    for body in [
        // an inline event, and an inline event beside an object notification
        json!({"body": sends(10, 11)}),
        json!({"Records": [record(sends(11, 12)), pointer("ObjectCreated:Copy", "ses/2026/%C3%BC")]}),
        // object notifications through SNS and EventBridge
        json!({"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t",
            "Message": json!({"Records": [pointer("ObjectCreated:Put", "ses/2026/part+one%2B1")]}).to_string()}),
        json!({"detail-type": "Object Created", "source": "aws.s3", "region": "us-east-1",
            "detail": {"bucket": {"name": "archive"}, "object": {"key": "ses/2026/part one+1"}}}),
        json!({"Records": [pointer("ObjectCreated:Put", "ses/gone"), pointer("ObjectRemoved:Delete", "a")]}),
    ] {
        sqs.send_message().queue_url(&queue).message_body(body.to_string()).send().await.unwrap();
    }
    let drained = tokio::task::spawn_blocking(move || {
        let arguments = format!("ingest {queue} --store STORE --format json");
        (run(&workspace, &server, &arguments), workspace, server)
    });
    let (drained, workspace, _server) = drained.await.unwrap();
    let summary = drained.json();
    assert_eq!(drained.exit_code, 1, "{drained:?}");
    assert_eq!(summary["deleted"], 9, "{summary}");
    assert_eq!(summary["left"], 0, "{summary}");
    assert_eq!(summary["ignored"], json!({"s3_test_event": 1, "other_object_event": 1}));
    assert_eq!(
        summary["quarantined_by_reason"],
        json!({"object_missing": 1, "object_unreadable": 1})
    );
    // the first object three times, the second twice, and two inline events
    assert_eq!(summary["rows"], 6 * 3 + 2 + 2, "{summary}");
    let report = workspace.run(&format!(
        "report --store STORE --from 2026-11-19 --to {NOW} --every 1d --window 24h --format json"
    ));
    let row = &report.json()["rows"][0];
    assert_eq!((&row["sends"], &row["bounces"]), (&json!(8), &json!(1)), "{row}");
    let list = workspace.run("store quarantine list --store STORE");
    assert!(
        list.stdout.contains("`s3://archive/ses/gone`")
            && list.stdout.contains("`s3://archive/ses/table.parquet` is a Parquet file"),
        "{list:?}"
    );
}

#[test]
fn s3_archive_is_ingested() {
    let (server, workspace) = (server("archive"), Workspace::new());
    server.put_object("archive", "ses/a", sent_and_bounced(20, 3).as_bytes()).unwrap();
    server.put_object("archive", "ses/b.zip", b"PK\x03\x04").unwrap();
    let ingested = run(&workspace, &server, "ingest s3://archive/ses --store STORE --format json");
    assert_eq!((ingested.exit_code, &ingested.json()["rows"]), (2, &json!(23)), "{ingested:?}");
    assert!(ingested.stderr.contains("`s3://archive/ses/b.zip` is a zip archive"), "{ingested:?}");
    let since = "ingest s3://archive/ses --since 2199-01-01 --store STORE --format json";
    let ingested = run(&workspace, &server, since);
    assert_eq!((ingested.exit_code, &ingested.json()["messages"]), (0, &json!(0)), "{ingested:?}");
    for (arguments, expected) in [
        ("ingest s3://archive/none --store STORE", "no object at `s3://archive/none`"),
        (
            "ingest s3://archive/ses --since yesterday --store STORE",
            "--since: invalid time `yesterday`",
        ),
    ] {
        let failed = run(&workspace, &server, arguments);
        assert_eq!(failed.exit_code, 2, "{failed:?}");
        assert!(failed.stderr.contains(expected), "{failed:?}");
    }
}

/// Returns the segments in the local cache with their modification times.
fn cached(workspace: &Workspace) -> BTreeMap<PathBuf, std::time::SystemTime> {
    let mut found = BTreeMap::new();
    let mut folders = vec![workspace.path("cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "parquet") {
                let modified = path.metadata().unwrap().modified().unwrap();
                found.insert(path, modified);
            }
        }
    }
    found
}

#[test]
fn s3_store_and_local_store_give_equal_results() {
    let (server, workspace) = (server("stores"), Workspace::new());
    let bucket = "s3://stores/deep/one";
    let take = |events: &str| {
        std::fs::write(workspace.path("in.ndjson"), events).unwrap();
        for store in ["STORE", bucket] {
            let ingested =
                run(&workspace, &server, &format!("ingest in.ndjson --workers 1 --store {store}"));
            assert_eq!(ingested.exit_code, 0, "{ingested:?}");
        }
    };
    let same = |arguments: &str| -> Value {
        let [folder, cached] = ["STORE", bucket].map(|store| {
            let arguments = arguments.replacen(' ', &format!(" --store {store} --cache cache "), 1);
            run(&workspace, &server, &arguments)
        });
        assert_eq!(
            (folder.exit_code, folder.json()),
            (cached.exit_code, cached.json()),
            "{arguments}"
        );
        folder.json()
    };
    let check = format!("check --at {NOW} --window 24h,volume:100 --by tag:campaign --format json");
    take(&sent_and_bounced(1_000, 62));
    assert_eq!(same(&check)["status"], "warning");
    std::fs::write(workspace.path("list.csv"), "user1@example.org\nnew@example.org\n").unwrap();
    let forecast = same(&format!("forecast list.csv --at {NOW} --format json"));
    assert_eq!(forecast["list"]["addresses"], 2);
    let first = cached(&workspace);
    assert_eq!(first.len(), 1);

    // cached segments are not fetched again
    take(&(message(5_000).send() + &message(70).bounce()));
    let report = format!("report --from 2026-11-18 --to {NOW} --every 12h --format json");
    assert_eq!(same(&report)["rows"].as_array().unwrap().len(), 4);
    let second = cached(&workspace);
    assert_eq!(second.len(), 2);
    assert!(first.iter().all(|(path, written)| second.get(path) == Some(written)));

    // replaced segments are removed from the cache
    let [one, _] = second.keys().collect::<Vec<_>>()[..] else { panic!() };
    let day = "deep/one/events/date=2026-11-19";
    let content = std::fs::read(one).unwrap();
    server.put_object("stores", &format!("{day}/merged.sealed.parquet"), &content).unwrap();
    let name = one.file_name().unwrap().to_string_lossy();
    server.delete_object("stores", &format!("{day}/{name}")).unwrap();
    same(&check);
    let third: Vec<PathBuf> = cached(&workspace).into_keys().collect();
    assert_eq!(third.len(), 2);
    assert!(third.iter().any(|path| path.ends_with("merged.sealed.parquet")), "{third:?}");
    assert!(!third.contains(one));

    // a wrong name is an error, not an empty store
    for (missing, expected) in [
        ("s3://stores/deep/two", "no store at `s3://stores/deep/two`"),
        ("s3://nowhere/deep", "could not list `s3://nowhere/deep/events`: no such bucket"),
    ] {
        let failed = run(&workspace, &server, &format!("check --store {missing} --cache cache"));
        assert_eq!(failed.exit_code, 3, "{failed:?}");
        assert!(failed.stderr.contains(expected), "{failed:?}");
    }
    let stats = run(&workspace, &server, "store stats --store s3://stores/deep/two");
    assert_eq!(stats.exit_code, 2, "{stats:?}");
    assert!(stats.stderr.contains("no store at `s3://stores/deep/two`"), "{stats:?}");
}

#[test]
fn stats_verify_and_replay_work_on_an_s3_store() {
    let (server, workspace) = (server("stores"), Workspace::new());
    let events = sent_and_bounced(5, 1) + "broken\n";
    std::fs::write(workspace.path("in.ndjson"), events).unwrap();
    let ingested = run(&workspace, &server, "ingest in.ndjson --store s3://stores");
    assert_eq!(ingested.exit_code, 1, "{ingested:?}");
    let stats = run(&workspace, &server, "store stats --store s3://stores --format json").json();
    assert_eq!((&stats["rows"], &stats["quarantined"]), (&json!(6), &json!(1)), "{stats}");
    let verified = run(&workspace, &server, "store verify --store s3://stores");
    assert_eq!(verified.exit_code, 0, "{verified:?}");
    let replayed = run(&workspace, &server, "store quarantine replay --store s3://stores");
    assert_eq!(replayed.exit_code, 1, "{replayed:?}");
}
