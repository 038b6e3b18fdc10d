//! Causes and counts of suppressed addresses: the analyses of a page that read single failures.

use bouncewatch_classify::Classifier;

use crate::causes::cached_classifier::CachedClassifier;
use crate::causes::{CausesReport, CausesRequest, causes_scan};
use crate::error::AnalyzeError;
use crate::scan::StoreScan;
use crate::suppress::{SuppressRequest, SuppressionCounts, count_suppressions, load_failures};

/// Returns the counts of addresses to suppress, and the causes.
///
/// Each is counted by one thread, on failures that are loaded once. If there are too many to load, they are counted one
/// after the other: each keeps a part of the failures in memory.
pub(super) fn failure_reports(
    suppress: Option<&SuppressRequest>,
    causes: Option<&CausesRequest>,
    classifier: &Classifier,
    scan: &StoreScan,
) -> Result<(Option<SuppressionCounts>, Option<CausesReport>), AnalyzeError> {
    // rates exclude own domains, but invalid addresses there are invalid too
    let all_mail = scan.with_own_domains();
    let is_loaded = suppress.map_or(Ok(false), |of| load_failures(of, &all_mail))?;
    let suppress = |classifier: &mut CachedClassifier<'_>| {
        suppress.map(|of| count_suppressions(of, classifier, &all_mail)).transpose()
    };
    let causes = |classifier: &mut CachedClassifier<'_>| {
        causes.map(|of| causes_scan(of, classifier, scan)).transpose()
    };
    let mut cached = CachedClassifier::new(classifier);
    if !is_loaded {
        return Ok((suppress(&mut cached)?, causes(&mut cached)?));
    }
    std::thread::scope(|threads| {
        let suppress = threads.spawn(|| suppress(&mut CachedClassifier::new(classifier)));
        let causes = causes(&mut cached);
        let suppress = suppress.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((suppress?, causes?))
    })
}

#[cfg(test)]
mod tests {
    use bouncewatch_schemas::event::Service;
    use bouncewatch_schemas::time::DAY_MS;

    use super::*;
    use crate::scan::test_store::{TestRow, open_in_parts, publish};
    use crate::suppress::SoftLimit;

    /// 2026-11-20 12:00 UTC.
    const AT: i64 = 1_795_176_000_000;

    #[test]
    fn failures_in_parts_have_the_counts_of_loaded_ones() {
        let folder = tempfile::tempdir().unwrap();
        let row = |message: u64, recipient, kind, days: i64| TestRow {
            message,
            key: message,
            at: AT - days * DAY_MS,
            kind: Some(kind),
            recipient: Some(recipient),
            ..TestRow::default()
        };
        let bounce = |message, recipient, days, text| TestRow {
            class: Some("hard"),
            counts: Some(true),
            bounce_type: Some("Permanent"),
            diagnostic: Some(text),
            ..row(message, recipient, "bounce", days)
        };
        let invalid = "smtp; 550 5.1.1 user unknown";
        let rows = [
            bounce(1, "anna@example.org", 3, invalid),
            bounce(2, "bob@example.org", 2, invalid),
            row(3, "bob@example.org", "delivery", 1),
            bounce(4, "carl@example.com", 1, "smtp; 550 5.7.1 message looks like spam"),
            row(5, "anna@example.org", "delivery_delay", 4),
            row(6, "dora@example.com", "complaint", 4),
        ];
        for (number, row) in rows.iter().enumerate() {
            publish(folder.path(), &format!("{number}.parquet"), &[*row]);
        }
        let store = || folder.path().into();
        let (soft, own_domains) = (SoftLimit::default(), Vec::new());
        let suppress =
            SuppressRequest { store: store(), at: AT, soft, mass_guard: 20, known: None };
        let (from, top, groupings) = (AT - 7 * DAY_MS, None, Vec::new());
        let causes = CausesRequest {
            store: store(),
            from,
            to: AT,
            groupings,
            top,
            mass_guard: 20,
            own_domains,
        };
        let reports = |scan: &StoreScan| {
            let found =
                failure_reports(Some(&suppress), Some(&causes), Classifier::builtin(), scan)
                    .unwrap();
            serde_json::to_value(found).unwrap()
        };
        let loaded =
            StoreScan::run(folder.path(), Service::Ses, &[], |scan| Ok(reports(scan))).unwrap();
        assert_eq!(reports(&open_in_parts(folder.path())), loaded);
        assert_eq!(loaded[0]["addresses"], 2, "anna and dora: {loaded}");
        assert_eq!(loaded[1]["bounces"], 3, "{loaded}");
    }
}
