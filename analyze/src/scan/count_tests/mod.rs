//! Counts of the scan on random small stores equal naive counts over their rows.

mod naive;
mod random_rows;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::time::{DAY_MS, day_of};
use proptest::prelude::*;

use crate::scan::count_tests::naive::{Naive, PAIRS};
use crate::scan::count_tests::random_rows::{ADDRESSES, START, random_rows, random_time};
use crate::scan::failure::FailureQuery;
use crate::scan::history_part::{HistoryPart, HistoryQuery};
use crate::scan::store_scan::{RowLimits, StoreScan};
use crate::scan::test_store::{TestRow, publish};
use crate::scan::timelines::{ExactHours, Timelines};
use crate::timeline::{
    Basis, Dimension, EXCLUSION_REASON, Grouping, NO_FEEDBACK, Outcome, ScopeValues,
};

const OWN_DOMAINS: [&str; 1] = ["Own.example"];
/// A time after all rows.
const END: i64 = START + 10 * DAY_MS;

/// Publishes rows of a batch in the segments that they name, by day.
fn publish_all(store: &Path, batch: usize, rows: &[(TestRow, u32)]) {
    let mut segments: BTreeMap<(u32, i64), Vec<TestRow>> = BTreeMap::new();
    for (row, segment) in rows {
        segments.entry((*segment, day_of(row.at))).or_default().push(*row);
    }
    for ((segment, day), rows) in segments {
        let name = format!("{batch}-{segment}-{day}");
        // every second segment is stored as two: failures and other events
        if segment % 2 == 0 {
            publish(store, &format!("{name}.parquet"), &rows);
            continue;
        }
        let kind = |row: &TestRow| EventKind::parse(row.kind.unwrap_or_default());
        let is_failure = |row: &TestRow| kind(row).is_some_and(EventKind::is_failure);
        let (failures, others): (Vec<TestRow>, Vec<TestRow>) =
            rows.into_iter().partition(is_failure);
        for (mark, rows) in [("failures", failures), ("others", others)] {
            if !rows.is_empty() {
                publish(store, &format!("{name}.{mark}.parquet"), &rows);
            }
        }
    }
}

/// Span of a query, and the settings of the count.
#[derive(Debug, Clone, Copy)]
struct Span {
    service: Service,
    basis: Basis,
    from: i64,
    middle: i64,
    to: i64,
    counted_from: Option<i64>,
}

fn groupings() -> [Vec<Grouping>; 3] {
    let further = |name| {
        let mut grouping = Grouping::account();
        grouping.0.push(Dimension::Column(name));
        grouping
    };
    let parsed = |text: &&str| Grouping::parse(text).unwrap();
    // no row lacks a value that another row of its message has
    let without_gaps = vec![Grouping::account(), further(NO_FEEDBACK), parsed(&"recipient_domain")];
    let with_gaps = ["identity", "provider", "tag:campaign", "recipient_domain,identity"];
    let with_gaps = with_gaps.iter().map(parsed).collect();
    // the last grouping includes mail that the others exclude
    [without_gaps, with_gaps, vec![further(EXCLUSION_REASON)]]
}

/// Counts by scope and code of an outcome.
type Counts = BTreeMap<(ScopeValues, i32), u64>;

/// Counts of the non-empty outcomes and of pairs in `(after, to]` by scope.
fn counts_of(timelines: &Timelines, after: i64, to: i64) -> Counts {
    let mut counts = Counts::new();
    for (values, timeline) in timelines {
        let of_outcome = |outcome: Outcome| (outcome.code(), timeline.of(outcome));
        let all = Outcome::ALL.into_iter().map(of_outcome);
        for (code, times) in all.chain([(PAIRS, &timeline.delivered_or_bounced)]) {
            let count = times.between(after, to);
            if count > 0 {
                counts.insert((values.clone(), code), count);
            }
        }
    }
    counts
}

fn assert_counts(scan: &StoreScan, rows: &[TestRow], span: Span) {
    let Span { basis, from, middle, to, counted_from, .. } = span;
    let naive = Naive::new(rows, span.service, to);
    let exact = ExactHours::of([from, middle, to]);
    for groupings in groupings() {
        let query = HistoryQuery { groupings: &groupings, basis, counted_from };
        let mut part = HistoryPart::new(scan, query, from, to).unwrap();
        part.load_pairs().unwrap();
        let history = part.history(&exact).unwrap();
        for (grouping, timelines) in groupings.iter().zip(&history.by_grouping) {
            for timeline in timelines.values() {
                assert!(timeline.times.values().any(|times| times.number() > 0));
                assert_eq!(timeline.counted_from, counted_from);
            }
            let times = naive.times(grouping, basis);
            for (after, until) in [(from, middle), (middle, to), (from, to)] {
                let is_counted = |time: &&i64| {
                    (after + 1..=until).contains(*time)
                        && counted_from.is_none_or(|first| **time >= first)
                };
                let expected: Counts = times
                    .iter()
                    .map(|(scope, times)| {
                        (scope.clone(), times.iter().filter(is_counted).count() as u64)
                    })
                    .filter(|(_, count)| *count > 0)
                    .collect();
                let counts = counts_of(timelines, after, until);
                assert_eq!(counts, expected, "{grouping:?} {span:?}");
            }
        }
    }
}

fn assert_failures(scan: &StoreScan, rows: &[TestRow], span: Span) {
    let naive = Naive::new(rows, span.service, span.to);
    let kinds = [EventKind::Bounce, EventKind::Complaint];
    let dimensions = ["provider", "identity", "tag:campaign"].map(|text| text.parse().unwrap());
    let some: BTreeSet<String> = ADDRESSES[..2].iter().map(|one| (*one).to_owned()).collect();
    // the third query loads the failures of all days, and the next ones use them
    for (kinds, recipients, after) in [
        (&kinds[..], None, Some(span.from)),
        (&kinds[..], Some(&some), None),
        (&kinds[..], None, None),
        (&kinds[..1], None, Some(span.from)),
        (&kinds[..], Some(&some), Some(span.from)),
    ] {
        let query = FailureQuery { kinds, recipients, dimensions: &dimensions, after, to: span.to };
        let mut found = Vec::new();
        scan.failures(&query, |one| {
            let values: Vec<Option<String>> =
                one.values.iter().map(|value| value.map(str::to_owned)).collect();
            let recipient = one.recipient.map(str::to_owned);
            found.push((one.message, one.at, one.outcome, recipient, one.smtp_code, values));
        })
        .unwrap();
        found.sort();
        assert_eq!(found, naive.failures(&query), "{span:?} {after:?}");
    }
}

fn assert_deliveries(scan: &StoreScan, rows: &[TestRow], span: Span) {
    let naive = Naive::new(rows, span.service, span.to);
    let recipients = &ADDRESSES[1..];
    let mut found = BTreeSet::new();
    scan.deliveries(recipients, span.from, span.to, |recipient, message, at| {
        // the result can contain earlier deliveries
        if at >= span.from {
            found.insert((recipient.to_owned(), message, at));
        }
    })
    .unwrap();
    assert_eq!(found, naive.deliveries(recipients, span.from), "{span:?}");
}

fn assert_all(store: &Path, rows: &[TestRow], span: Span, limits: RowLimits) {
    let own_domains = OWN_DOMAINS.map(str::to_owned);
    let scan = StoreScan::open(store, span.service, &own_domains, limits).unwrap();
    assert_counts(&scan, rows, span);
    assert_failures(&scan, rows, span);
    assert_deliveries(&scan, rows, span);
}

/// A complaint report of two recipients, and a message that was delivered and then bounced; one row of each names the
/// provider.
#[test]
fn reports_and_pairs_count_once_by_provider() {
    let row = |key: u64, kind: &'static str, recipient: &'static str, provider| TestRow {
        service: Some(Service::Ses),
        message: 1,
        key,
        at: START + key.cast_signed(),
        kind: Some(kind),
        recipient: Some(recipient),
        provider,
        ..TestRow::default()
    };
    let complaint = |key, recipient, provider| TestRow {
        feedback_id: Some("f1"),
        ..row(key, "complaint", recipient, provider)
    };
    let bounce = row(4, "bounce", ADDRESSES[2], None);
    let rows = [
        complaint(1, ADDRESSES[0], Some("yahoo")),
        complaint(2, ADDRESSES[1], None),
        row(3, "delivery", ADDRESSES[2], Some("yahoo")),
        TestRow { class: Some("hard"), counts: Some(true), ..bounce },
    ];
    let store = tempfile::tempdir().unwrap();
    publish_all(store.path(), 0, &rows.map(|row| (row, 0)));
    let (from, middle, to) = (START - 1, START, START + 10);
    let span =
        Span { service: Service::Ses, basis: Basis::Event, from, middle, to, counted_from: None };
    let unlimited = RowLimits { long_list: 2, ..RowLimits::of_rows(u64::MAX) };
    let scan = StoreScan::open(store.path(), Service::Ses, &[], unlimited).unwrap();
    assert_counts(&scan, &rows, span);
    let naive = Naive::new(&rows, Service::Ses, to);
    let by_provider = naive.times(&Grouping::parse("provider").unwrap(), Basis::Event);
    let number = |code: i32| -> usize {
        by_provider.iter().filter(|((_, of), _)| *of == code).map(|(_, times)| times.len()).sum()
    };
    assert_eq!([number(Outcome::Complaint.code()), number(PAIRS)], [1, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn counts_failures_and_deliveries_equal_naive_counts(
        rows in random_rows(40, "yahoo"),
        more in random_rows(20, "zoho"),
        mut times in proptest::array::uniform3(random_time()),
        counted_from in proptest::option::weighted(0.2, random_time()),
        (is_workmail, by_send) in (proptest::bool::weighted(0.4), proptest::bool::ANY),
        (is_limited, has_later) in (proptest::bool::ANY, proptest::bool::ANY),
    ) {
        times.sort_unstable();
        let [from, middle, to] = times;
        let service = if is_workmail { Service::WorkMail } else { Service::Ses };
        let basis = if by_send { Basis::Send } else { Basis::Event };
        let span = Span { service, basis, from, middle, to, counted_from };
        let limit = if is_limited { 50 } else { u64::MAX };
        let limits = RowLimits { long_list: 100, ..RowLimits::of_rows(limit) };
        let store = tempfile::tempdir().unwrap();
        publish_all(store.path(), 0, &rows);
        let mut all: Vec<TestRow> = rows.iter().map(|(row, _)| *row).collect();
        assert_all(store.path(), &all, span, limits);
        // daily aggregates are stored now; further rows are late events and copies, of earlier messages too
        publish_all(store.path(), 1, &more);
        all.extend(more.iter().map(|(row, _)| *row));
        let to = if has_later { END } else { to };
        // the second time, only the rows of the open days are counted
        for _ in 0..2 {
            assert_all(store.path(), &all, Span { to, ..span }, limits);
        }
    }
}
