//! Contributors to a rate: the parts of a scope with the highest counts, and the rate excluding each. No I/O.

use bouncewatch_schemas::table;
use serde::Serialize;

use crate::check::confidence;

/// Maximum number of contributors that are listed per dimension.
pub const CONTRIBUTORS_MAX: usize = 3;

/// A part of a scope, such as a recipient domain or a campaign, with its share of the count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contributor {
    /// Dimension of the part, such as `recipient_domain` or `tag:campaign`.
    pub by: String,
    /// Value of the dimension; `None` for mail without a value.
    pub value: Option<String>,
    /// Bounces or complaints of the part.
    pub count: u64,
    /// Attempts of the part; `None` for a cause, because only bounced mail has one.
    pub attempts: Option<u64>,
    /// Rate of the scope excluding the part. For a cause: the rate if its mail had been delivered.
    pub rate_without: Option<f64>,
}

/// Returns the parts with the highest counts, highest first. `parts` are (value, count, attempts).
pub fn top_contributors(
    by: &str,
    count: u64,
    attempts: u64,
    parts: impl Iterator<Item = (Option<String>, u64, Option<u64>)>,
) -> Vec<Contributor> {
    let mut all: Vec<Contributor> = parts
        .filter(|(_, part_count, _)| *part_count > 0)
        .map(|(value, part_count, part_attempts)| Contributor {
            by: by.to_owned(),
            value,
            count: part_count,
            attempts: part_attempts,
            rate_without: confidence::rate(
                count.saturating_sub(part_count),
                attempts.saturating_sub(part_attempts.unwrap_or_default()),
            ),
        })
        .collect();
    all.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    all.truncate(CONTRIBUTORS_MAX);
    all
}

/// Orders contributors of different dimensions: the lowest rate excluding the part first, parts
/// that are the complete scope last.
///
/// Causes come after all others: excluding a cause keeps its attempts, so its rate is not comparable.
pub fn by_rate_without(a: &Contributor, b: &Contributor) -> std::cmp::Ordering {
    let rate_without = |one: &Contributor| one.rate_without.unwrap_or(f64::INFINITY);
    a.is_cause().cmp(&b.is_cause()).then_with(|| rate_without(a).total_cmp(&rate_without(b)))
}

impl Contributor {
    /// Returns true for a cause of failure, false for a part of the mail.
    pub fn is_cause(&self) -> bool {
        self.by == table::CAUSE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contributors_are_sorted_and_state_the_rate_excluding_each() {
        let parts =
            [(Some("a"), 301, Some(400)), (Some("b"), 0, Some(9_000)), (None, 311, Some(600))];
        let parts = parts
            .into_iter()
            .map(|(value, count, attempts)| (value.map(str::to_owned), count, attempts));
        let got = top_contributors("recipient_domain", 612, 10_000, parts);
        assert_eq!(got.iter().map(|one| one.count).collect::<Vec<_>>(), [311, 301]);
        assert_eq!(got[1].rate_without, Some(311.0 / 9_600.0));
    }

    #[test]
    fn contributors_with_equal_counts_are_in_the_order_of_their_values() {
        let parts = ["d", "b", "c", "a"].map(|value| (Some(value.to_owned()), 5, Some(10)));
        let got = top_contributors("recipient_domain", 20, 100, parts.into_iter());
        let values: Vec<&str> = got.iter().filter_map(|one| one.value.as_deref()).collect();
        assert_eq!(values, ["a", "b", "c"]);
    }

    #[test]
    fn causes_and_complete_scopes_come_last() {
        let one = |by: &str, rate_without| Contributor {
            by: by.to_owned(),
            value: None,
            count: 1,
            attempts: None,
            rate_without,
        };
        let mut all = [
            one("cause", Some(0.0)),
            one("identity", None),
            one("provider", Some(0.02)),
            one("tag:campaign", Some(0.01)),
        ];
        all.sort_by(by_rate_without);
        let order: Vec<&str> = all.iter().map(|one| one.by.as_str()).collect();
        assert_eq!(order, ["tag:campaign", "provider", "identity", "cause"]);
    }
}
