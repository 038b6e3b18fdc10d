//! What drives a rate: the parts of a scope that have most of its count, and the rate without each. Pure.

use bouncewatch_schemas::table;
use serde::Serialize;

use crate::check::confidence;

/// Parts of each cut that are told.
pub const CONTRIBUTORS_MAX: usize = 3;

/// One part of a scope.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contributor {
    /// The word by which the scope was cut further.
    pub by: String,
    /// The part's value.
    pub value: Option<String>,
    /// What it adds to the count.
    pub count: u64,
    /// Its own attempts; a cause has none, because mail has one only when it bounces.
    pub attempts: Option<u64>,
    /// The scope's rate if the part were not there; of a cause, if its mail had arrived.
    pub rate_without: Option<f64>,
}

/// The parts with most of the count, greatest first. `parts` are value, count and attempts.
pub fn contributors(
    by: &str,
    count: u64,
    attempts: u64,
    parts: impl Iterator<Item = (Option<String>, u64, Option<u64>)>,
) -> Vec<Contributor> {
    let mut all: Vec<Contributor> = parts
        .filter(|(_, part, _)| *part > 0)
        .map(|(value, part, tried)| Contributor {
            by: by.to_owned(),
            value,
            count: part,
            attempts: tried,
            rate_without: confidence::rate(
                count.saturating_sub(part),
                attempts.saturating_sub(tried.unwrap_or_default()),
            ),
        })
        .collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    all.truncate(CONTRIBUTORS_MAX);
    all
}

/// The order of parts by different words: first those without which the rate would be lowest; last those that are all of
/// the scope. Causes come after all others: without one mail would have arrived, and not been left out.
pub fn by_weight(a: &Contributor, b: &Contributor) -> std::cmp::Ordering {
    let without = |one: &Contributor| one.rate_without.unwrap_or(f64::INFINITY);
    a.is_cause().cmp(&b.is_cause()).then_with(|| without(a).total_cmp(&without(b)))
}

impl Contributor {
    /// Whether it is why mail failed, and no part of the mail.
    pub fn is_cause(&self) -> bool {
        self.by == table::CAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_without_a_part() {
        let parts =
            [(Some("a"), 301, Some(400)), (Some("b"), 0, Some(9_000)), (None, 311, Some(600))];
        let parts =
            parts.into_iter().map(|(value, count, tried)| (value.map(str::to_owned), count, tried));
        let got = contributors("recipient_domain", 612, 10_000, parts);
        assert_eq!(got.iter().map(|one| one.count).collect::<Vec<_>>(), [311, 301]);
        assert_eq!(got[1].rate_without, Some(311.0 / 9_600.0));
    }
}
