//! Selects addresses to hold, so that the bounce rate of the others stays below a bound. No I/O.

use crate::forecast::rate_model::RateModel;
use crate::forecast::tallies::{Attempt, ProviderTable};
use crate::forecast::totals::{CampaignSpread, ListTotals};

/// The properties of an address that a split depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RatedAddress {
    pub(crate) attempt: Attempt,
    pub(crate) probability: f64,
    pub(crate) accepts_no_mail: bool,
    /// Whether it is held whatever its probability is.
    pub(crate) is_always_held: bool,
}

/// Returns the totals of addresses.
pub(crate) fn totals<'m>(
    model: &'m RateModel,
    table: &'m ProviderTable,
    addresses: impl Iterator<Item = RatedAddress>,
) -> ListTotals<'m> {
    let mut totals = ListTotals::new(model, table);
    for one in addresses {
        totals.add(one.attempt, one.probability, one.accepts_no_mail);
    }
    totals
}

/// Returns the positions of the addresses to send to, lowest risk first: the maximum number for
/// which the bounce rate stays below `bound` with a probability of 99 %.
pub(crate) fn addresses_to_send(
    model: &RateModel,
    table: &ProviderTable,
    spread: CampaignSpread,
    addresses: impl Iterator<Item = RatedAddress>,
    bound: f64,
) -> Vec<usize> {
    let mut order: Vec<(usize, RatedAddress)> =
        addresses.enumerate().filter(|(_, one)| !one.is_always_held).collect();
    // a stable sort: addresses with the same risk stay in the order of the list
    order.sort_by(|(_, one), (_, other)| one.probability.total_cmp(&other.probability));
    let is_below = |count: usize| {
        let part = order.iter().take(count).map(|(_, one)| *one);
        totals(model, table, part).bounce_rate_bound(spread) < bound
    };
    let (mut kept, mut too_many) = (0, order.len());
    if is_below(too_many) {
        kept = too_many;
    }
    while too_many - kept > 1 {
        let middle = usize::midpoint(kept, too_many);
        if is_below(middle) {
            kept = middle;
        } else {
            too_many = middle;
        }
    }
    order.truncate(kept);
    order.into_iter().map(|(at, _)| at).collect()
}
