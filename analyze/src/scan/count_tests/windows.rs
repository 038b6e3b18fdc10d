//! Windows over random small stores equal naive windows.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::DAY_MS;
use proptest::prelude::*;

use crate::scan::count_tests::naive::{Naive, PAIRS, TimesByScope};
use crate::scan::count_tests::random_rows::{random_rows, random_time};
use crate::scan::count_tests::{OWN_DOMAINS, publish_all};
use crate::scan::history_part::HistoryQuery;
use crate::scan::load::{LoadRequest, load_history};
use crate::scan::store_scan::{RowLimits, StoreScan};
use crate::scan::test_store::TestRow;
use crate::timeline::{
    Basis, Grouping, Outcome, ScopeValues, Timeline, Window, WindowSpan, measure_window,
};

/// Distance of a further boundary from the end of a window.
const BOUNDARY_MS: i64 = 5 * DAY_MS / 2;
const UNLIMITED: RowLimits = RowLimits { long_list: 3, ..RowLimits::of_rows(u64::MAX) };

/// Start and attempts of a window; attempts are `None` if they depend on older events.
fn naive_window(
    of: &dyn Fn(i32) -> Vec<i64>,
    service: Service,
    sent_last: Option<i64>,
    window: &Window,
    end: i64,
) -> (i64, Option<u64>) {
    let (sends, deliveries) = (of(Outcome::Send.code()), of(Outcome::Delivery.code()));
    let best = |after: i64| {
        let has_any = |times: &[i64]| times.iter().any(|at| *at > after);
        match service {
            // sends of other scopes show that sends are logged
            Service::WorkMail => sent_last.is_some_and(|last| last > after).then(|| of(PAIRS)),
            Service::Ses if has_any(&sends) => Some(sends.clone()),
            Service::Ses => has_any(&deliveries).then(|| of(PAIRS)),
        }
    };
    let after = match window.span() {
        WindowSpan::Millis(ms) => end - ms,
        WindowSpan::Attempts(n) => {
            let attempts = best(i64::MIN).unwrap_or_default();
            let skipped = attempts.len().saturating_sub(usize::try_from(n).unwrap());
            attempts.get(skipped).map_or(i64::MIN, |first| first - 1)
        }
    };
    let start = if matches!(window.span(), WindowSpan::Attempts(_)) { i64::MIN } else { after };
    let count = |times: Vec<i64>| times.iter().filter(|at| **at > after).count() as u64;
    (after, best(start).map(count))
}

fn assert_windows(
    timeline: &Timeline,
    scope: &ScopeValues,
    times: &TimesByScope,
    windows: &[Window],
    end: i64,
) {
    let of = |code: i32| {
        let all = times.get(&(scope.clone(), code)).into_iter().flatten();
        let mut until: Vec<i64> = all.copied().filter(|at| *at <= end).collect();
        until.sort_unstable();
        until
    };
    let sends = times.iter().filter(|((_, code), _)| *code == Outcome::Send.code());
    let sent_last = sends.flat_map(|(_, times)| times).filter(|at| **at <= end).max().copied();
    for window in windows {
        let (after, attempts) = naive_window(&of, timeline.service, sent_last, window, end);
        let count =
            |outcome: Outcome| of(outcome.code()).iter().filter(|at| **at > after).count() as u64;
        let counts = measure_window(timeline, window, end).counts;
        assert_eq!(counts.hard, count(Outcome::Hard), "{window} {end} {scope:?}");
        assert_eq!(counts.complaints, count(Outcome::Complaint), "{window} {end} {scope:?}");
        if attempts.is_some() {
            assert_eq!(counts.attempts, attempts, "{window} {end} {scope:?}");
        }
    }
    let soft = of(Outcome::Soft.code());
    let expected = soft.iter().filter(|at| **at > end - BOUNDARY_MS).count() as u64;
    let count = timeline.of(Outcome::Soft).between(end - BOUNDARY_MS, end);
    assert_eq!(count, expected, "{end} {scope:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn windows_equal_naive_windows(
        rows in random_rows(20, "yahoo"),
        older in proptest::collection::vec((random_rows(20, "yahoo"), 12_i64..60), 0..3),
        ends in proptest::array::uniform2(random_time()),
        mut windows in Just(vec!["36h", "4d", "volume:1", "volume:5"]).prop_shuffle(),
        number in 1_usize..=4,
        is_workmail in proptest::bool::weighted(0.2),
    ) {
        windows.truncate(number);
        let windows: Vec<Window> = windows.iter().map(|text| text.parse().unwrap()).collect();
        let mut ends = ends;
        ends.sort_unstable();
        let service = if is_workmail { Service::WorkMail } else { Service::Ses };
        let store = tempfile::tempdir().unwrap();
        publish_all(store.path(), 0, &rows);
        let mut all: Vec<TestRow> = rows.into_iter().map(|(row, _)| row).collect();
        for (batch, (rows, days)) in older.into_iter().enumerate() {
            let earlier = |row: TestRow| TestRow {
                message: row.message + 100 * (batch as u64 + 1),
                at: row.at - days * DAY_MS,
                sent_at: row.sent_at.map(|at| at - days * DAY_MS),
                ..row
            };
            let rows: Vec<(TestRow, u32)> =
                rows.into_iter().map(|(row, segment)| (earlier(row), segment)).collect();
            publish_all(store.path(), batch + 1, &rows);
            all.extend(rows.iter().map(|(row, _)| *row));
        }
        let own_domains = OWN_DOMAINS.map(str::to_owned);
        let scan = StoreScan::open(store.path(), service, &own_domains, UNLIMITED).unwrap();
        let groupings =
            ["identity", "recipient_domain"].map(|text| Grouping::parse(text).unwrap());
        let query = HistoryQuery { groupings: &groupings, basis: Basis::Event, counted_from: None };
        let boundaries = |_: &Timeline, _: &Window, end: i64| vec![end - BOUNDARY_MS];
        let request = LoadRequest {
            query,
            evaluated: groupings.len(),
            windows: &windows,
            ends: &ends,
            boundaries: &boundaries,
            lookback_ms: BOUNDARY_MS,
        };
        let history = load_history(&scan, &request).unwrap();
        let naive = Naive::new(&all, service, ends[1]);
        for (grouping, timelines) in groupings.iter().zip(&history.by_grouping) {
            let times = naive.times(grouping, Basis::Event);
            for (scope, timeline) in timelines {
                for end in ends {
                    assert_windows(timeline, scope, &times, &windows, end);
                }
            }
            // a scope without a timeline has no events in a window
            let has_volume = windows.iter().any(|one| matches!(one.span(), WindowSpan::Attempts(_)));
            let first = if has_volume { i64::MIN } else { ends[0] - BOUNDARY_MS };
            for ((scope, code), times) in &times {
                let is_counted = |at: &i64| *at > first && *at <= ends[1];
                if *code != PAIRS && times.iter().any(is_counted) {
                    assert!(timelines.contains_key(scope), "{scope:?}");
                }
            }
        }
    }
}
