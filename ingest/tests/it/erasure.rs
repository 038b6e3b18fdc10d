//! What shall not be kept: old events, addresses, and addresses that came before a policy.

use std::path::Path;

use bouncewatch_ingest::decode::outcome::Reason;
use bouncewatch_schemas::event::Kind;
use bouncewatch_schemas::table;
use bouncewatch_store::Store;
use bouncewatch_store::addresses::{Addresses, Policy};
use bouncewatch_store::compact::{Limits, Settings as Compaction, compact};
use bouncewatch_store::forget::forget;
use bouncewatch_store::quarantine::{QuarantineSegment, list};
use bouncewatch_store::retain::{Settings, retain};
use bouncewatch_store::verify::verify;
use serde_json::{Value, json};

use crate::stored::rows;
use crate::stores::{ingest, ingest_with};

const NOW: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;
const KEY: &[u8] = b"a key of twenty bytes";
const JANE: &str = "jane.doe@example.org";

/// The day of events that happened so many days ago, and their time.
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

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_folder(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    async fn take(&self, events: &str) {
        ingest(&self.store, self.folder.path(), events).await;
    }

    async fn take_with(&self, events: &str, policy: Policy) {
        let addresses = Addresses::new(policy, Some(KEY)).unwrap();
        ingest_with(&self.store, self.folder.path(), events, addresses).await;
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    async fn quarantine(&self, body: &str, received_at: i64) {
        let mut segment = QuarantineSegment::default();
        segment.push(body.as_bytes(), Reason::NotAnEvent.as_str(), "x", "queue", received_at);
        segment.publish(&self.store, received_at).await.unwrap();
    }

    async fn compact(&self, grace_ms: i64) {
        let settings =
            Compaction { grace_ms, until_day: None, dry_run: false, limits: Limits::default() };
        compact(&self.store, &settings, NOW).await.unwrap();
    }

    async fn column(&self, name: &str) -> Vec<Value> {
        rows(&self.path()).await.iter().map(|row| row[name].clone()).collect()
    }

    async fn forget(&self, address: &str) -> bouncewatch_store::forget::Forgotten {
        let addresses = Addresses::new(Policy::Keep, Some(KEY)).unwrap();
        forget(&self.store, address, &addresses, NOW).await.unwrap()
    }

    async fn expect_sound(&self) {
        let verified = verify(&self.store).await.unwrap();
        assert!(verified.problems.is_empty() && verified.unpublished.is_empty(), "{verified:?}");
    }
}

/// Whether some bytes stand anywhere in the files of a store, packed or not: what is rewritten is not packed here, so
/// the rows are asked too.
async fn holds(place: &Place, words: &str) -> bool {
    let rows = rows(&place.path()).await;
    let bodies = list(&place.store).await.unwrap();
    let lower = |text: String| text.to_lowercase().replace("%40", "@");
    rows.iter().any(|row| lower(Value::from(row.clone()).to_string()).contains(words))
        || bodies
            .iter()
            .any(|entry| lower(String::from_utf8_lossy(&entry.body).into()).contains(words))
}

#[tokio::test]
async fn old_days_go_as_a_whole() {
    let place = Place::new();
    place
        .take(&(send("m1", &[JANE], 40) + &send("m2", &[JANE], 30) + &send("m3", &[JANE], 0)))
        .await;
    let settings = Settings { days: Some(30), ..Settings::default() };
    let dry =
        retain(&place.store, &Settings { dry_run: true, ..settings.clone() }, NOW).await.unwrap();
    assert_eq!((dry.days, dry.rows_by_kind["send"]), (1, 1));
    assert_eq!(rows(&place.path()).await.len(), 3);
    let done = retain(&place.store, &settings, NOW).await.unwrap();
    assert_eq!((done.days, done.rows_by_kind["send"]), (1, 1));
    let left = place.column(table::MESSAGE_ID).await;
    assert_eq!(left, [json!("m2"), json!("m3")]);
    let again = retain(&place.store, &settings, NOW).await.unwrap();
    assert!(again.days == 0 && again.rows_by_kind.is_empty(), "{again:?}");
    place.expect_sound().await;
}

#[tokio::test]
async fn some_kinds_go_before_others() {
    let place = Place::new();
    place.take(&(send("m1", &[JANE], 40) + &click("m1", JANE, 40))).await;
    place.take(&click("m2", JANE, 50)).await;
    place.take(&click("m3", JANE, 1)).await;
    // what was replaced and waits to be removed must not come back
    place.compact(i64::MAX).await;
    let settings =
        Settings { days: Some(30), kinds: vec![Kind::Click, Kind::Open], ..Settings::default() };
    let done = retain(&place.store, &settings, NOW).await.unwrap();
    assert_eq!((done.days, done.rows_by_kind["click"], done.rows_by_kind.len()), (2, 2, 1));
    place.compact(0).await;
    let mut left = place.column(table::MESSAGE_ID).await;
    left.sort_by_key(ToString::to_string);
    assert_eq!(left, [json!("m1"), json!("m3")]);
    place.expect_sound().await;
}

#[tokio::test]
async fn old_bodies_go_and_what_cannot_be_read_stays() {
    let place = Place::new();
    place.quarantine("old", NOW - 40 * DAY_MS).await;
    place.quarantine("new", NOW).await;
    place.take(&send("m1", &[JANE], 40)).await;
    let day =
        std::fs::read_dir(place.path().join("events")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(day.join("foreign.parquet"), b"PAR1 and no more").unwrap();
    let settings = Settings { days: Some(3), quarantine_days: Some(3), ..Settings::default() };
    let done = retain(&place.store, &settings, NOW).await.unwrap();
    assert_eq!((done.bodies, done.rows_by_kind["send"], done.problems.len()), (1, 1, 1));
    assert!(done.problems[0].path.ends_with("foreign.parquet"));
    let names: Vec<_> = std::fs::read_dir(&day).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(names, ["foreign.parquet"]);
    assert_eq!(list(&place.store).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_address_is_forgotten_and_the_numbers_stay() {
    let place = Place::new();
    let other = "mary-jane.doe@example.org";
    place
        .take(&(send("m1", &[JANE, other], 4) + &bounce("m1", JANE, 4) + &click("m1", JANE, 3)))
        .await;
    place.take_with(&(send("m2", &[JANE], 4) + &bounce("m2", JANE, 4)), Policy::Hash).await;
    place.take(&(bounce("m1", JANE, 4) + &send("m3", &[other], 4))).await;
    place.quarantine("{\"to\": \"Jane.Doe@Example.ORG\"", NOW).await;
    place.quarantine(&format!("{{\"to\": \"{other}\""), NOW).await;
    // replaced segments hold it too, and wait
    place.compact(i64::MAX).await;
    let keys = |rows: Vec<serde_json::Map<String, Value>>| {
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
    let before = keys(rows(&place.path()).await);
    let done = place.forget(" Jane.DOE@example.org ").await;
    assert_eq!((done.left, done.bodies, done.quarantine_segments), (0, 1, 1), "{done:?}");
    assert!(done.rows >= 5 && done.segments >= 2 && done.problems.is_empty(), "{done:?}");
    // not even by other words
    assert!(!holds(&place, "<jane.doe").await && !holds(&place, "\"jane.doe").await);
    assert!(!holds(&place, "=jane.doe").await && !holds(&place, "user jane").await);
    assert!(!holds(&place, "\"h-").await);
    assert!(holds(&place, other).await);
    assert_eq!(list(&place.store).await.unwrap().len(), 1);
    assert_eq!(keys(rows(&place.path()).await), before);
    // all rows of one message have one pseudonym, and other messages others
    let mut by_message =
        std::collections::BTreeMap::<String, std::collections::BTreeSet<String>>::new();
    for row in rows(&place.path()).await {
        if row["recipient"].as_str().is_some_and(|recipient| recipient.starts_with("d-")) {
            by_message
                .entry(row["message_id"].to_string())
                .or_default()
                .insert(row["recipient"].to_string());
        }
    }
    let words: std::collections::BTreeSet<&String> = by_message.values().flatten().collect();
    assert!(by_message.len() == 2 && words.len() == 2, "{by_message:?}");
    let again = place.forget(JANE).await;
    assert_eq!((again.rows, again.segments, again.left), (0, 0, 0));
    place.compact(0).await;
    assert_eq!(keys(rows(&place.path()).await), before);
    place.expect_sound().await;
}

#[tokio::test]
async fn a_sender_is_forgotten_too_and_what_is_no_address_is_refused() {
    let place = Place::new();
    place.take(&send("m1", &[JANE], 1)).await;
    assert_eq!(place.forget("shop@example.com").await.rows, 1);
    assert_eq!(place.column(table::SOURCE).await, [Value::Null]);
    assert_eq!(place.column(table::RECIPIENT).await, [json!(JANE)]);
    let addresses = Addresses::default();
    for word in ["", "example", "@"] {
        let refused = forget(&place.store, word, &addresses, NOW).await.unwrap_err().to_string();
        assert_eq!(refused, "what shall be forgotten is no mail address");
    }
}

/// Rows as they were stored under a policy.
async fn stored_under(policy: Policy) -> Vec<serde_json::Map<String, Value>> {
    let place = Place::new();
    let events = send("m1", &[JANE], 1)
        + &bounce("m1", JANE, 1)
        + &click("m1", JANE, 1)
        + &bounce("m2", JANE, 1);
    place.take_with(&events, policy).await;
    let held = holds(&place, JANE).await;
    assert_eq!(held, policy == Policy::Keep);
    rows(&place.path()).await
}

#[tokio::test]
async fn policies_change_addresses_and_nothing_else() {
    let kept = stored_under(Policy::Keep).await;
    let hashed = stored_under(Policy::Hash).await;
    let dropped = stored_under(Policy::Drop).await;
    for (policy, rows) in [(Policy::Hash, &hashed), (Policy::Drop, &dropped)] {
        for (row, kept) in rows.iter().zip(&kept) {
            for column in table::COLUMNS.iter().filter(|column| column.name != table::ORIGIN) {
                let changed = row[column.name] != kept[column.name];
                let may_change = [table::RECIPIENT, table::DIAGNOSTIC, table::LINK, table::TAGS]
                    .contains(&column.name);
                assert!(!changed || may_change, "{policy:?} {}", column.name);
            }
            // a click has none
            let Some(recipient) = row["recipient"].as_str() else { continue };
            assert!(recipient.ends_with("@example.org"), "{recipient}");
            if let Some(diagnostic) = row["diagnostic"].as_str() {
                assert!(diagnostic.contains(recipient), "{diagnostic}");
            }
        }
        let words: std::collections::BTreeSet<_> =
            rows.iter().filter_map(|row| row["recipient"].as_str()).map(str::to_owned).collect();
        assert_eq!(words.len(), if policy == Policy::Hash { 1 } else { 2 });
    }
}

#[tokio::test]
async fn copies_merge_whatever_the_policy_was() {
    let place = Place::new();
    let events = send("m1", &[JANE], 1) + &bounce("m1", JANE, 1);
    for policy in [Policy::Drop, Policy::Drop, Policy::Keep] {
        place.take_with(&events, policy).await;
    }
    place.compact(0).await;
    // those that were dropped are one; what was kept contradicts them, and stays
    assert_eq!(rows(Path::new(&place.path())).await.len(), 4);
    place.forget(JANE).await;
    place.take("").await;
    let mut keys: Vec<String> =
        place.column(table::EVENT_KEY).await.iter().map(ToString::to_string).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 2);
}
