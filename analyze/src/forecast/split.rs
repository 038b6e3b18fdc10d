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
    // addresses with the same risk stay in the order of the list
    order.sort_unstable_by(|(at, one), (other_at, other)| {
        one.probability.total_cmp(&other.probability).then(at.cmp(other_at))
    });
    // the totals of the addresses that are kept so far, extended in each step of the bisection
    let (mut kept, mut too_many) = (0, order.len() + 1);
    let mut kept_totals = ListTotals::new(model, table);
    let mut next = order.len();
    while next > kept {
        let mut totals = kept_totals.clone();
        for (_, one) in &order[kept..next] {
            totals.add(one.attempt, one.probability, one.accepts_no_mail);
        }
        if totals.bounce_rate_bound(spread) < bound {
            (kept, kept_totals) = (next, totals);
        } else {
            too_many = next;
        }
        next = usize::midpoint(kept, too_many);
    }
    order.truncate(kept);
    order.into_iter().map(|(at, _)| at).collect()
}
