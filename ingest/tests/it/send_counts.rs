//! Import of send counts from CSV files and SES statistics, and the table that stores them.

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
use bouncewatch_ingest::send_counts::{
    ImportSummary, SendCountsError, import_csv, import_statistics,
};
use bouncewatch_schemas::send_counts::{SendCountRow, SendCountValues, effective};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::addresses::AddressRedactor;
use bouncewatch_store::compact::{self, CompactReport, compact};
use bouncewatch_store::forget::forget;
use bouncewatch_store::retain::{self, retain};
use bouncewatch_store::send_counts::{publish, read_all};
use bouncewatch_store::stats::stats;
use bouncewatch_store::verify::verify;
use bouncewatch_store::{Segment, Store};
use proptest::prelude::*;

use crate::s3_server::server;

/// 20 November 2026.
const NOW: i64 = 1_795_132_800_000;
const QUARTER: i64 = 900_000;
const DAY: i64 = 86_400_000;
const ACCOUNT: &str = "123456789012";
const REGION: &str = "eu-west-1";

fn store_in(folder: &Path) -> Store {
    Store::in_folder(folder.join("store")).unwrap()
}

/// Valid points of a store, one per line.
async fn valid_points(store: &Store) -> String {
    let mut out = String::new();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
    for point in effective(read_all(store).await.unwrap()) {
        let SendCountRow { begin, end, account, region, scope, counts, .. } = point;
        let SendCountValues { attempts, bounces, complaints, rejects } = counts;
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

async fn import(store: &Store, file: &Path, now: i64) -> ImportSummary {
    import_csv(store, file, None, now).await.unwrap()
}

/// Number of new, changed, unchanged, covered and refused points.
fn counts(summary: &ImportSummary) -> [u64; 5] {
    [summary.new, summary.changed, summary.unchanged, summary.covered, summary.refused.len() as u64]
}

/// Imports every `fixtures/volumes/*.csv` twice, and compares points and errors with the `.expected` file beside it.
#[tokio::test]
async fn csv_files_give_the_expected_points_and_errors() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/volumes");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    assert!(cases.len() > 10);
    for file in cases {
        let folder = tempfile::tempdir().unwrap();
        let store = store_in(folder.path());
        let shown = file.display().to_string();
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap();
        let mut found = String::new();
        match import_csv(&store, &file, None, NOW).await {
            Ok(summary) => {
                found += &valid_points(&store).await;
                for line in &summary.refused {
                    let line = line.replacen(&format!("{shown}:"), "refused ", 1);
                    writeln!(found, "{}", line.replace(&shown, "FILE")).unwrap();
                }
                let [new, changed, unchanged, covered, refused] = counts(&summary);
                assert_eq!(
                    summary.points,
                    new + changed + unchanged + covered + refused,
                    "{shown}"
                );
                // a second import writes nothing
                let before = store.send_count_files().await.unwrap();
                let again = import(&store, &file, NOW + 1).await;
                assert_eq!((again.new, again.changed, again.bytes), (0, 0, 0), "{shown}");
                assert_eq!(again.refused, summary.refused, "{shown}");
                assert_eq!(store.send_count_files().await.unwrap(), before, "{shown}");
            }
            Err(SendCountsError::InvalidCsv { why, hint, .. }) => {
                assert!(!hint.is_empty());
                writeln!(found, "invalid: {why}").unwrap();
                assert!(store.send_count_files().await.unwrap().is_empty(), "{shown}");
            }
            Err(error) => panic!("{shown}: {error}"),
        }
        assert_eq!(found, expected, "{shown}");
    }
}

#[tokio::test]
async fn rows_without_an_account_get_the_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    let file = folder.path().join("v.csv");
    let other = "999999999999";
    std::fs::write(
        &file,
        format!(
            "from,to,attempts,account\n2026-11-01,2026-11-02,1,\n2026-11-01,2026-11-02,2,{other}\n"
        ),
    )
    .unwrap();
    import_csv(&store, &file, Some(ACCOUNT), NOW).await.unwrap();
    let rows = read_all(&store).await.unwrap();
    let accounts: BTreeMap<_, _> =
        rows.iter().map(|row| (row.account.as_deref().unwrap(), row.counts.attempts)).collect();
    assert_eq!(accounts, BTreeMap::from([(ACCOUNT, 1), (other, 2)]));
    let error = import_csv(&store, &file, Some("mine"), NOW).await.unwrap_err();
    assert!(matches!(error, SendCountsError::NotAnAccount), "{error}");
}

/// AWS settings with a client that responds to each action with a status and a body, and the calls made so far.
fn aws(responses: BTreeMap<&'static str, (u16, String)>) -> (SdkConfig, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&calls);
    let client = infallible_client_fn(move |request| {
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action=")).unwrap();
        recorded.lock().unwrap().push(format!("{} {action}", request.uri()));
        let (status, response) = &responses[action];
        http::Response::builder().status(*status).body(SdkBody::from(response.as_str())).unwrap()
    });
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(client)
        .build();
    (config, calls)
}

fn identity() -> (u16, String) {
    (
        200,
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        ),
    )
}

/// A response of SES with points: begin, attempts, bounces.
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

fn error_response(status: u16, code: &str) -> (u16, String) {
    (
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        ),
    )
}

async fn import_points(store: &Store, points: &[(i64, i64, i64)], now: i64) -> ImportSummary {
    let responses = [("GetCallerIdentity", identity()), ("GetSendStatistics", statistics(points))];
    let (config, _) = aws(BTreeMap::from(responses));
    import_statistics(store, REGION, None, &config, now).await.unwrap()
}

#[tokio::test]
async fn growing_point_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    let [first, second] = [NOW - 2 * QUARTER, NOW - QUARTER / 2];
    // not in order, as in responses of SES
    let summary = import_points(&store, &[(second, 5, 0), (first, 9, 1)], NOW).await;
    assert_eq!(counts(&summary), [2, 0, 0, 0, 0]);
    // more mails; late bounces
    let summary = import_points(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER / 4).await;
    assert_eq!(counts(&summary), [0, 2, 0, 0, 0]);
    // no changes, but the point is complete now: written once
    let summary = import_points(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER).await;
    assert_eq!((counts(&summary), summary.bytes > 0), ([0, 0, 2, 0, 0], true));
    let summary = import_points(&store, &[(first, 9, 2), (second, 8, 0)], NOW + QUARTER + 1).await;
    assert_eq!((counts(&summary), summary.bytes), ([0, 0, 2, 0, 0], 0));
    let expected = format!(
        "{} {} {ACCOUNT} {REGION} {{}} 9 2 0 0\n{} {} {ACCOUNT} {REGION} {{}} 8 0 0 0\n",
        format_ms(first),
        format_ms(first + QUARTER),
        format_ms(second),
        format_ms(second + QUARTER)
    );
    assert_eq!(valid_points(&store).await, expected);
    // two weeks later they are not in the response, and stay
    let summary = import_points(&store, &[], NOW + 15 * DAY).await;
    assert_eq!((summary.points, summary.bytes), (0, 0));
    assert_eq!(valid_points(&store).await, expected);
}

#[tokio::test]
async fn statistics_are_requested_in_the_region() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    let responses = [("GetCallerIdentity", identity()), ("GetSendStatistics", statistics(&[]))];
    for (account, actions) in [
        (None, &["sts.eu-west-1 GetCallerIdentity", "email.eu-west-1 GetSendStatistics"][..]),
        (Some(ACCOUNT), &["email.eu-west-1 GetSendStatistics"]),
    ] {
        let (config, calls) = aws(BTreeMap::from(responses.clone()));
        import_statistics(&store, REGION, account, &config, NOW).await.unwrap();
        let calls: Vec<String> = calls.lock().unwrap().clone();
        let calls: Vec<String> = calls
            .iter()
            .map(|call| call.replace("https://", "").replace(".amazonaws.com/", ""))
            .collect();
        assert_eq!(calls, actions);
    }
}

#[tokio::test]
async fn errors_of_aws_name_action_and_hint() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    for (caller, response, expected) in [
        (
            identity(),
            error_response(403, "AccessDenied"),
            &[
                "SES statistics of eu-west-1 is denied: ses:GetSendStatistics",
                "hint: allow ses:GetSendStatistics",
            ][..],
        ),
        (error_response(403, "AccessDenied"), statistics(&[]), &["denied: sts:GetCallerIdentity"]),
        (
            identity(),
            error_response(403, "ExpiredToken"),
            &[
                "does not accept the credentials: ses:GetSendStatistics",
                "ExpiredToken no",
                "renew them",
            ],
        ),
        (
            error_response(403, "InvalidClientTokenId"),
            statistics(&[]),
            &["credentials: sts:GetCallerIdentity", "InvalidClientTokenId"],
        ),
        (
            identity(),
            error_response(400, "Throttling"),
            &["ses:GetSendStatistics failed: Throttling no"],
        ),
        (
            identity(),
            (200, "<html>".to_owned()),
            &["could not read the SES statistics of eu-west-1"],
        ),
    ] {
        let responses = [("GetCallerIdentity", caller), ("GetSendStatistics", response)];
        let (config, _) = aws(BTreeMap::from(responses));
        let error = import_statistics(&store, REGION, None, &config, NOW).await.unwrap_err();
        let error = error.to_string();
        assert!(expected.iter().all(|part| error.contains(part)), "{error}");
    }
    // no response, as in a region without SES
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
    let error = error.unwrap_err().to_string();
    assert!(error.contains("the name of the region") && error.contains("xx-west-1"), "{error}");
}

/// Against an emulator of SES. It returns all mails in one point with the time of the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_an_emulator_count_each_mail_once() {
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
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    for (count, all) in [(3, 3), (2, 5)] {
        send(count).await;
        let now = clock_ms();
        import_statistics(&store, "us-east-1", None, &config, now).await.unwrap();
        let points = effective(read_all(&store).await.unwrap());
        let sent: i64 = points.iter().map(|point| point.counts.attempts).sum();
        assert_eq!(sent, all, "{points:?}");
        assert!(points.iter().all(|point| point.account.as_deref() == Some(ACCOUNT)));
        assert!(points.iter().all(|point| point.region.as_deref() == Some("us-east-1")));
    }
}

/// The clock of the emulator.
fn clock_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

fn settings(grace_ms: i64) -> compact::CompactSettings {
    compact::CompactSettings {
        grace_ms,
        until_day: None,
        dry_run: false,
        limits: compact::CompactLimits::default(),
    }
}

fn point(begin: i64, attempts: i64, received_at: i64) -> SendCountRow {
    SendCountRow {
        begin,
        end: begin + QUARTER,
        account: Some(ACCOUNT.to_owned()),
        region: None,
        scope: BTreeMap::from([("identity".to_owned(), "shop@example.com".to_owned())]),
        counts: SendCountValues { attempts, ..SendCountValues::default() },
        received_at,
        origin: "a".to_owned(),
    }
}

fn names(files: &[Segment]) -> Vec<&str> {
    files.iter().map(Segment::name).collect()
}

/// Compaction, retention and erasure, for a store in a folder or in a bucket.
async fn check_table(store: Store) {
    let at = |day: i64| NOW - day * DAY;
    for (number, day) in [(0, 100), (1, 50), (2, 1)] {
        let rows = [point(at(day), 5, at(day) + number), point(at(1), 7, at(1) + number)];
        publish(&store, &rows, NOW).await.unwrap();
    }
    let before = valid_points(&store).await;
    assert_eq!(before.lines().count(), 3);
    let verified = verify(&store).await.unwrap();
    assert_eq!((verified.segments, verified.rows, verified.problems.len()), (3, 6, 0));
    let found = stats(&store).await.unwrap().volumes;
    assert_eq!((found.files, found.points), (3, 3));
    assert_eq!(found.from.as_deref(), Some(format_ms(at(100)).as_str()));

    // merged; replaced files are kept for the grace period
    let published = store.send_count_files().await.unwrap();
    let now = published.iter().map(|file| file.published_at).max().unwrap();
    let run = async |grace_ms: i64, now: i64| -> CompactReport {
        let summary = compact(&store, &settings(grace_ms), now).await.unwrap();
        assert!(summary.problems.is_empty() && summary.skipped.is_empty(), "{summary:?}");
        summary
    };
    let summary = run(60_000, now).await;
    let merged = summary.volumes.unwrap();
    assert_eq!((merged.files_before, merged.rows_before, merged.rows_after), (3, 6, Some(3)));
    assert_eq!((summary.inputs_removed, summary.inputs_waiting), (0, 3));
    assert_eq!(valid_points(&store).await, before);
    let summary = run(60_000, now).await;
    assert_eq!((summary.volumes.is_none(), summary.inputs_waiting), (true, 3));
    let summary = run(60_000, now + 10 * 60_000).await;
    assert_eq!((summary.volumes.is_none(), summary.inputs_removed), (true, 3));
    assert_eq!(store.send_count_files().await.unwrap().len(), 1);
    assert_eq!(valid_points(&store).await, before);

    // a later file is merged too; rows of replaced files do not come back
    publish(&store, &[point(at(1), 9, NOW)], NOW).await.unwrap();
    let summary = run(0, now).await;
    assert_eq!((summary.volumes.unwrap().rows_after, summary.inputs_removed), (Some(3), 2));
    let kept =
        retain::RetainSettings { volume_days: Some(60), ..retain::RetainSettings::default() };
    let tried =
        retain(&store, &retain::RetainSettings { dry_run: true, ..kept.clone() }, NOW).await;
    assert_eq!(tried.unwrap().volumes, 1);
    assert_eq!(valid_points(&store).await.lines().count(), 3);
    assert_eq!(retain(&store, &kept, NOW).await.unwrap().volumes, 1);
    assert_eq!(valid_points(&store).await.lines().count(), 2);
    assert_eq!(store.send_count_files().await.unwrap().len(), 1);

    // an email address can be an identity
    let mut other = point(at(1), 4, NOW);
    other.scope.clear();
    publish(&store, &[other], NOW).await.unwrap();
    let summary =
        forget(&store, "Shop@example.com", &AddressRedactor::default(), NOW).await.unwrap();
    assert_eq!((summary.volumes, summary.left), (2, 0));
    assert_eq!(valid_points(&store).await.lines().count(), 1);
}

#[tokio::test]
async fn table_in_a_folder_is_compacted_retained_and_erased() {
    let folder = tempfile::tempdir().unwrap();
    check_table(store_in(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn table_in_a_bucket_is_compacted_retained_and_erased() {
    let (_server, buckets) = server("stores");
    let objects = buckets.open("stores").await.unwrap();
    check_table(Store::in_objects(objects, "deep/store", "s3://stores/deep/store")).await;
}

/// A crash between publishing and removing leaves copies, which the next run removes.
#[tokio::test]
async fn crash_during_the_merge_changes_no_counts() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path());
    for attempts in [1, 2] {
        publish(&store, &[point(NOW, attempts, NOW + attempts)], NOW).await.unwrap();
    }
    let table = folder.path().join("store/volumes");
    let files = store.send_count_files().await.unwrap();
    let saved: Vec<(PathBuf, Vec<u8>)> = names(&files)
        .into_iter()
        .map(|name| (table.join(name), std::fs::read(table.join(name)).unwrap()))
        .collect();
    let before = valid_points(&store).await;
    compact(&store, &settings(0), NOW).await.unwrap();
    for (path, bytes) in &saved {
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(table.join("half.parquet#1"), "half").unwrap();
    assert_eq!(valid_points(&store).await, before);
    assert_eq!(verify(&store).await.unwrap().unpublished.len(), 1);
    let summary = compact(&store, &settings(0), i64::MAX).await.unwrap();
    assert_eq!((summary.inputs_removed, summary.volumes.is_none()), (2, true));
    assert_eq!(valid_points(&store).await, before);
    // an invalid file is reported, and does not stop the compaction of days
    std::fs::write(table.join("broken.parquet"), "PAR1").unwrap();
    assert_eq!(verify(&store).await.unwrap().problems.len(), 1);
    assert_eq!(compact(&store, &settings(0), NOW).await.unwrap().problems.len(), 1);
}

/// A row of a CSV file: interval, scope, attempts.
type CsvRow = (i64, usize, i64);

fn file_of(lines: &[CsvRow]) -> String {
    let mut text = "from,to,attempts,provider\n".to_owned();
    for (span, scope, attempts) in lines {
        let [from, to] = [*span, span + 1].map(|span| format_ms(NOW + span * QUARTER));
        writeln!(text, "{from},{to},{attempts},{}", ["", "gmail"][*scope]).unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Points are split into runs and files, in any order, repeated, with compactions in between: the counts of the
    /// last run are valid.
    #[test]
    fn counts_of_the_last_import_are_valid(
        runs in proptest::collection::vec(
            (proptest::collection::btree_map((0..4_i64, 0..2_usize), 0..5_i64, 1..6), 1..4_usize, any::<bool>()), 1..6,
        ).prop_flat_map(|runs| {
            let run = |(points, files, merged): (BTreeMap<(i64, usize), i64>, usize, bool)| {
                let lines: Vec<CsvRow> = points.into_iter().map(|((span, scope), attempts)| (span, scope, attempts)).collect();
                (Just(lines).prop_shuffle(), Just(files), Just(merged))
            };
            runs.into_iter().map(run).collect::<Vec<_>>()
        }),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = store_in(folder.path());
            let mut expected: BTreeMap<(i64, usize), i64> = BTreeMap::new();
            for (number, (lines, files, merged)) in (0..).zip(&runs) {
                let now = NOW + number;
                for (at, part) in lines.chunks(lines.len().div_ceil(*files)).enumerate() {
                    let file = folder.path().join(format!("{number}-{at}.csv"));
                    let twice: Vec<CsvRow> = part.iter().rev().chain(part).copied().collect();
                    std::fs::write(&file, file_of(&twice)).unwrap();
                    for _ in 0..2 {
                        let summary = import(&store, &file, now).await;
                        prop_assert!(summary.refused.is_empty(), "{:?}", summary);
                    }
                }
                expected.extend(lines.iter().map(|(span, scope, attempts)| ((*span, *scope), *attempts)));
                if *merged {
                    compact(&store, &settings(number % 2), now).await.unwrap();
                }
            }
            let valid = effective(read_all(&store).await.unwrap());
            let valid: BTreeMap<(i64, usize), i64> = valid
                .iter()
                .map(|row| (((row.begin - NOW) / QUARTER, row.scope.len()), row.counts.attempts))
                .collect();
            prop_assert_eq!(valid, expected);
            Ok(())
        })?;
    }
}
