//! `suppress` and `release` on small stores.

use std::collections::BTreeMap;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::time::{day_of, format_ms};

use crate::scan::test_store::{TestRow, publish, publish_with_version};
use crate::suppress::model::{ReleaseReason, SuppressReason, Suppressions};
use crate::suppress::{AddressList, SoftLimit, SuppressRequest, release, suppress};

/// 2026-11-20 12:00 UTC.
pub(super) const AT: i64 = 1_795_176_000_000;
pub(super) const HOUR: i64 = 3_600_000;
pub(super) const DAY: i64 = 24;

/// Address, message, hours before [`AT`], and further fields.
pub(super) type Event = (&'static str, u64, i64, TestRow);

pub(super) fn delivered() -> TestRow {
    TestRow { kind: Some("delivery"), ..TestRow::default() }
}

pub(super) fn bounced(
    class: &'static str,
    bounce_type: &'static str,
    text: &'static str,
) -> TestRow {
    TestRow {
        kind: Some("bounce"),
        class: Some(class),
        counts: Some(class == "hard"),
        bounce_type: Some(bounce_type),
        diagnostic: Some(text),
        ..TestRow::default()
    }
}

pub(super) fn hard() -> TestRow {
    bounced("hard", "Permanent", "smtp; 550 5.1.1 user unknown")
}

fn full() -> TestRow {
    bounced("soft", "Transient", "smtp; 452 4.2.2 mailbox full")
}

fn on_list(subtype: &'static str, counts: bool) -> TestRow {
    TestRow {
        bounce_subtype: Some(subtype),
        counts: Some(counts),
        ..bounced("suppressed", "Permanent", "suppressed")
    }
}

fn complained(report: &'static str, complaint_type: &'static str) -> TestRow {
    TestRow {
        kind: Some("complaint"),
        feedback_id: Some(report),
        complaint_type: Some(complaint_type),
        ..TestRow::default()
    }
}

pub(super) fn store(events: &[Event]) -> tempfile::TempDir {
    let store = tempfile::tempdir().unwrap();
    let mut days: BTreeMap<i64, Vec<TestRow>> = BTreeMap::new();
    for (key, (address, message, hours_ago, fields)) in events.iter().enumerate() {
        let at = AT - hours_ago * HOUR;
        let (recipient, key) = (Some(*address), key as u64);
        let row = TestRow { message: *message, key, at, recipient, ..*fields };
        days.entry(day_of(at)).or_default().push(row);
    }
    for rows in days.values() {
        publish(store.path(), "a.parquet", rows);
    }
    store
}

pub(super) fn request(store: &tempfile::TempDir, known: Option<&str>) -> SuppressRequest {
    SuppressRequest {
        store: store.path().into(),
        at: AT,
        soft: SoftLimit::default(),
        mass_guard: 20,
        known: known.map(|text| AddressList::parse(text).unwrap()),
    }
}

pub(super) fn listed(events: &[Event]) -> Suppressions {
    suppress(&request(&store(events), None), Classifier::builtin()).unwrap()
}

#[test]
fn evidence_of_each_address_decides_on_its_own() {
    use SuppressReason::{Complaint, HardBounce, RepeatedFailure};

    let auto_reply = bounced("auto_reply", "Transient", "out of office");
    for (name, events, expected) in [
        ("bounce", vec![(1, 100, hard())], Some((HardBounce, 1))),
        ("delivered later", vec![(1, 100, hard()), (2, 50, delivered())], None),
        ("last delivery", vec![(1, 50, hard()), (2, 70, delivered()), (3, 20, delivered())], None),
        ("same message", vec![(1, 100, hard()), (1, 90, delivered())], Some((HardBounce, 1))),
        (
            "automatic reply",
            vec![(1, 100, auto_reply), (2, 90, hard()), (1, 80, delivered())],
            None,
        ),
        (
            "complaint first",
            vec![(1, 100, hard()), (2, 90, complained("f", "abuse"))],
            Some((Complaint, 1)),
        ),
        ("not spam", vec![(1, 100, complained("f", "not-spam"))], None),
        (
            "soft",
            vec![(1, 300, full()), (2, 200, full()), (3, 100, full())],
            Some((RepeatedFailure, 3)),
        ),
        (
            "soft and delivered",
            vec![(1, 300, full()), (2, 200, full()), (4, 150, delivered()), (3, 100, full())],
            None,
        ),
        (
            "unsorted messages",
            vec![
                (9, 101, hard()),
                (7, 102, hard()),
                (8, 103, hard()),
                (2, 104, hard()),
                (5, 105, hard()),
                (9, 70, delivered()),
                (2, 71, delivered()),
                (5, 72, delivered()),
            ],
            Some((HardBounce, 5)),
        ),
        ("after the evaluation", vec![(1, -1, hard())], None),
        ("delivered after it", vec![(1, 100, hard()), (2, -1, delivered())], Some((HardBounce, 1))),
    ] {
        let events: Vec<Event> = events
            .into_iter()
            .map(|(message, hours_ago, fields)| ("ann@a.example", message, hours_ago, fields))
            .collect();
        let list = listed(&events).addresses;
        let found = list.first().map(|one| (one.reason, one.count));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn first_and_last_failures_and_the_suggestion_are_stated() {
    let text = |text| bounced("hard", "Permanent", text);
    let list = listed(&[
        ("ann@gmial.com", 1, 90, text("smtp; 550 5.1.1 unknown user b")),
        ("ann@gmial.com", 2, 80, text("smtp; 550 5.1.1 unknown user a")),
        ("ann@gmial.com", 3, 100, text("smtp; 550 5.1.1 unknown user c")),
        ("bob@b.example", 4, 80, complained("f2", "fraud")),
        ("carl@c.example", 6, 100, full()),
        ("carl@c.example", 7, 200, full()),
        ("carl@c.example", 8, 300, full()),
        ("bob@b.example", 5, 82, complained("f1", "abuse")),
    ]);
    let [ann, bob, carl] = list.addresses.as_slice() else { panic!("{list:?}") };
    let time = |hours_ago: i64| format_ms(AT - hours_ago * HOUR);
    assert_eq!((&ann.first_at, &ann.last_at, ann.count), (&time(100), &time(80), 3));
    assert_eq!(ann.evidence.as_deref(), Some("smtp; 550 5.1.1 unknown user a"));
    assert_eq!(ann.suggestion, Some("gmail.com"));
    assert_eq!((&bob.first_at, &bob.last_at, bob.count), (&time(82), &time(80), 2));
    assert_eq!(bob.evidence.as_deref(), Some("complaint (fraud)"));
    assert_eq!((&carl.first_at, &carl.last_at, carl.count), (&time(300), &time(100), 3));
}

#[test]
fn complaint_names_the_number_of_recipients_of_its_report() {
    let dropped = "d-0123456789abcdef@example.org";
    let list = listed(&[
        ("ann@a.example", 1, 100, complained("f1", "abuse")),
        ("bob@b.example", 1, 100, complained("f1", "abuse")),
        ("ann@a.example", 1, 90, complained("f2", "abuse")),
        ("carl@c.example", 2, 100, complained("f3", "abuse")),
        (dropped, 2, 100, complained("f3", "abuse")),
        (dropped, 3, 100, hard()),
        (dropped, 4, 100, full()),
    ]);
    let evidence: Vec<&str> =
        list.addresses.iter().filter_map(|one| one.evidence.as_deref()).collect();
    let of_two = "complaint (abuse), of one of 2 recipients";
    assert_eq!(evidence, ["complaint (abuse)", of_two, of_two]);
    assert_eq!(list.left_out.dropped, 2);
}

#[test]
fn addresses_that_are_not_listed_are_counted_by_reason() {
    let unknown = bounced("hard", "Permanent", "smtp; 550 qqq");
    let sender = bounced("hard", "Permanent", "smtp; 550 5.7.1 SPF check failed");
    let list = listed(&[
        ("a1@a.example", 1, 100, on_list("OnAccountSuppressionList", false)),
        ("a2@a.example", 2, 100, on_list("Suppressed", true)),
        // it is listed
        ("a3@a.example", 3, 100, on_list("OnAccountSuppressionList", false)),
        ("a3@a.example", 4, 90, hard()),
        ("a4@a.example", 5, 100, unknown),
        ("a5@a.example", 6, 100, unknown),
        ("a5@a.example", 7, 95, full()),
        ("a5@a.example", 11, 90, delivered()),
        ("a6@a.example", 8, 100, bounced("soft", "Transient", "smtp; 450 qqq")),
        ("a7@a.example", 9, 100, sender),
        ("no address", 10, 100, hard()),
    ]);
    assert_eq!(list.addresses.len(), 1, "{list:?}");
    let left_out = list.left_out;
    assert_eq!((left_out.on_ses_list, left_out.on_global_list), (2, 1));
    assert_eq!((left_out.unknown_text, left_out.not_an_address), (1, 1));
}

/// An address with deliveries on three days and one hard bounce.
fn established(address: &'static str, number: u64, hours_ago: i64) -> [Event; 4] {
    let delivery = |at: u64, days: i64| (address, number + at, hours_ago + days * DAY, delivered());
    [delivery(1, 5), delivery(2, 10), delivery(3, 20), (address, number, hours_ago, hard())]
}

#[test]
fn hold_ends_three_days_after_the_bounce() {
    let all = [established("ann@a.example", 10, 71), established("bob@b.example", 20, 72)];
    let list = listed(&all.concat());
    let held: Vec<_> = list.on_hold.iter().map(|one| (one.address.as_str(), one.reason)).collect();
    assert_eq!(held, [("ann@a.example", SuppressReason::OnHold)]);
    assert_eq!((list.addresses.len(), list.left_out.hold_ended), (0, 1));
    // the deliveries are older than a soft bounce
    let mut events = established("ann@a.example", 10, 2 * DAY).to_vec();
    events.push(("ann@a.example", 15, 4 * DAY, full()));
    let list = listed(&events);
    assert_eq!((list.addresses.len(), list.on_hold.len()), (0, 1), "{list:?}");
}

#[test]
fn list_is_compared_with_the_evidence() {
    let mut events = established("held@a.example", 10, 10).to_vec();
    events.extend([
        ("known@a.example", 1, 100, hard()),
        ("new@a.example", 2, 100, hard()),
        ("old@a.example", 3, 300 * DAY, delivered()),
    ]);
    let known = "known@a.example\nheld@a.example\nold@a.example\nnever@a.example\n";
    let list = suppress(&request(&store(&events), Some(known)), Classifier::builtin()).unwrap();
    let added: Vec<&str> = list.addresses.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(added, ["new@a.example"]);
    let without: Vec<_> = list.without_evidence.iter().flatten().collect();
    let found: Vec<_> =
        without.iter().map(|one| (one.address.as_str(), one.delivered_at.is_some())).collect();
    assert_eq!(found, [("never@a.example", false), ("old@a.example", true)]);
}

#[test]
fn rows_of_version_1_belong_to_the_address_in_its_normal_form() {
    let store = tempfile::tempdir().unwrap();
    let row = |at: i64, fields: TestRow| TestRow { message: 1, key: 1, at, ..fields };
    let bounce = TestRow { recipient: Some("\"ann\"@a.example"), ..hard() };
    publish_with_version(store.path(), "a.parquet", &[row(AT - 100 * HOUR, bounce)], 1);
    let addresses = || {
        let list = suppress(&request(&store, None), Classifier::builtin()).unwrap();
        list.addresses.into_iter().map(|one| one.address).collect::<Vec<_>>()
    };
    assert_eq!(addresses(), ["ann@a.example"]);
    let delivery = TestRow { recipient: Some("ann@a.example"), message: 2, key: 2, ..delivered() };
    publish(store.path(), "b.parquet", &[TestRow { at: AT - 50 * HOUR, ..delivery }]);
    assert_eq!(addresses(), [""; 0]);
}

#[test]
fn release_needs_a_sign_after_the_last_one_of_the_list() {
    use ReleaseReason::{Delivered, HoldEnded};

    let stopped = || on_list("OnAccountSuppressionList", false);
    let permanently_full = || {
        bounced(
            "hard",
            "Permanent",
            "smtp; 552 5.2.2 https://support.google.com/mail/?p=OverQuotaPerm a1 - gsmtp",
        )
    };
    let about_stopped =
        TestRow { complaint_subtype: Some("OnAccountSuppressionList"), ..complained("f", "abuse") };
    let listed_at = |hours_ago: i64, reason: &str| {
        let at = format_ms(AT - hours_ago * HOUR);
        format!(
            r#"[{{"EmailAddress":"ann@a.example","Reason":"{reason}","LastUpdateTime":"{at}"}}]"#
        )
    };
    let of_ann = |events: &[(u64, i64, TestRow)]| -> Vec<Event> {
        let event = |one: &(u64, i64, TestRow)| ("ann@a.example", one.0, one.1, one.2);
        events.iter().map(event).collect()
    };
    let delivery = (2, 50, delivered());
    for (name, events, list, expected) in [
        ("stopped, then delivered", of_ann(&[(1, 80, stopped()), delivery]), None, Some(Delivered)),
        ("delivered, then stopped", of_ann(&[(1, 40, stopped()), delivery]), None, None),
        ("delivered an hour later", of_ann(&[(1, 51, stopped()), delivery]), None, None),
        (
            "stopped before and after a delivery",
            of_ann(&[(1, 80, stopped()), (3, 40, stopped()), delivery]),
            None,
            None,
        ),
        (
            "stopped after and before a delivery",
            of_ann(&[(1, 40, stopped()), (3, 80, stopped()), delivery]),
            None,
            None,
        ),
        (
            "complaint about a stopped message",
            of_ann(&[(1, 80, stopped()), delivery, (3, 90, about_stopped)]),
            None,
            None,
        ),
        ("hold ended", established("ann@a.example", 10, 80).to_vec(), None, Some(HoldEnded)),
        ("listed", of_ann(&[delivery]), Some(listed_at(100, "BOUNCE")), Some(Delivered)),
        ("listed after a complaint", of_ann(&[delivery]), Some(listed_at(100, "COMPLAINT")), None),
        (
            "listed, stopped later",
            of_ann(&[(1, 40, stopped()), delivery]),
            Some(listed_at(100, "BOUNCE")),
            None,
        ),
        (
            "listed, bounced later and expired",
            of_ann(&[(1, 40 * DAY, permanently_full()), (2, 50 * DAY, delivered())]),
            Some(listed_at(60 * DAY, "BOUNCE")),
            None,
        ),
    ] {
        let store = store(&events);
        let request = request(&store, list.as_deref());
        let found = release(&request, Classifier::builtin()).unwrap().release;
        assert_eq!(found.first().map(|one| one.reason), expected, "{name}");
    }
}

#[test]
fn release_states_the_last_bounce() {
    let again = bounced("hard", "Permanent", "smtp; 550 5.1.1 user unknown again");
    let mut events = vec![("ann@a.example", 1, 78, again)];
    events.extend(established("ann@a.example", 10, 80));
    let list = release(&request(&store(&events), None), Classifier::builtin()).unwrap().release;
    let [ann] = list.as_slice() else { panic!("{list:?}") };
    assert_eq!(ann.reason, ReleaseReason::HoldEnded);
    assert_eq!(ann.bounced_at, Some(format_ms(AT - 78 * HOUR)));
    assert_eq!(ann.evidence.as_deref(), Some("smtp; 550 5.1.1 user unknown again"));
}
