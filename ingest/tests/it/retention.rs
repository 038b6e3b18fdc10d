//! Removal of old rows and of addresses, and redaction of addresses before they are stored.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_ingest::decode::outcome::QuarantineReason;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_store::addresses::{AddressRedactor, RedactionPolicy};
use bouncewatch_store::compact::{CompactLimits, CompactSettings, compact};
use bouncewatch_store::forget::{ForgetReport, forget};
use bouncewatch_store::quarantine::list;
use bouncewatch_store::retain::{RetainReport, RetainSettings, retain};
use serde_json::{Map, Value, json};

use crate::test_store::{NOW, TestStore};

const DAY_MS: i64 = 86_400_000;
const KEY: &[u8] = b"a key of twenty bytes";
const JANE: &str = "jane.doe@example.org";

/// Time of events `days` days ago.
fn days_ago(days: i64) -> String {
    bouncewatch_schemas::time::format_ms(NOW - days * DAY_MS)
}

fn event(kind: &str, id: &str, to: &[&str], days: i64, detail: Value) -> String {
    let key = if kind == "Bounce" { "bounce" } else { kind }.to_lowercase();
    let at = days_ago(days);
    let mut event = json!({
        "eventType": kind,
        "mail": {
            "timestamp": at, "messageId": id, "source": "shop@example.com", "destination": to,
            "tags": {"customer": [to[0]], "campaign": ["spring"]},
        },
    });
    event[key] = detail;
    format!("{event}\n")
}

fn bounce(id: &str, to: &str, days: i64) -> String {
    let detail = json!({
        "bounceType": "Permanent", "bounceSubType": "General", "timestamp": days_ago(days),
        "bouncedRecipients": [{"emailAddress": to.to_uppercase(), "action": "failed", "status": "5.1.1",
            "diagnosticCode": format!("smtp; 550 5.1.1 <{to}> user jane unknown")}],
    });
    event("Bounce", id, &[to], days, detail)
}

fn send(id: &str, to: &[&str], days: i64) -> String {
    event("Send", id, to, days, json!({}))
}

fn click(id: &str, to: &str, days: i64) -> String {
    let link = format!("https://example.com/?to={}", to.replace('@', "%40"));
    event("Click", id, &[to], days, json!({"timestamp": days_ago(days), "link": link}))
}

impl TestStore {
    async fn ingest_under(&self, events: &str, policy: RedactionPolicy) {
        let redactor = AddressRedactor::new(policy, Some(KEY)).unwrap();
        self.ingest_with(events, redactor).await;
    }

    async fn quarantine_body(&self, body: &str, received_at: i64) {
        self.quarantine(body, QuarantineReason::NotAnEvent.as_str(), received_at).await;
    }

    async fn compact_with_default_limits(&self, grace_ms: i64) {
        let limits = CompactLimits::default();
        let settings = CompactSettings { grace_ms, until_day: None, dry_run: false, limits };
        compact(&self.store, &settings, NOW).await.unwrap();
    }

    async fn column(&self, name: &str) -> Vec<Value> {
        self.rows().await.iter().map(|row| row[name].clone()).collect()
    }

    async fn forget(&self, address: &str) -> ForgetReport {
        let redactor = AddressRedactor::new(RedactionPolicy::Keep, Some(KEY)).unwrap();
        forget(&self.store, address, &redactor, NOW).await.unwrap()
    }

    async fn retain(&self, settings: &RetainSettings) -> RetainReport {
        retain(&self.store, settings, NOW).await.unwrap()
    }

    /// Whether a text is in a row or in a quarantined document. The files themselves are compressed.
    async fn contains(&self, text: &str) -> bool {
        let normalise = |text: String| text.to_lowercase().replace("%40", "@");
        let rows = self.rows().await;
        let documents = list(&self.store).await.unwrap();
        let bodies = documents.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned());
        let rows = rows.into_iter().map(|row| Value::from(row).to_string());
        rows.chain(bodies).any(|found| normalise(found).contains(text))
    }
}

#[tokio::test]
async fn retain_removes_events_before_the_first_kept_day() {
    let test = TestStore::new();
    test.ingest(&(send("m1", &[JANE], 40) + &send("m2", &[JANE], 30) + &send("m3", &[JANE], 0)))
        .await;
    let settings = RetainSettings { days: Some(30), ..RetainSettings::default() };
    let dry = test.retain(&RetainSettings { dry_run: true, ..settings.clone() }).await;
    assert_eq!((dry.days, dry.rows_by_kind["send"]), (1, 1));
    assert_eq!(test.rows().await.len(), 3);
    let report = test.retain(&settings).await;
    assert_eq!((report.days, report.rows_by_kind["send"]), (1, 1));
    let left = test.column(table::MESSAGE_ID).await;
    assert_eq!(left, [json!("m2"), json!("m3")]);
    let again = test.retain(&settings).await;
    assert!(again.days == 0 && again.rows_by_kind.is_empty(), "{again:?}");
    test.assert_verified().await;
}

#[tokio::test]
async fn retain_removes_only_the_given_kinds() {
    let test = TestStore::new();
    test.ingest(&(send("m1", &[JANE], 40) + &click("m1", JANE, 40))).await;
    test.ingest(&click("m2", JANE, 50)).await;
    test.ingest(&click("m3", JANE, 1)).await;
    // replaced segments that are not removed yet must not come back
    test.compact_with_default_limits(i64::MAX).await;
    let settings = RetainSettings {
        days: Some(30),
        kinds: vec![EventKind::Click, EventKind::Open],
        ..RetainSettings::default()
    };
    let report = test.retain(&settings).await;
    assert_eq!((report.days, report.rows_by_kind["click"], report.rows_by_kind.len()), (2, 2, 1));
    test.compact_with_default_limits(0).await;
    let mut left = test.column(table::MESSAGE_ID).await;
    left.sort_by_key(ToString::to_string);
    assert_eq!(left, [json!("m1"), json!("m3")]);
    test.assert_verified().await;
}

#[tokio::test]
async fn retain_removes_old_documents_and_leaves_unreadable_segments() {
    let test = TestStore::new();
    test.quarantine_body("old", NOW - 40 * DAY_MS).await;
    test.quarantine_body("new", NOW).await;
    test.ingest(&send("m1", &[JANE], 40)).await;
    let day = test.first_day_folder();
    std::fs::write(day.join("foreign.parquet"), b"PAR1 and no more").unwrap();
    let settings =
        RetainSettings { days: Some(3), quarantine_days: Some(3), ..RetainSettings::default() };
    let report = test.retain(&settings).await;
    assert_eq!((report.bodies, report.rows_by_kind["send"], report.problems.len()), (1, 1, 1));
    assert!(report.problems[0].path.ends_with("foreign.parquet"));
    let names: Vec<_> = std::fs::read_dir(&day).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names, ["foreign.parquet"]);
    assert_eq!(list(&test.store).await.unwrap().len(), 1);
}

#[tokio::test]
async fn forget_removes_the_address_and_keeps_event_keys() {
    let test = TestStore::new();
    let other = "mary-jane.doe@example.org";
    test.ingest(&(send("m1", &[JANE, other], 4) + &bounce("m1", JANE, 4) + &click("m1", JANE, 3)))
        .await;
    test.ingest_under(&(send("m2", &[JANE], 4) + &bounce("m2", JANE, 4)), RedactionPolicy::Hash)
        .await;
    test.ingest(&(bounce("m1", JANE, 4) + &send("m3", &[other], 4))).await;
    test.quarantine_body("{\"to\": \"Jane.Doe@Example.ORG\"", NOW).await;
    test.quarantine_body(&format!("{{\"to\": \"{other}\""), NOW).await;
    // replaced segments contain the address too
    test.compact_with_default_limits(i64::MAX).await;
    let keys = |rows: Vec<Map<String, Value>>| {
        let mut keys: Vec<String> = rows
            .iter()
            .map(|row| {
                format!("{} {} {}", row["message_key"], row["event_key"], row["recipient_domain"])
            })
            .collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let before = keys(test.rows().await);
    let report = test.forget(" Jane.DOE@example.org ").await;
    assert_eq!((report.left, report.bodies, report.quarantine_segments), (0, 1, 1), "{report:?}");
    assert!(report.rows >= 5 && report.segments >= 2 && report.problems.is_empty(), "{report:?}");
    // neither the address nor other text that identifies the recipient
    assert!(!test.contains("<jane.doe").await && !test.contains("\"jane.doe").await);
    assert!(!test.contains("=jane.doe").await && !test.contains("user jane").await);
    assert!(!test.contains("\"h-").await);
    assert!(test.contains(other).await);
    assert_eq!(list(&test.store).await.unwrap().len(), 1);
    assert_eq!(keys(test.rows().await), before);
    // rows of one message share a pseudonym, other messages have other ones
    let mut by_message = BTreeMap::<String, BTreeSet<String>>::new();
    for row in test.rows().await {
        if row["recipient"].as_str().is_some_and(|recipient| recipient.starts_with("d-")) {
            by_message
                .entry(row["message_id"].to_string())
                .or_default()
                .insert(row["recipient"].to_string());
        }
    }
    let pseudonyms: BTreeSet<&String> = by_message.values().flatten().collect();
    assert!(by_message.len() == 2 && pseudonyms.len() == 2, "{by_message:?}");
    let again = test.forget(JANE).await;
    assert_eq!((again.rows, again.segments, again.left), (0, 0, 0));
    test.compact_with_default_limits(0).await;
    assert_eq!(keys(test.rows().await), before);
    test.assert_verified().await;
}

#[tokio::test]
async fn forget_removes_senders_and_refuses_values_that_are_not_addresses() {
    let test = TestStore::new();
    test.ingest(&send("m1", &[JANE], 1)).await;
    assert_eq!(test.forget("shop@example.com").await.rows, 1);
    assert_eq!(test.column(table::SOURCE).await, [Value::Null]);
    assert_eq!(test.column(table::RECIPIENT).await, [json!(JANE)]);
    let redactor = AddressRedactor::default();
    for value in ["", "example", "@"] {
        let error = forget(&test.store, value, &redactor, NOW).await.unwrap_err().to_string();
        assert!(error.contains("is not an email address"), "{error}");
    }
}

/// Rows of some events stored under a policy.
async fn stored_under(policy: RedactionPolicy) -> Vec<Map<String, Value>> {
    let test = TestStore::new();
    let events = send("m1", &[JANE], 1)
        + &bounce("m1", JANE, 1)
        + &click("m1", JANE, 1)
        + &bounce("m2", JANE, 1);
    test.ingest_under(&events, policy).await;
    let contains = test.contains(JANE).await;
    assert_eq!(contains, policy == RedactionPolicy::Keep);
    test.rows().await
}

#[tokio::test]
async fn redaction_changes_only_columns_with_addresses() {
    let kept = stored_under(RedactionPolicy::Keep).await;
    let hashed = stored_under(RedactionPolicy::Hash).await;
    let dropped = stored_under(RedactionPolicy::Drop).await;
    for (policy, rows) in [(RedactionPolicy::Hash, &hashed), (RedactionPolicy::Drop, &dropped)] {
        for (row, kept) in rows.iter().zip(&kept) {
            for column in table::COLUMNS.iter().filter(|column| column.name != table::ORIGIN) {
                let changed = row[column.name] != kept[column.name];
                let may_change = [table::RECIPIENT, table::DIAGNOSTIC, table::LINK, table::TAGS]
                    .contains(&column.name);
                assert!(!changed || may_change, "{policy:?} {}", column.name);
            }
            // a click has no recipient
            let Some(recipient) = row["recipient"].as_str() else { continue };
            assert!(recipient.ends_with("@example.org"), "{recipient}");
            if let Some(diagnostic) = row["diagnostic"].as_str() {
                assert!(diagnostic.contains(recipient), "{diagnostic}");
            }
        }
        let pseudonyms: BTreeSet<_> =
            rows.iter().filter_map(|row| row["recipient"].as_str()).map(str::to_owned).collect();
        assert_eq!(pseudonyms.len(), if policy == RedactionPolicy::Hash { 1 } else { 2 });
    }
}

#[tokio::test]
async fn copies_stored_under_different_policies_keep_their_event_keys() {
    let test = TestStore::new();
    let events = send("m1", &[JANE], 1) + &bounce("m1", JANE, 1);
    for policy in [RedactionPolicy::Drop, RedactionPolicy::Drop, RedactionPolicy::Keep] {
        test.ingest_under(&events, policy).await;
    }
    test.compact_with_default_limits(0).await;
    // the two copies with pseudonyms are merged; the copy with the address conflicts and stays
    assert_eq!(test.rows().await.len(), 4);
    test.forget(JANE).await;
    test.ingest("").await;
    let mut keys: Vec<String> =
        test.column(table::EVENT_KEY).await.iter().map(ToString::to_string).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 2);
}
