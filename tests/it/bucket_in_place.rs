//! A store in a bucket is read in place: the same results as from a folder, few requests, and no damage that is not found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bouncewatch_fixtures::bucket_server::BucketServer;
use bouncewatch_fixtures::traffic::{DEFAULT_END, Options, Scenario, Traffic};
use serde_json::Value;

use crate::command::{CommandOutput, Workspace};
use crate::emulator::CREDENTIALS;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::integrity::files;
use crate::s3::server;

/// The end of the traffic.
const AT: &str = "2026-11-20T00:00:00Z";
/// A time in its last day.
const IN_LAST_DAY: &str = "2026-11-19T18:00:00Z";
/// Most requests of a check on an empty disk.
const REQUESTS_MAX: usize = 60;

/// Uploads the files of the store in a workspace.
fn upload(workspace: &Workspace, server: &BucketServer) {
    for path in files(&workspace.store()) {
        let key = path.strip_prefix(workspace.store()).unwrap().to_str().unwrap();
        if key.ends_with(".parquet") {
            server.put_object("stores", key, &std::fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// Runs a command on the bucket at `url`, with the local files in `cache`.
fn run(workspace: &Workspace, url: &str, cache: &str, arguments: &str) -> CommandOutput {
    let arguments = format!("{arguments} --format json --store s3://stores --cache {cache}");
    let mut command = workspace.command(&arguments);
    command.args(["--endpoint-url", url]).envs(CREDENTIALS);
    CommandOutput::from(command.output().unwrap())
}

/// Runs a command on the bucket, and checks that the result is the expected one.
fn same(workspace: &Workspace, url: &str, cache: &str, arguments: &str, expected: &CommandOutput) {
    let found = run(workspace, url, cache, arguments);
    assert_eq!(
        (found.exit_code, found.json()),
        (expected.exit_code, expected.json()),
        "{arguments}: {found:?}"
    );
}

/// Runs a command on a copy of the folder, so that its daily aggregates are computed.
fn of_folder(workspace: &Workspace, arguments: &str) -> CommandOutput {
    _ = std::fs::remove_dir_all(workspace.store().join("aggregates"));
    workspace.run(&format!("{arguments} --format json --store STORE"))
}

/// Ingests traffic of some days.
fn traffic(workspace: &Workspace, events: u64, days: u64) {
    let start = DEFAULT_END - Duration::from_hours(24 * days);
    let options =
        Options { events, seed: 3, scenario: Scenario::Mixed, start, ..Options::default() };
    let events: Vec<String> = Traffic::new(&options).unwrap().collect();
    workspace.ingest(&(events.join("\n") + "\n"));
}

/// A proxy for credentials that can only read.
fn read_only(server: &BucketServer) -> FaultProxy {
    FaultProxy::start(
        &server.url(),
        |method, _| {
            if method == "PUT" { Fault::Refuse } else { Fault::None }
        },
    )
}

/// Paths that were written since the last call.
fn writes(proxy: &FaultProxy) -> Vec<String> {
    let requests = proxy.take_requests().into_iter();
    requests.filter(|(method, ..)| method == "PUT").map(|(_, path, _)| path).collect()
}

#[test]
fn bucket_gives_the_results_of_a_folder_and_closed_days_are_not_read_again() {
    let (server, workspace) = (server("stores"), Workspace::new());
    traffic(&workspace, 12_000, 30);
    upload(&workspace, &server);
    let proxy = FaultProxy::start(&server.url(), |_, _| Fault::None);
    let check = format!("check --at {AT} --no-alert");
    let by_provider = format!("check --at {AT} --no-alert --by provider,tag:campaign");
    for arguments in [
        check.clone(),
        by_provider.clone(),
        format!("check --at {IN_LAST_DAY} --no-alert"),
        format!("report --from 2026-11-10 --to {AT} --every 6h --window 24h --by tag:campaign"),
        format!("causes --at {AT}"),
        format!("suppress --at {AT}"),
        format!("reconcile --at {AT}"),
    ] {
        same(&workspace, &proxy.url, "one", &arguments, &of_folder(&workspace, &arguments));
    }
    proxy.take_requests();

    // another machine
    for arguments in [check, by_provider] {
        let expected = of_folder(&workspace, &arguments);
        same(&workspace, &proxy.url, &arguments.len().to_string(), &arguments, &expected);
        let requests = proxy.take_requests();
        let reads: Vec<&String> = requests.iter().map(|(_, path, _)| path).collect();
        assert!(!reads.iter().any(|path| path.contains("/events/")), "{reads:?}");
        assert!(reads.len() <= REQUESTS_MAX, "{} requests", reads.len());
    }
}

#[test]
fn daily_aggregates_that_are_damaged_or_cannot_be_written_change_no_number() {
    let (server, workspace) = (server("stores"), Workspace::new());
    traffic(&workspace, 12_000, 2);
    upload(&workspace, &server);
    let check = format!("check --at {AT} --no-alert");
    let expected = of_folder(&workspace, &check);

    let proxy = read_only(&server);
    same(&workspace, &proxy.url, "reader", &check, &expected);
    assert_eq!(writes(&proxy).len(), 1, "one attempt is enough");

    let proxy = FaultProxy::start(&server.url(), |_, _| Fault::None);
    same(&workspace, &proxy.url, "writer", &check, &expected);
    let written = writes(&proxy);
    assert!(written.iter().any(|path| path.ends_with("/catalog")), "{written:?}");
    assert!(written.iter().any(|path| path.contains("/date%3D")), "{written:?}");
    for key in &written {
        let key = key.trim_start_matches("/stores/").replace("%3D", "=");
        server.put_object("stores", &key, b"damaged").unwrap();
    }
    same(&workspace, &proxy.url, "after-damage", &check, &expected);
    proxy.take_requests();
    same(&workspace, &proxy.url, "after-repair", &check, &expected);
    // everything was stored again
    assert_eq!(writes(&proxy), Vec::<String>::new());
}

#[test]
fn flipped_bit_in_a_bucket_is_reported_or_is_in_a_column_that_is_not_read() {
    let (server, workspace) = (server("stores"), Workspace::new());
    traffic(&workspace, 6_000, 1);
    upload(&workspace, &server);
    let check = format!("check --at {AT} --no-alert --by identity");
    let expected = of_folder(&workspace, &check);
    let segments = files(&workspace.store().join("events"));
    let size = |path: &&PathBuf| path.metadata().unwrap().len();
    let path = segments.iter().max_by_key(size).unwrap();
    let key = path.strip_prefix(workspace.store()).unwrap().to_str().unwrap();
    let content = std::fs::read(path).unwrap();
    assert!(content.len() > 100_000, "too small: it is fetched completely");
    let put_segment = |content: &[u8]| server.put_object("stores", key, content).unwrap();
    // no daily aggregates of a run before
    let url = read_only(&server).url;
    let mut found = 0;
    let steps = 24;
    // in each part of the file, and in the Arrow schema of the footer, by which polars reads it
    let places = (0..steps).map(|step| content.len() / steps * step + 7);
    let schema = b"ARROW:schema";
    let schema = content.windows(schema.len()).rposition(|window| window == schema).unwrap();
    for place in places.chain((1..=8).map(|part| schema + 100 * part)) {
        let mut flipped = content.clone();
        flipped[place] ^= 4;
        put_segment(&flipped);
        let output = run(&workspace, &url, &format!("cache-{place}"), &check);
        if output.exit_code == 3 {
            assert!(output.stderr.contains("damaged"), "{place}: {output:?}");
            found += 1;
        } else {
            assert_eq!(output.json(), expected.json(), "{place}");
            assert!(place < schema, "{place}");
        }
    }
    assert!((10..8 + steps).contains(&found), "{found} were found");

    // a damaged copy is fetched again
    put_segment(&content);
    same(&workspace, &url, "copies", &check, &expected);
    let [copies] = &std::fs::read_dir(workspace.path("copies")).unwrap().collect::<Vec<_>>()[..]
    else {
        panic!("one folder")
    };
    let copies = copies.as_ref().unwrap().path();
    for copy in files(&copies) {
        if copy.extension().is_some_and(|end| end == "parquet") {
            let mut bytes = std::fs::read(&copy).unwrap();
            for byte in bytes.iter_mut().step_by(1_000) {
                *byte ^= 4;
            }
            std::fs::write(&copy, bytes).unwrap();
        }
    }
    std::fs::remove_dir_all(copies.join("aggregates")).unwrap();
    same(&workspace, &url, "copies", &check, &expected);
}

#[test]
fn segments_of_earlier_releases_are_read_from_a_bucket() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/segments");
    for version in ["v1", "v2"] {
        let (server, workspace) = (server("stores"), Workspace::new());
        let content = std::fs::read(fixtures.join(version).join("events.parquet")).unwrap();
        let day = workspace.store().join("events/date=2026-11-19");
        std::fs::create_dir_all(&day).unwrap();
        std::fs::write(day.join("a.parquet"), content).unwrap();
        upload(&workspace, &server);
        let report = "report --from 2026-11-10 --to 2026-11-25 --every 1d --window 7d";
        let expected = of_folder(&workspace, report);
        let rows = expected.json();
        assert_ne!(rows["rows"].as_array().map(Vec::len), Some(0), "{version}: {expected:?}");
        same(&workspace, &server.url(), "cache", report, &expected);
        // again, from the copies
        same(&workspace, &server.url(), "cache", report, &expected);
        let no_cache = format!("{report} --format json --store s3://stores --no-cache");
        let mut command = workspace.command(&no_cache);
        command.args(["--endpoint-url", &server.url()]).envs(CREDENTIALS);
        let found: Value = CommandOutput::from(command.output().unwrap()).json();
        assert_eq!(found, expected.json());
    }
}
