//! Random rows of few messages, with times near midnight and near the limits of clock differences.

use bouncewatch_schemas::event::{Channel, EventKind, Service};
use bouncewatch_schemas::time::DAY_MS;
use proptest::prelude::*;

use crate::scan::test_store::TestRow;

/// 2026-11-19 00:00 UTC.
pub(super) const START: i64 = 1_795_046_400_000;
const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
/// Times within a day: close to midnight and to an hour after it, and in between.
const OFFSETS: [i64; 9] = [
    0,
    1,
    5 * SECOND,
    HOUR - SECOND,
    HOUR,
    HOUR + SECOND,
    12 * HOUR,
    DAY_MS - 5 * SECOND,
    DAY_MS - 1,
];
/// Maximum time by which an event is older than its message, because clocks differ.
const CLOCK_DIFFERENCE_MS: i64 = 50 * 60 * SECOND;
/// Differences between the times of copies.
const SHIFTS: [i64; 5] = [0, 1, -5 * SECOND, 5 * SECOND, 9 * SECOND];

/// Recipients: with and without a known provider; of own domains, of a domain that only ends like one, and of the
/// simulator.
pub(super) const ADDRESSES: [&str; 7] = [
    "ann@a.example",
    "bob@b.example",
    "cara@a.example",
    "dan@own.example",
    "eve@sub.own.example",
    "fay@notown.example",
    "success@simulator.amazonses.com",
];
const KINDS: [EventKind; 10] = [
    EventKind::Send,
    EventKind::Send,
    EventKind::Delivery,
    EventKind::Bounce,
    EventKind::Bounce,
    EventKind::Complaint,
    EventKind::DeliveryDelay,
    EventKind::Reject,
    EventKind::Open,
    EventKind::IncomingBounce,
];
const CLASSES: [(Option<&str>, bool); 8] = [
    (Some("hard"), true),
    (Some("hard"), false),
    (Some("soft"), false),
    (Some("suppressed"), true),
    (Some("suppressed"), false),
    (Some("undetermined"), false),
    (Some("auto_reply"), false),
    (None, false),
];
/// Types and subtypes of complaints.
const REPORTS: [(Option<&str>, Option<&str>); 8] = [
    (Some("abuse"), None),
    (Some("abuse"), None),
    (None, None),
    (None, None),
    (Some("not-spam"), None),
    (Some("Not-Spam"), None),
    (None, Some("OnAccountSuppressionList")),
    (Some("virus"), None),
];
const TAGS: [&[(&str, &str)]; 5] = [
    &[],
    &[("campaign", "m")],
    &[("campaign", "z"), ("campaign", "b"), ("campaign", "z")],
    &[("campaign", "")],
    &[("other", "x")],
];

fn one_of<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
    (0..all.len()).prop_map(|at| all[at])
}

/// A time from a day before to four days after [`START`].
pub(super) fn random_time() -> impl Strategy<Value = i64> {
    (-1_i64..4, one_of(&OFFSETS)).prop_map(|(day, offset)| START + day * DAY_MS + offset)
}

/// What a copy of an event adds to it.
#[derive(Debug, Clone, Copy)]
struct CopyFields {
    shift: i64,
    is_far: bool,
    has_send_time: bool,
    is_published: bool,
    class: (Option<&'static str>, bool),
    report: (Option<&'static str>, Option<&'static str>),
    provider: Option<&'static str>,
    identity: Option<&'static str>,
    tags: &'static [(&'static str, &'static str)],
    smtp_code: Option<i32>,
    segment: u32,
}

fn random_copy(provider: &'static str) -> impl Strategy<Value = CopyFields> {
    let times = (one_of(&SHIFTS), proptest::bool::weighted(0.1), proptest::bool::weighted(0.8));
    let texts = (
        prop_oneof![
            3 => Just(None),
            1 => Just(Some("other")),
            1 => Just(Some("gmail")),
            1 => Just(Some(provider))
        ],
        one_of(&[None, None, Some("i.example"), Some("j.example")]),
        one_of(&TAGS),
    );
    let rest = (proptest::bool::ANY, one_of(&CLASSES), one_of(&REPORTS));
    (times, texts, rest, proptest::option::of(one_of(&[421, 550])), 0_u32..2).prop_map(
        |((shift, is_far, has_send_time), texts, rest, smtp_code, segment)| {
            let (provider, identity, tags) = texts;
            let (is_published, class, report) = rest;
            CopyFields {
                shift,
                is_far,
                has_send_time,
                is_published,
                class,
                report,
                provider,
                identity,
                tags,
                smtp_code,
                segment,
            }
        },
    )
}

type EventFields = (EventKind, usize, i64, i64, Option<&'static str>, Vec<CopyFields>);

/// Kind, recipient, day after that of the send, time in it, feedback ID, and copies.
fn random_event(provider: &'static str) -> impl Strategy<Value = EventFields> {
    (
        one_of(&KINDS),
        prop_oneof![3 => 0..3_usize, 1 => 3..ADDRESSES.len()],
        -1_i64..3,
        one_of(&OFFSETS),
        one_of(&[None, Some("f1"), Some("f2")]),
        proptest::collection::vec(random_copy(provider), 1..4),
    )
}

/// Rows of at most `messages` messages, each with the number of its segment; `provider` is one of their providers.
pub(super) fn random_rows(
    messages: u64,
    provider: &'static str,
) -> impl Strategy<Value = Vec<(TestRow, u32)>> {
    let message = (
        1..=messages,
        proptest::bool::weighted(0.9),
        proptest::collection::vec(random_event(provider), 1..5),
    );
    proptest::collection::vec(message, 1..usize::try_from(messages).unwrap()).prop_map(|messages| {
        let of_message = |(number, has_send_time, events): (u64, bool, Vec<EventFields>)| {
            // a message is of one service, and has one send time, which the log of WorkMail lacks
            let service = if number % 6 == 0 { Service::WorkMail } else { Service::Ses };
            let has_send_time = has_send_time && service == Service::Ses;
            let day = START + DAY_MS * (number % 3).cast_signed();
            let sent_at = day + OFFSETS[usize::try_from(number).unwrap() % OFFSETS.len()];
            let sent_at = (has_send_time.then_some(sent_at), sent_at);
            events.into_iter().flat_map(move |event| rows_of(number, service, sent_at, event))
        };
        messages.into_iter().flat_map(of_message).collect()
    })
}

/// Rows of an event: its copies.
fn rows_of(
    message: u64,
    service: Service,
    (sent_at, sent_about): (Option<i64>, i64),
    (kind, recipient, day, offset, feedback_id, copies): EventFields,
) -> Vec<(TestRow, u32)> {
    let at = sent_about - sent_about.rem_euclid(DAY_MS) + day * DAY_MS + offset;
    let earliest = sent_about - CLOCK_DIFFERENCE_MS;
    let is_complaint = kind == EventKind::Complaint;
    // further bounces of a recipient are copies of the first one, whenever they happened
    let kind_number = KINDS.iter().position(|one| *one == kind).unwrap() as u64;
    let time_number = if kind == EventKind::Bounce { 0 } else { (at - START).cast_unsigned() };
    let key = time_number << 16 | kind_number << 8 | recipient as u64;
    let row = |copy: &CopyFields| {
        let far = if copy.is_far && kind == EventKind::Bounce { DAY_MS } else { 0 };
        let shift = if is_complaint && feedback_id.is_none() { 0 } else { copy.shift + far };
        let row = TestRow {
            service: Some(service),
            channel: Some(if copy.is_published {
                Channel::EventPublishing
            } else {
                Channel::IdentityFeedback
            }),
            message,
            key,
            at: at.max(earliest) + shift.max(earliest - at.max(earliest)),
            sent_at: sent_at.filter(|_| copy.has_send_time),
            kind: Some(kind.as_str()),
            recipient: Some(ADDRESSES[recipient]),
            provider: copy.provider,
            identity: copy.identity,
            tags: copy.tags,
            smtp_code: copy.smtp_code,
            ..TestRow::default()
        };
        let row = match kind {
            EventKind::Bounce => TestRow { class: copy.class.0, counts: Some(copy.class.1), ..row },
            EventKind::Complaint => TestRow {
                complaint_type: copy.report.0,
                complaint_subtype: copy.report.1,
                feedback_id,
                ..row
            },
            _ => row,
        };
        (row, copy.segment)
    };
    copies.iter().map(row).collect()
}
