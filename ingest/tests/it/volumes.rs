//! Volumes: files as spreadsheets save them, statistics as SES tells them, and the room in which they lie.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use bouncewatch_ingest::send_counts::{Imported, VolumesError, import_file, import_statistics};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_schemas::volume::{Volume, VolumeCounts, effective};
use bouncewatch_store::addresses::Addresses;
use bouncewatch_store::compact::{self, Compacted, compact};
use bouncewatch_store::forget::forget;
use bouncewatch_store::retain::{self, retain};
use bouncewatch_store::send_counts::{publish, read_all};
use bouncewatch_store::verify::{stats, verify};
use bouncewatch_store::{Segment, Store};
use proptest::prelude::*;

use crate::server::server;

/// 20 November 2026.
const NOW: i64 = 1_795_132_800_000;
const QUARTER: i64 = 900_000;
const DAY: i64 = 86_400_000;
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

fn store_in(folder: &Path) -> Store {
    Store::in_folder(folder.join("store")).unwrap()
}

/// The points of a store that hold, a line each.
async fn told(store: &Store) -> String {
    let mut out = String::new();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for point in effective(read_all(store).await.unwrap()) {
        let Volume { begin, end, account, region, scope, counts, .. } = point;
        let VolumeCounts { attempts, bounces, complaints, rejects } = counts;
        writeln!(
            out,
            "{} {} {} {} {scope:?} {attempts} {} {} {}",
            format_ms(begin),
            format_ms(end),
            text(&account),
            text(&region),
            number(bounces),
            number(complaints),
            number(rejects)
        )
        .unwrap();
    }
    out
}

async fn imported(store: &Store, file: &Path, now: i64) -> Imported {
    import_file(store, file, None, now).await.unwrap()
}

/// What became of new, changed, unchanged, covered and refused points.
fn counts(done: &Imported) -> [u64; 5] {
    [done.new, done.changed, done.unchanged, done.covered, done.refused.len() as u64]
}

/// Every file in `fixtures/volumes` is told as the text beside it says, once and once more.
#[tokio::test]
async fn files_of_volumes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/volumes");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    assert!(cases.len() > 10);
    for file in cases {
        let place = tempfile::tempdir().unwrap();
        let store = store_in(place.path());
        let shown = file.display().to_string();
        let expected = std::fs::read_to_string(file.with_extension("told")).unwrap();
        let mut found = String::new();
        match import_file(&store, &file, None, NOW).await {
            Ok(done) => {
                found += &told(&store).await;
                for line in &done.refused {
                    let line = line.replacen(&format!("{shown}:"), "refused ", 1);
                    writeln!(found, "{}", line.replace(&shown, "FILE")).unwrap();
                }
                let [new, changed, unchanged, covered, refused] = counts(&done);
                assert_eq!(done.points, new + changed + unchanged + covered + refused, "{shown}");
                // what is there is not written again
                let before = store.volume_files().await.unwrap();
                let again = imported(&store, &file, NOW + 1).await;
                assert_eq!((again.new, again.changed, again.bytes), (0, 0, 0), "{shown}");
                assert_eq!(again.refused, done.refused, "{shown}");
                assert_eq!(store.volume_files().await.unwrap(), before, "{shown}");
            }
            Err(VolumesError::NotATable { why, hint, .. }) => {
                assert!(!hint.is_empty());
                writeln!(found, "not a table: {why}").unwrap();
                assert!(store.volume_files().await.unwrap().is_empty(), "{shown}");
            }
            Err(error) => panic!("{shown}: {error}"),
        }
        assert_eq!(found, expected, "{shown}");
    }
}

#[tokio::test]
async fn lines_without_an_account_take_the_given_one() {
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    let file = place.path().join("v.csv");
    let other = "999999999999";
    std::fs::write(
        &file,
        format!(
            "from,to,attempts,account\n2026-11-01,2026-11-02,1,\n2026-11-01,2026-11-02,2,{other}\n"
        ),
    )
    .unwrap();
    import_file(&store, &file, Some(ACCOUNT), NOW).await.unwrap();
    let rows = read_all(&store).await.unwrap();
    let accounts: BTreeMap<_, _> =
        rows.iter().map(|row| (row.account.as_deref().unwrap(), row.counts.attempts)).collect();
    assert_eq!(accounts, BTreeMap::from([(ACCOUNT, 1), (other, 2)]));
    let error = import_file(&store, &file, Some("mine"), NOW).await.unwrap_err();
    assert!(matches!(error, VolumesError::NotAnAccount), "{error}");
}

/// A server behind the SDK that answers each action with a status and a body.
fn aws(answers: BTreeMap<&'static str, (u16, String)>) -> (SdkConfig, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let client = infallible_client_fn(move |request| {
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap();
        seen.lock().unwrap().push(format!("{} {action}", request.uri()));
        let (status, answer) = &answers[action];
        http::Response::builder().status(*status).body(SdkBody::from(answer.as_str())).unwrap()
    });
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(client)
        .build();
    (config, asked)
}

fn identity() -> (u16, String) {
    (
        200,
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
    )
}

/// An answer of SES with points: begin, attempts, bounces.
fn statistics(points: &[(i64, i64, i64)]) -> (u16, String) {
    let points: Vec<String> = points
        .iter()
        .map(|(begin, attempts, bounces)| {
            format!("<member><Timestamp>{}</Timestamp><DeliveryAttempts>{attempts}</DeliveryAttempts><Bounces>{bounces}</Bounces><Complaints>0</Complaints><Rejects>0</Rejects></member>", format_ms(*begin))
        })
        .collect();
    (
        200,
        format!(
            "<GetSendStatisticsResponse xmlns=\"http://ses.amazonaws.com/doc/2010-12-01/\"><GetSendStatisticsResult><SendDataPoints>{}</SendDataPoints></GetSendStatisticsResult></GetSendStatisticsResponse>",
            points.concat()
        ),
    )
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    (
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        ),
    )
}

async fn ask(store: &Store, points: &[(i64, i64, i64)], now: i64) -> Imported {
    let answers = [("GetCallerIdentity", identity()), ("GetSendStatistics", statistics(points))];
    let (config, _) = aws(BTreeMap::from(answers));
    import_statistics(store, REGION, None, &config, now).await.unwrap()
}

#[tokio::test]
async fn a_point_that_grows_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    let [first, second] = [NOW - 2 * QUARTER, NOW - QUARTER / 2];
    // not in order, as SES tells them
    let done = ask(&store, &[(second, 5, 0), (first, 9, 1)], NOW).await;
    assert_eq!(counts(&done), [2, 0, 0, 0, 0]);
    // it grows; bounces come late
    let done = ask(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER / 4).await;
    assert_eq!(counts(&done), [0, 2, 0, 0, 0]);
    // nothing new but that it is complete: once
    let done = ask(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER).await;
    assert_eq!((counts(&done), done.bytes > 0), ([0, 0, 2, 0, 0], true));
    let done = ask(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER + 1).await;
    assert_eq!((counts(&done), done.bytes), ([0, 0, 2, 0, 0], 0));
    let expected = format!(
        "{} {} {ACCOUNT} {REGION} {{}} 9 2 0 0\n{} {} {ACCOUNT} {REGION} {{}} 8 0 0 0\n",
        format_ms(first),
        format_ms(first + QUARTER),
        format_ms(second),
        format_ms(second + QUARTER)
    );
    assert_eq!(told(&store).await, expected);
    // two weeks later they are told no more, and stay
    let done = ask(&store, &[], NOW + 15 * DAY).await;
    assert_eq!((done.points, done.bytes), (0, 0));
    assert_eq!(told(&store).await, expected);
}

#[tokio::test]
async fn statistics_are_asked_of_their_region_and_account() {
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    let answers = [("GetCallerIdentity", identity()), ("GetSendStatistics", statistics(&[]))];
    for (account, actions) in [
        (None, &["sts.eu-west-1 GetCallerIdentity", "email.eu-west-1 GetSendStatistics"][..]),
        (Some(ACCOUNT), &["email.eu-west-1 GetSendStatistics"]),
    ] {
        let (config, asked) = aws(BTreeMap::from(answers.clone()));
        import_statistics(&store, REGION, account, &config, NOW).await.unwrap();
        let asked: Vec<String> = asked.lock().unwrap().clone();
        let asked: Vec<String> = asked
            .iter()
            .map(|call| call.replace("https://", "").replace(".amazonaws.com/", ""))
            .collect();
        assert_eq!(asked, actions);
    }
}

#[tokio::test]
async fn what_aws_refuses_names_the_way_out() {
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    for (whose, answer, expected) in [
        (
            identity(),
            refusal(403, "AccessDenied"),
            &[
                "statistics of eu-west-1 is denied: ses:GetSendStatistics",
                "hint: allow ses:GetSendStatistics",
            ][..],
        ),
        (refusal(403, "AccessDenied"), statistics(&[]), &["denied: sts:GetCallerIdentity"]),
        (
            identity(),
            refusal(403, "ExpiredToken"),
            &[
                "does not accept the credentials: ses:GetSendStatistics",
                "ExpiredToken no",
                "renew them",
            ],
        ),
        (
            refusal(403, "InvalidClientTokenId"),
            statistics(&[]),
            &["credentials: sts:GetCallerIdentity", "InvalidClientTokenId"],
        ),
        (identity(), refusal(400, "Throttling"), &["ses:GetSendStatistics failed: Throttling no"]),
        (
            identity(),
            (200, "<html>".to_owned()),
            &["could not ask SES for the statistics of eu-west-1"],
        ),
    ] {
        let answers = [("GetCallerIdentity", whose), ("GetSendStatistics", answer)];
        let (config, _) = aws(BTreeMap::from(answers));
        let error = import_statistics(&store, REGION, None, &config, NOW).await.unwrap_err();
        let told = error.to_string();
        assert!(expected.iter().all(|part| told.contains(part)), "{told}");
    }
    // nobody is there, as in a region that SES is not in
    let nowhere = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url("http://127.0.0.1:9")
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "t", "t", None, None, "t",
        )))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::test_util::NeverClient::new())
        .build();
    let timeouts = aws_config::timeout::TimeoutConfig::builder();
    let timeouts = timeouts.operation_timeout(std::time::Duration::from_millis(1)).build();
    let nowhere = nowhere.into_builder().timeout_config(timeouts).build();
    let error = import_statistics(&store, "xx-west-1", Some(ACCOUNT), &nowhere, NOW).await;
    let told = error.unwrap_err().to_string();
    assert!(
        told.contains("SES is in a region of that name") && told.contains("xx-west-1"),
        "{told}"
    );
}

/// Against a server that others wrote: it tells all mails in one point, whose time is that of the question.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_a_real_server() {
    let (server, _) = server("unused");
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let ses = aws_sdk_ses::Client::new(&config);
    ses.verify_email_identity().email_address("shop@example.com").send().await.unwrap();
    let send = async |count: usize| {
        for _ in 0..count {
            let text = aws_sdk_ses::types::Content::builder().data("x").build().unwrap();
            let body = aws_sdk_ses::types::Body::builder().text(text.clone()).build();
            let message = aws_sdk_ses::types::Message::builder().subject(text).body(body).build();
            let to =
                aws_sdk_ses::types::Destination::builder().to_addresses("a@example.org").build();
            ses.send_email()
                .source("shop@example.com")
                .destination(to)
                .message(message)
                .send()
                .await
                .unwrap();
        }
    };
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    for (count, all) in [(3, 3), (2, 5)] {
        send(count).await;
        let now = chrono_now();
        import_statistics(&store, "us-east-1", None, &config, now).await.unwrap();
        let points = effective(read_all(&store).await.unwrap());
        let sent: i64 = points.iter().map(|point| point.counts.attempts).sum();
        assert_eq!(sent, all, "{points:?}");
        assert!(points.iter().all(|point| point.account.as_deref() == Some(ACCOUNT)));
        assert!(points.iter().all(|point| point.region.as_deref() == Some("us-east-1")));
    }
}

/// The clock that the server has too.
fn chrono_now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn settings(grace_ms: i64) -> compact::Settings {
    compact::Settings {
        grace_ms,
        until_day: None,
        dry_run: false,
        limits: compact::Limits::default(),
    }
}

fn point(begin: i64, attempts: i64, received_at: i64) -> Volume {
    Volume {
        begin,
        end: begin + QUARTER,
        account: Some(ACCOUNT.to_owned()),
        region: None,
        scope: BTreeMap::from([("identity".to_owned(), "shop@example.com".to_owned())]),
        counts: VolumeCounts { attempts, ..VolumeCounts::default() },
        received_at,
        origin: "a".to_owned(),
    }
}

fn names(files: &[Segment]) -> Vec<&str> {
    files.iter().map(Segment::name).collect()
}

/// Merging, keeping and forgetting, in a folder and in a bucket alike.
async fn suite(store: Store) {
    let at = |day: i64| NOW - day * DAY;
    for (number, day) in [(0, 100), (1, 50), (2, 1)] {
        let rows = [point(at(day), 5, at(day) + number), point(at(1), 7, at(1) + number)];
        publish(&store, &rows, NOW).await.unwrap();
    }
    let before = told(&store).await;
    assert_eq!(before.lines().count(), 3);
    let verified = verify(&store).await.unwrap();
    assert_eq!((verified.segments, verified.rows, verified.problems.len()), (3, 6, 0));
    let found = stats(&store).await.unwrap().volumes;
    assert_eq!((found.files, found.points), (3, 3));
    assert_eq!(found.from.as_deref(), Some(format_ms(at(100)).as_str()));

    // merged, and what was replaced waits for readers
    let published = store.volume_files().await.unwrap();
    let now = published.iter().map(|file| file.published_at).max().unwrap();
    let run = async |grace_ms: i64, now: i64| -> Compacted {
        let done = compact(&store, &settings(grace_ms), now).await.unwrap();
        assert!(done.problems.is_empty() && done.skipped.is_empty(), "{done:?}");
        done
    };
    let done = run(60_000, now).await;
    let merged = done.volumes.unwrap();
    assert_eq!((merged.files_before, merged.rows_before, merged.rows_after), (3, 6, Some(3)));
    assert_eq!((done.inputs_removed, done.inputs_waiting), (0, 3));
    assert_eq!(told(&store).await, before);
    let done = run(60_000, now).await;
    assert_eq!((done.volumes.is_none(), done.inputs_waiting), (true, 3));
    let done = run(60_000, now + 10 * 60_000).await;
    assert_eq!((done.volumes.is_none(), done.inputs_removed), (true, 3));
    assert_eq!(store.volume_files().await.unwrap().len(), 1);
    assert_eq!(told(&store).await, before);

    // what comes later is merged with it; nothing of what was replaced comes back
    publish(&store, &[point(at(1), 9, NOW)], NOW).await.unwrap();
    let done = run(0, now).await;
    assert_eq!((done.volumes.unwrap().rows_after, done.inputs_removed), (Some(3), 2));
    let kept = retain::Settings { volume_days: Some(60), ..retain::Settings::default() };
    let tried = retain(&store, &retain::Settings { dry_run: true, ..kept.clone() }, NOW).await;
    assert_eq!(tried.unwrap().volumes, 1);
    assert_eq!(told(&store).await.lines().count(), 3);
    assert_eq!(retain(&store, &kept, NOW).await.unwrap().volumes, 1);
    assert_eq!(told(&store).await.lines().count(), 2);
    assert_eq!(store.volume_files().await.unwrap().len(), 1);

    // an address may be an identity
    let mut other = point(at(1), 4, NOW);
    other.scope.clear();
    publish(&store, &[other], NOW).await.unwrap();
    let done = forget(&store, "Shop@example.com", &Addresses::default(), NOW).await.unwrap();
    assert_eq!((done.volumes, done.left), (2, 0));
    assert_eq!(told(&store).await.lines().count(), 1);
}

#[tokio::test]
async fn a_room_in_a_folder() {
    let place = tempfile::tempdir().unwrap();
    suite(store_in(place.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_in_a_bucket() {
    let (_server, buckets) = server("stores");
    let objects = buckets.open("stores").unwrap();
    suite(Store::in_objects(objects, "deep/store", "s3://stores/deep/store")).await;
}

/// What a crash leaves between publishing and removing changes nothing, and is cleared by the next run.
#[tokio::test]
async fn a_crash_while_merging_leaves_copies_only() {
    let place = tempfile::tempdir().unwrap();
    let store = store_in(place.path());
    for attempts in [1, 2] {
        publish(&store, &[point(NOW, attempts, NOW + attempts)], NOW).await.unwrap();
    }
    let room = place.path().join("store/volumes");
    let files = store.volume_files().await.unwrap();
    let saved: Vec<(PathBuf, Vec<u8>)> = names(&files)
        .into_iter()
        .map(|name| (room.join(name), std::fs::read(room.join(name)).unwrap()))
        .collect();
    let before = told(&store).await;
    compact(&store, &settings(0), NOW).await.unwrap();
    for (path, bytes) in &saved {
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(room.join("half.parquet#1"), "half").unwrap();
    assert_eq!(told(&store).await, before);
    assert_eq!(verify(&store).await.unwrap().unpublished.len(), 1);
    let done = compact(&store, &settings(0), i64::MAX).await.unwrap();
    assert_eq!((done.inputs_removed, done.volumes.is_none()), (2, true));
    assert_eq!(told(&store).await, before);
    // a file that is none of ours is told, and stops neither the merging of days nor itself
    std::fs::write(room.join("broken.parquet"), "PAR1").unwrap();
    assert_eq!(verify(&store).await.unwrap().problems.len(), 1);
    assert_eq!(compact(&store, &settings(0), NOW).await.unwrap().problems.len(), 1);
}

/// A line of a file: span, scope, attempts.
type Told = (i64, usize, i64);

fn file_of(lines: &[Told]) -> String {
    let mut text = "from,to,attempts,provider\n".to_owned();
    for (span, scope, attempts) in lines {
        let [from, to] = [*span, span + 1].map(|span| format_ms(NOW + span * QUARTER));
        writeln!(text, "{from},{to},{attempts},{}", ["", "gmail"][*scope]).unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However points are split into runs and files, in whatever order, repeated, and with the room merged in
    /// between: of each point the last run's numbers hold.
    #[test]
    fn the_last_run_holds_however_points_are_split(
        runs in proptest::collection::vec(
            (proptest::collection::btree_map((0..4_i64, 0..2_usize), 0..5_i64, 1..6), 1..4_usize, any::<bool>()), 1..6,
        ).prop_flat_map(|runs| {
            let run = |(points, files, merged): (BTreeMap<(i64, usize), i64>, usize, bool)| {
                let lines: Vec<Told> = points.into_iter().map(|((span, scope), attempts)| (span, scope, attempts)).collect();
                (Just(lines).prop_shuffle(), Just(files), Just(merged))
            };
            runs.into_iter().map(run).collect::<Vec<_>>()
        }),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = tempfile::tempdir().unwrap();
            let store = store_in(place.path());
            let mut expected: BTreeMap<(i64, usize), i64> = BTreeMap::new();
            for (number, (lines, files, merged)) in (0..).zip(&runs) {
                let now = NOW + number;
                for (at, part) in lines.chunks(lines.len().div_ceil(*files)).enumerate() {
                    let file = place.path().join(format!("{number}-{at}.csv"));
                    let twice: Vec<Told> = part.iter().rev().chain(part).copied().collect();
                    std::fs::write(&file, file_of(&twice)).unwrap();
                    for _ in 0..2 {
                        let done = imported(&store, &file, now).await;
                        prop_assert!(done.refused.is_empty(), "{:?}", done);
                    }
                }
                expected.extend(lines.iter().map(|(span, scope, attempts)| ((*span, *scope), *attempts)));
                if *merged {
                    compact(&store, &settings(number % 2), now).await.unwrap();
                }
            }
            let held = effective(read_all(&store).await.unwrap());
            let held: BTreeMap<(i64, usize), i64> = held
                .iter()
                .map(|row| (((row.begin - NOW) / QUARTER, row.scope.len()), row.counts.attempts))
                .collect();
            prop_assert_eq!(held, expected);
            Ok(())
        })?;
    }
}
