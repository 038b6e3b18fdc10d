//! Groups of a list with the most expected bounces. No I/O.

use std::collections::HashMap;

use crate::forecast::evaluation::AddressForecast;
use crate::forecast::model::ListPart;
use crate::forecast::recipient_list::RecipientList;
use crate::forecast::replay::Replay;
use crate::forecast::request::ForecastRequest;
use crate::scan::MailTexts;

/// Inputs for the groups of addresses.
pub(crate) struct PartContext<'a> {
    pub(crate) request: &'a ForecastRequest,
    pub(crate) list: &'a RecipientList,
    pub(crate) replay: &'a Replay,
    pub(crate) texts: &'a MailTexts,
}

#[derive(Debug, Clone, Copy, Default)]
struct PartSum {
    addresses: u64,
    bounces: f64,
}

/// Returns the groups with the most expected bounces, by dimension. `bounces` is the expected
/// number of the complete list.
pub(crate) fn parts(
    context: &PartContext<'_>,
    addresses: &[AddressForecast],
    bounces: f64,
) -> Vec<ListPart> {
    let counted = || addresses.iter().enumerate().filter(|(_, one)| one.is_counted);
    let total = PartSum { addresses: counted().count() as u64, bounces };
    let mut parts = Vec::new();
    let mut add = |by: &str, value: &dyn Fn(usize, &AddressForecast) -> String, top: usize| {
        let mut sums: HashMap<String, PartSum> = HashMap::new();
        for (at, one) in counted() {
            let sum = sums.entry(value(at, one)).or_default();
            sum.addresses += 1;
            sum.bounces += one.rated.probability;
        }
        let mut sums: Vec<(String, PartSum)> = sums.into_iter().collect();
        sums.sort_by(|(one, a), (other, b)| {
            b.bounces.total_cmp(&a.bounces).then_with(|| one.cmp(other))
        });
        sums.truncate(top);
        parts.extend(sums.into_iter().map(|(value, sum)| part(by, value, sum, total)));
    };
    let top = context.request.top;
    let domain = |id: u32| context.texts.domains.get(id).unwrap_or_default().to_owned();
    let provider = |id: u32| {
        let providers = &context.replay.providers;
        providers.name(providers.number(id)).to_owned()
    };
    add("evidence", &|_, one| one.evidence.as_str().to_owned(), usize::MAX);
    add("provider", &|_, one| provider(one.rated.attempt.domain), top);
    add("recipient_domain", &|_, one| domain(one.rated.attempt.domain), top);
    for column in &context.request.columns {
        let Some(position) = context.list.column(column) else { continue };
        let value =
            |at: usize| context.list.fields(at).into_iter().nth(position).unwrap_or_default();
        add(column, &|at, _| value(at), top);
    }
    parts
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn part(by: &str, value: String, sum: PartSum, total: PartSum) -> ListPart {
    let others = total.addresses - sum.addresses;
    let rate_of_others = (total.bounces - sum.bounces).max(0.0) / others as f64;
    ListPart {
        by: by.to_owned(),
        value,
        addresses: sum.addresses,
        bounces: sum.bounces,
        rate: sum.bounces / sum.addresses as f64,
        rate_without: (others > 0).then_some(rate_of_others),
    }
}
