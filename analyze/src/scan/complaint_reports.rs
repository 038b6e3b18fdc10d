//! Groups complaints by complaint report. No polars.

use std::collections::BTreeMap;

use crate::scan::scope_groups::ScopeGroups;

/// Separator between recipient and feedback ID in the text of a report.
pub(super) const REPORT_SEPARATOR: char = '\u{1f}';
/// Start of the text of a report from event publishing. Greater than [`FEEDBACK`], so that it wins among copies.
pub(super) const PUBLISHED: char = 'p';
/// Start of the text of a report from identity feedback.
pub(super) const FEEDBACK: char = 'f';
/// Maximum difference between the times of one report on two channels, milliseconds.
const CHANNEL_SKEW_MAX_MS: i64 = 60_000;

/// A complaint of one recipient in a scope.
#[derive(Debug)]
pub(super) struct Complaint {
    scope: u32,
    message: u64,
    recipient: String,
    feedback_id: Option<String>,
    at: i64,
    /// Whether event publishing reported it, not only identity feedback.
    is_published: bool,
    /// Time that assigns it to windows.
    time: i64,
}

impl Complaint {
    /// Returns a complaint; `report` is its text: [`PUBLISHED`] or [`FEEDBACK`], then recipient and feedback ID.
    pub(super) fn new(scope: u32, message: u64, report: &str, at: i64, time: i64) -> Self {
        let is_published = report.starts_with(PUBLISHED);
        let rest = report.get(1..).unwrap_or_default();
        let (recipient, feedback_id) = rest.split_once(REPORT_SEPARATOR).unwrap_or((rest, ""));
        let feedback_id = (!feedback_id.is_empty()).then(|| feedback_id.to_owned());
        Self {
            scope,
            message,
            recipient: recipient.to_owned(),
            feedback_id,
            at,
            is_published,
            time,
        }
    }

    /// Whether `other` is the same report from event publishing. Compares recipient and time: AWS
    /// does not document whether both channels give a report the same feedback ID.
    fn is_repeated_by(&self, other: &Self) -> bool {
        !self.is_published
            && other.is_published
            && self.recipient == other.recipient
            && self.at.abs_diff(other.at) <= CHANNEL_SKEW_MAX_MS.unsigned_abs()
    }
}

/// Returns scope and time of each report. A report counts once, even if it lists several recipients
/// or arrived on two channels. Its feedback ID identifies it, or its time if it has no feedback ID.
pub(super) fn report_times(
    mut complaints: Vec<Complaint>,
    groups: &ScopeGroups<'_>,
) -> Vec<(u32, i64)> {
    let key = |one: &Complaint| (groups.group_of(one.scope), one.message);
    complaints.sort_unstable_by_key(key);
    let mut times = Vec::new();
    for message in complaints.chunk_by(|one, other| key(one) == key(other)) {
        let mut reports: BTreeMap<(Option<&str>, i64), (u32, i64)> = BTreeMap::new();
        for one in message {
            if message.iter().any(|other| one.is_repeated_by(other)) {
                continue;
            }
            let feedback_id = one.feedback_id.as_deref();
            let at = if feedback_id.is_some() { 0 } else { one.at };
            let (scope, first) = reports.entry((feedback_id, at)).or_insert((one.scope, one.time));
            *scope = groups.greater(one.scope, *scope);
            *first = one.time.min(*first);
        }
        times.extend(reports.into_values());
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::ScopeValues;

    #[test]
    fn reports_count_by_feedback_id_and_once_over_channels_and_recipients() {
        let complaint =
            |report: &str, at: i64| Complaint::new(0, 1, &report.replace('|', "\u{1f}"), at, at);
        for (complaints, expected) in [
            (vec![("pa@x|1", 100)], vec![100]),
            // two recipients of one report, at the first time
            (vec![("pa@x|1", 101), ("pb@x|1", 100)], vec![100]),
            // two reports
            (vec![("pa@x|1", 100), ("pa@x|2", 100)], vec![100, 100]),
            (vec![("pa@x|", 100), ("pa@x|", 101)], vec![100, 101]),
            // one report on two channels with two IDs, up to a minute apart
            (vec![("fa@x|1", 100), ("pa@x|2", 60_100)], vec![60_100]),
            (vec![("fa@x|1", 100), ("pa@x|2", 60_101)], vec![100, 60_101]),
            (vec![("fa@x|1", 100), ("pb@x|2", 100)], vec![100, 100]),
            // on one channel two IDs are two reports
            (vec![("fa@x|1", 100), ("fa@x|2", 100)], vec![100, 100]),
        ] {
            let complaints = complaints.into_iter().map(|(report, at)| complaint(report, at));
            let scopes = [ScopeValues::new()];
            let groups = ScopeGroups::new(&scopes, None);
            let mut times: Vec<i64> = report_times(complaints.collect(), &groups)
                .into_iter()
                .map(|(_, time)| time)
                .collect();
            times.sort_unstable();
            assert_eq!(times, expected);
        }
    }
}
