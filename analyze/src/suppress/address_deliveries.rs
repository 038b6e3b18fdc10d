//! Deliveries to addresses with failures.

use std::collections::HashMap;

use crate::suppress::decision::Delivered;

/// Deliveries to addresses with failures. Deliveries of messages that bounced later are not
/// included.
#[derive(Debug, Default)]
pub(crate) struct AddressDeliveries(HashMap<String, DeliveryTimes>);

/// Deliveries to one address.
#[derive(Debug)]
struct DeliveryTimes {
    last: i64,
    /// Times of all deliveries; empty for an address without hard bounces.
    times: Vec<i64>,
}

impl AddressDeliveries {
    /// Adds a delivery; keeps its time only if `keeps_times` is true.
    pub(super) fn add(&mut self, recipient: &str, at: i64, keeps_times: bool) {
        if !self.0.contains_key(recipient) {
            self.0.insert(recipient.to_owned(), DeliveryTimes { last: at, times: Vec::new() });
        }
        let Some(known) = self.0.get_mut(recipient) else { return };
        known.last = known.last.max(at);
        if keeps_times {
            known.times.push(at);
        }
    }

    /// Sorts the times, because deliveries are added in arbitrary order.
    #[expect(clippy::iter_over_hash_type, reason = "each value is sorted on its own")]
    pub(super) fn sort(&mut self) {
        for known in self.0.values_mut() {
            known.times.sort_unstable();
        }
    }

    /// Returns the deliveries to an address.
    pub(super) fn of(&self, address: &str) -> Delivered<'_> {
        self.0.get(address).map_or_else(Delivered::default, |known| Delivered {
            last: Some(known.last),
            times: &known.times,
        })
    }

    /// Returns the sorted times of the deliveries to an address; empty without hard bounces.
    pub(crate) fn times(&self, address: &str) -> &[i64] {
        self.of(address).times
    }
}
