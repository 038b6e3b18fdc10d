//! Provider incidents on small stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;

use crate::causes::cached_classifier::CachedClassifier;
use crate::incidents::find::{IncidentSearch, noticeable_incidents};
use crate::incidents::model::ProviderIncident;
use crate::scan::StoreScan;
use crate::suppress::model::SuppressReason;
use crate::suppress::store_tests::{
    AT, DAY, Event, HOUR, bounced, delivered, hard, listed, request, store,
};
use crate::suppress::suppress_scan;

/// Addresses that received mail once and bounce in one hour with a text that names them.
fn outage(first: u64, number: u64, domain: &str, hours_ago: i64) -> Vec<Event> {
    let of_one = |at: u64| {
        let address: &'static str = format!("x{at}@{domain}").leak();
        let text: &'static str = format!("smtp; 550 5.1.1 <{address}> user unknown").leak();
        let bounce = bounced("hard", "Permanent", text);
        let message = 2 * at;
        [
            (address, message, hours_ago + 10 * DAY, delivered()),
            (address, message + 1, hours_ago, bounce),
        ]
    };
    (first..first + number).flat_map(of_one).collect()
}

/// Number of addresses, and end of the hold of each incident.
fn found(events: &[Event]) -> Vec<(u64, String)> {
    let found = listed(events).incidents.into_iter();
    found.map(|one| (one.addresses, one.hold_until)).collect()
}

#[test]
fn incident_needs_addresses_of_one_provider_with_earlier_deliveries() {
    let end = format_ms(AT - 10 * HOUR + 72 * HOUR);
    let all = outage(0, 20, "a.example", 10);
    assert_eq!(found(&all), [(20, end.clone())]);
    assert_eq!(found(&all[2..]), []);
    // two providers
    let split = [outage(0, 12, "a.example", 10), outage(12, 12, "b.example", 10)].concat();
    assert_eq!(found(&split), []);
    // without an earlier delivery
    assert_eq!(found(&all[1..]), []);
    // less than a fifth of the attempts
    let delivery = |at: u64| ("other@a.example", 1_000 + at, 10, delivered());
    let many: Vec<Event> = all.iter().copied().chain((0..80).map(delivery)).collect();
    assert_eq!(found(&many), [(20, end)]);
    let many: Vec<Event> = all.iter().copied().chain((0..81).map(delivery)).collect();
    assert_eq!(found(&many), []);
}

/// One text differs in a word.
#[test]
fn bounce_with_a_text_like_that_of_an_incident_is_on_hold() {
    let mut events = outage(0, 21, "a.example", 10);
    let session = bounced("hard", "Permanent", "smtp; 550 5.1.1 (x20@a.example) user unknown");
    events[41].3 = session;
    let list = listed(&events);
    assert_eq!(list.incidents.len(), 1);
    assert_eq!((list.addresses.len(), list.on_hold.len()), (0, 21));
}

#[test]
fn address_in_an_incident_is_on_hold_if_it_is_the_only_requested_one() {
    let store = store(&outage(0, 20, "a.example", 10));
    let only = BTreeSet::from(["x7@a.example".to_owned()]);
    let list = StoreScan::run(store.path(), Service::Ses, &[], |scan| {
        suppress_scan(
            &request(&store, None),
            Some(&only),
            &mut CachedClassifier::new(Classifier::builtin()),
            scan,
        )
    });
    let list = list.unwrap();
    let held: Vec<_> = list.on_hold.iter().map(|one| (one.address.as_str(), one.reason)).collect();
    assert_eq!(held, [("x7@a.example", SuppressReason::ProviderIncident)]);
    assert!(list.addresses.is_empty());
}

fn incidents(store: &tempfile::TempDir, from: i64) -> Vec<ProviderIncident> {
    let search = IncidentSearch { classifier: Arc::clone(Classifier::builtin()), mass_guard: 20 };
    let found = StoreScan::run(store.path(), Service::Ses, &[], |scan| {
        noticeable_incidents(scan, &search, from, AT)
    });
    found.unwrap()
}

#[test]
fn incidents_of_a_period_are_complete() {
    // the outage lasts three hours
    let lasting = [outage(0, 15, "a.example", 26), outage(15, 15, "a.example", 23)].concat();
    let of_period = |events: &[Event], hours: i64| {
        let store = store(events);
        let from = AT - hours * HOUR;
        let all = incidents(&store, from);
        all.into_iter().map(|one| (one.from, one.addresses, one.hold_until)).collect::<Vec<_>>()
    };
    let expected = [(format_ms(AT - 26 * HOUR), 30, format_ms(AT - 23 * HOUR + 72 * HOUR))];
    assert_eq!(of_period(&lasting, 48), expected);
    assert_eq!(of_period(&lasting, 24), expected);
    assert_eq!(of_period(&lasting, 23), []);
    // an address that bounced long before is dead
    let mut events = outage(0, 20, "a.example", 10);
    assert_eq!(of_period(&events, 24).len(), 1);
    events.push(("x7@a.example", 900, 10 + 5 * DAY, hard()));
    assert_eq!(of_period(&events, 24), []);
}

#[test]
fn incident_is_reported_from_a_day_before_the_period_on() {
    let hours = (23..=47).rev().step_by(3);
    let mut events: Vec<Event> = hours
        .zip((0..).step_by(15))
        .flat_map(|(hours_ago, first)| outage(first, 15, "a.example", hours_ago))
        .collect();
    // the same addresses bounced three hours earlier
    let earlier = events.iter().filter(|event| event.2 == 47);
    let earlier: Vec<Event> = earlier.map(|one| (one.0, 5_000 + one.1, 50, one.3)).collect();
    events.extend(earlier);
    let store = store(&events);
    let of_period = |hours: i64| {
        let from = AT - hours * HOUR;
        let all = incidents(&store, from);
        all.into_iter().map(|one| (one.from, one.addresses)).collect::<Vec<_>>()
    };
    assert_eq!(of_period(24), [(format_ms(AT - 47 * HOUR), 9 * 15)]);
    assert_eq!(of_period(30), [(format_ms(AT - 50 * HOUR), 9 * 15)]);
}
