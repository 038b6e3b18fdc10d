//! Loads the part of history that windows need, with individual times only for days that need them.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::DAY_MS;

use crate::error::AnalyzeError;
use crate::scan::history_part::{HistoryPart, HistoryQuery};
use crate::scan::store_scan::StoreScan;
use crate::scan::timelines::{ExactHours, History};
use crate::timeline::{
    Timeline, Window, WindowSpan, attempts_until, needs_pairs, window_start_hours,
};

/// Factor by which the lookback grows until volume windows are complete.
const LOOKBACK_FACTOR: i64 = 4;
/// Initial lookback for volume windows, in days.
const VOLUME_LOOKBACK_DAYS: i64 = 8;
/// Maximum number of window ends for which single days are selected; with more, individual times of
/// every day are loaded.
const EXACT_ENDS_MAX: usize = 400;

/// Parameters of [`load_history`].
#[derive(Clone, Copy)]
pub(crate) struct LoadRequest<'a> {
    /// Groupings, basis, and start of counting.
    pub(crate) query: HistoryQuery<'a>,
    /// Number of groupings that need complete windows; the groupings after them are loaded over the same span.
    pub(crate) evaluated: usize,
    pub(crate) windows: &'a [Window],
    /// Ends of the windows, sorted.
    pub(crate) ends: &'a [i64],
    /// Returns further boundaries of a window that ends at the given time; their days need
    /// individual times.
    pub(crate) boundaries: &'a dyn Fn(&Timeline, &Window, i64) -> Vec<i64>,
    /// Minimum lookback before the first end, in milliseconds.
    pub(crate) lookback_ms: i64,
}

/// Loads history that contains every window. The start of a volume window depends on the attempts
/// of each scope, so more history is loaded until every scope has enough attempts, or there are no
/// older events.
pub(crate) fn load_history(
    scan: &StoreScan,
    request: &LoadRequest<'_>,
) -> Result<History, AnalyzeError> {
    let (first, last) = match request.ends {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => return Err(AnalyzeError::Span("no window ends in this span".to_owned())),
    };
    let mut lookback = request.lookback_ms;
    let mut attempts_max = None;
    for window in request.windows {
        match window.span() {
            // the day before a window shows whether the scope had sends
            WindowSpan::Millis(ms) => lookback = lookback.max(ms.saturating_add(DAY_MS)),
            WindowSpan::Attempts(n) => attempts_max = attempts_max.max(Some(n)),
        }
    }
    if attempts_max.is_some() {
        lookback = lookback.max(VOLUME_LOOKBACK_DAYS * DAY_MS);
    }
    loop {
        let mut part = HistoryPart::new(scan, request.query, first.saturating_sub(lookback), last)?;
        let history = exact_history(&mut part, request)?;
        let Some(needed) = attempts_max.filter(|_| !part.is_complete()) else {
            return Ok(history);
        };
        let mut evaluated =
            history.by_grouping.iter().take(request.evaluated).flat_map(BTreeMap::values);
        if evaluated.all(|timeline| attempts_until(timeline, first) >= needed)
            && !part.has_other_older_scopes(&history, request.evaluated)?
        {
            return Ok(history);
        }
        lookback = lookback.saturating_mul(LOOKBACK_FACTOR);
    }
}

/// Returns the history of a part, with individual times of all days in which a window starts or ends.
fn exact_history(
    part: &mut HistoryPart<'_>,
    request: &LoadRequest<'_>,
) -> Result<History, AnalyzeError> {
    let LoadRequest { windows, ends, .. } = *request;
    let mut exact = if ends.len() > EXACT_ENDS_MAX {
        ExactHours::All
    } else {
        let start = |end: i64, window: &Window| match window.span() {
            WindowSpan::Millis(ms) => Some(end.saturating_sub(ms)),
            WindowSpan::Attempts(_) => None,
        };
        let starts = ends.iter().flat_map(|end| windows.iter().filter_map(|one| start(*end, one)));
        ExactHours::of(ends.iter().copied().chain(starts))
    };
    loop {
        let history = part.history(&exact)?;
        let mut are_pairs_needed = false;
        // only now the start of a volume window is known, and the boundaries that depend on it
        let (mut hours, mut times) = (Vec::new(), Vec::new());
        for timeline in history.by_grouping.iter().flat_map(BTreeMap::values) {
            for window in windows {
                for end in ends {
                    are_pairs_needed |= needs_pairs(timeline, window, *end);
                    hours.extend(window_start_hours(timeline, window, *end));
                    times.extend((request.boundaries)(timeline, window, *end));
                }
            }
        }
        if are_pairs_needed && !part.has_pairs() {
            part.load_pairs()?;
        } else if !(exact.add_hours(hours) | exact.add_times(times)) {
            return Ok(history);
        }
    }
}
