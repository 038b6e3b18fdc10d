//! Tests of [`super::merge`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use arrow_array::types::TimestampMillisecondType;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::event::{Channel, EventKind, EventRow};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;
use crate::schema::table_schema;
use crate::segment::EventSegment;

/// A copy of an event, with values of which some are unknown.
#[derive(Debug, Clone)]
struct Copy {
    message: &'static str,
    at: i64,
    sent_at: Option<i64>,
    channel: Channel,
    feedback_id: Option<&'static str>,
    provider: Option<&'static str>,
    identity: Option<&'static str>,
    tags: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    class: Option<BounceClass>,
    smtp_code: Option<u16>,
    origin: &'static str,
}

fn copy() -> impl Strategy<Value = Copy> {
    let tag = |value: &'static str| vec![(Cow::Borrowed("campaign"), Cow::Borrowed(value))];
    let values = (
        prop_oneof![Just(None), Just(Some("other")), Just(Some("gmail")), Just(Some("yahoo"))],
        prop_oneof![3 => Just(None), 3 => Just(Some("a")), 1 => Just(Some("b"))],
        prop_oneof![Just(vec![]), Just(tag("x")), Just(tag("y"))],
        prop_oneof![
            5 => Just(Some(BounceClass::Hard)),
            1 => Just(Some(BounceClass::Soft)),
            1 => Just(None)
        ],
        prop_oneof![2 => Just(None), 2 => Just(Some(550)), 1 => Just(Some(554))],
    );
    let identity_and_arrival = (
        prop_oneof![Just("m1"), Just("m2"), Just("m3")],
        0..4_i64,
        proptest::option::of(0..3_i64),
        prop_oneof![Just(Channel::IdentityFeedback), Just(Channel::EventPublishing)],
        proptest::option::of(prop_oneof![Just("f1"), Just("f2")]),
        prop_oneof![Just("queue"), Just("file")],
    );
    (values, identity_and_arrival).prop_map(
        |(
            (provider, identity, tags, class, smtp_code),
            (message, at, sent_at, channel, feedback_id, origin),
        )| Copy {
            message,
            at,
            sent_at,
            channel,
            feedback_id,
            provider,
            identity,
            tags,
            class,
            smtp_code,
            origin,
        },
    )
}

/// Rows of copies, sorted by key.
fn rows(copies: &[Copy]) -> RecordBatch {
    let events: Vec<EventRow<'_>> = copies
        .iter()
        .map(|copy| EventRow {
            channel: copy.channel,
            event_at: copy.at,
            sent_at: copy.sent_at,
            received_at: 9,
            message_id: copy.message,
            feedback_id: copy.feedback_id,
            recipient: Some("jane@example.com"),
            recipient_domain: Some("example.com"),
            provider: copy.provider,
            identity: copy.identity,
            tags: &copy.tags,
            bounce_type: Some("Permanent"),
            bounce_subtype: Some("General"),
            class: copy.class,
            counts: copy.class == Some(BounceClass::Hard),
            smtp_code: copy.smtp_code,
            origin: copy.origin,
            ..EventRow::of_kind(EventKind::Bounce)
        })
        .collect();
    stored(&events)
}

/// Events as rows of a segment, sorted by key.
fn stored<'a>(events: impl IntoIterator<Item = &'a EventRow<'a>>) -> RecordBatch {
    let mut segment = EventSegment::default();
    for event in events {
        segment.push(event);
    }
    let bytes = bytes::Bytes::from(segment.finish().unwrap().remove(0).bytes);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let schema = table_schema(table::EVENTS);
    sorted(&concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap())
}

fn sorted(rows: &RecordBatch) -> RecordBatch {
    let column =
        |name| SortColumn { values: rows.column_by_name(name).unwrap().clone(), options: None };
    let keys = [column(table::MESSAGE_KEY), column(table::EVENT_KEY)];
    take_record_batch(rows, &lexsort_to_indices(&keys, None).unwrap()).unwrap()
}

fn both(one: &RecordBatch, other: &RecordBatch) -> RecordBatch {
    sorted(&concat_batches(&one.schema(), [one, other]).unwrap())
}

fn merged(rows: &RecordBatch) -> RecordBatch {
    merge(rows.clone()).unwrap().rows
}

/// Each row as text, sorted: rows can be compared independent of their order.
fn texts(rows: &RecordBatch) -> Vec<String> {
    let mut texts: Vec<String> =
        (0..rows.num_rows()).map(|row| format!("{:?}", rows.slice(row, 1).columns())).collect();
    texts.sort();
    texts
}

type KnownValues = BTreeMap<(i64, i64), Vec<BTreeSet<String>>>;

/// All known values of each event: per column the set of values, and the set of combinations of the columns that must
/// be equal.
fn known(rows: &RecordBatch) -> KnownValues {
    let mut known = KnownValues::new();
    let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
    for row in 0..rows.num_rows() {
        let key = |name| hashes(rows, name).unwrap()[row];
        let event = known
            .entry((key(table::MESSAGE_KEY), key(table::EVENT_KEY)))
            .or_insert_with(|| vec![BTreeSet::new(); names.len() + 1]);
        let mut equal = String::new();
        for (at, name) in names.iter().enumerate() {
            let array = rows.column(at).slice(row, 1);
            let text = format!("{array:?}");
            if rule(name) == MergeRule::Equal {
                equal.push_str(&text);
            } else if array.is_valid(0) {
                event[at].insert(text);
            }
        }
        event[names.len()].insert(equal);
    }
    for event in known.values_mut() {
        for (values, name) in event.iter_mut().zip(&names) {
            let kept = match rule(name) {
                MergeRule::Smallest => values.first().cloned(),
                MergeRule::Greatest => values.last().cloned(),
                _ if name == table::PROVIDER && values.len() > 1 => {
                    values.retain(|value| !value.contains("\"other\""));
                    continue;
                }
                _ => continue,
            };
            *values = kept.into_iter().collect();
        }
    }
    known
}

/// Whether the copies of every event agree.
fn is_consistent(rows: &RecordBatch) -> bool {
    known(rows).values().flatten().all(|values| values.len() <= 1)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn merge_keeps_all_known_values_and_adds_none(copies in prop::collection::vec(copy(), 1..12)) {
        let rows = rows(&copies);
        let done = merge(rows.clone()).unwrap();
        prop_assert_eq!(known(&done.rows), known(&rows));
        let events = known(&rows).len();
        prop_assert!(done.rows.num_rows() >= events);
        prop_assert_eq!(done.conflicts == 0, done.rows.num_rows() == events);
        if is_consistent(&rows) {
            prop_assert_eq!(done.rows.num_rows(), events);
        }
        // rows of one event that are left conflict: merging again changes nothing
        prop_assert_eq!(texts(&merged(&done.rows)), texts(&done.rows));
    }

    #[test]
    fn merge_does_not_depend_on_the_order_of_copies(
        (copies, shuffled) in prop::collection::vec(copy(), 1..12)
            .prop_flat_map(|copies| (Just(copies.clone()), Just(copies).prop_shuffle()))
    ) {
        prop_assert_eq!(texts(&merged(&rows(&copies))), texts(&merged(&rows(&shuffled))));
    }

    #[test]
    fn merging_parts_first_gives_the_same_known_values(
        a in prop::collection::vec(copy(), 1..6),
        b in prop::collection::vec(copy(), 1..6),
        c in prop::collection::vec(copy(), 1..6),
    ) {
        let (a, b, c) = (rows(&a), rows(&b), rows(&c));
        let left = merged(&both(&merged(&both(&a, &b)), &c));
        let right = merged(&both(&a, &merged(&both(&b, &c))));
        let at_once = merged(&both(&both(&a, &b), &c));
        // known values are always the same; rows are the same if the copies agree
        prop_assert_eq!(known(&left), known(&at_once));
        prop_assert_eq!(known(&right), known(&at_once));
        if is_consistent(&both(&both(&a, &b), &c)) {
            prop_assert_eq!(texts(&left), texts(&at_once));
            prop_assert_eq!(texts(&right), texts(&at_once));
        }
    }
}

/// Two copies of one event that differ in one column, and the values of this column after merging: one row unless they
/// conflict. Written as values, not with [`rule`], so that a changed rule fails here.
#[test]
fn each_column_is_merged_by_its_meaning() {
    let base = EventRow {
        event_at: 1_000,
        sent_at: Some(500),
        received_at: 9_000,
        message_id: "m1",
        recipient: Some("jane@example.com"),
        provider: Some("other"),
        complaint_type: Some("abuse"),
        feedback_id: Some("f1"),
        origin: "a",
        ..EventRow::of_kind(EventKind::Complaint)
    };
    let feedback = Channel::IdentityFeedback;
    for (column, copy, expected) in [
        (table::EVENT_AT, EventRow { event_at: 999, ..base.clone() }, vec!["999"]),
        (table::EVENT_AT, EventRow { event_at: 1_001, ..base.clone() }, vec!["1000"]),
        (table::SENT_AT, EventRow { sent_at: Some(499), ..base.clone() }, vec!["499"]),
        (table::SENT_AT, EventRow { sent_at: Some(501), ..base.clone() }, vec!["500"]),
        (table::SENT_AT, EventRow { sent_at: None, ..base.clone() }, vec!["500"]),
        (table::RECEIVED_AT, EventRow { received_at: 8_999, ..base.clone() }, vec!["8999"]),
        (table::RECEIVED_AT, EventRow { received_at: 9_001, ..base.clone() }, vec!["9000"]),
        (table::CHANNEL, EventRow { channel: feedback, ..base.clone() }, vec!["event_publishing"]),
        (table::ORIGIN, EventRow { origin: "b", ..base.clone() }, vec!["b"]),
        (table::PROVIDER, EventRow { provider: Some("gmail"), ..base.clone() }, vec!["gmail"]),
        (table::PROVIDER, EventRow { provider: None, ..base.clone() }, vec!["other"]),
        (table::TENANT, EventRow { tenant: Some("t"), ..base.clone() }, vec!["t"]),
        (
            table::COMPLAINT_TYPE,
            EventRow { complaint_type: Some("fraud"), ..base.clone() },
            vec!["abuse", "fraud"],
        ),
        (
            table::COMPLAINT_TYPE,
            EventRow { complaint_type: None, ..base.clone() },
            vec!["", "abuse"],
        ),
        (table::COUNTS, EventRow { counts: true, ..base.clone() }, vec!["false", "true"]),
    ] {
        let done = merge(stored([&base, &copy])).unwrap();
        let array = done.rows.column_by_name(column).unwrap();
        let text = |row: usize| match array.data_type() {
            DataType::Boolean => array.as_boolean().value(row).to_string(),
            DataType::Timestamp(..) => {
                array.as_primitive::<TimestampMillisecondType>().value(row).to_string()
            }
            _ => array.as_string::<i32>().value(row).to_owned(),
        };
        let mut values: Vec<String> = (0..array.len()).map(text).collect();
        values.sort_unstable();
        assert_eq!(values, expected, "{column} of {copy:?}");
        assert_eq!(done.conflicts, u64::from(expected.len() > 1), "{column}");
    }
}

#[test]
fn different_events_of_one_message_are_no_conflict() {
    let bounce = EventRow { message_id: "m1", ..EventRow::of_kind(EventKind::Bounce) };
    let delivery = EventRow { message_id: "m1", ..EventRow::of_kind(EventKind::Delivery) };
    let done = merge(stored([&bounce, &delivery, &bounce])).unwrap();
    assert_eq!((done.rows.num_rows(), done.conflicts), (2, 0));
}

#[test]
fn copies_that_count_differently_in_rates_are_not_merged() {
    let plain = Copy {
        message: "m1",
        at: 1,
        sent_at: None,
        channel: Channel::EventPublishing,
        feedback_id: None,
        provider: None,
        identity: None,
        tags: vec![],
        class: Some(BounceClass::Hard),
        smtp_code: None,
        origin: "file",
    };
    // merging a copy without class would add a hard bounce that counts, or remove one
    let unclassed = Copy { class: None, identity: Some("a"), at: 0, ..plain.clone() };
    let kept = merge(rows(&[plain.clone(), unclassed])).unwrap();
    assert_eq!((kept.rows.num_rows(), kept.conflicts), (2, 1));
    let richer =
        Copy { channel: Channel::IdentityFeedback, identity: Some("a"), at: 5, ..plain.clone() };
    let one = merge(rows(&[richer, plain])).unwrap();
    assert_eq!((one.rows.num_rows(), one.conflicts), (1, 0));
    let value = |name| one.rows.column_by_name(name).unwrap().as_string::<i32>().value(0);
    assert_eq!((value(table::IDENTITY), value(table::CHANNEL)), ("a", "event_publishing"));
}
