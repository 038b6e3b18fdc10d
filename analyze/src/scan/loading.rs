//! How far back history must be loaded for windows, and which of its days must be known time by time.

use std::collections::BTreeMap;

use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::error::AnalyzeError;
use crate::scan::{Exact, History, Look, Part, Scan};
use crate::timeline::model::Timeline;
use crate::timeline::windows::{Span, Window, attempts_until, edge, wants_pairs};

/// How much further back each try looks for the attempts of a volume window.
const FURTHER: i64 = 4;
/// Days that the first try looks back for them.
const FIRST_DAYS: i64 = 8;
/// Ends of windows beyond which every day is known time by time.
const EXACT_ENDS_MAX: usize = 400;

/// What is asked of history.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// How it is looked at.
    pub(crate) look: Look<'a>,
    /// How many of the cuts have windows; the others are only looked at beside them.
    pub(crate) asked: usize,
    pub(crate) windows: &'a [Window],
    /// When windows end, in order.
    pub(crate) ends: &'a [i64],
    /// Further moments at which something begins, of a window that ends at a moment.
    pub(crate) moments: &'a dyn Fn(&Timeline, &Window, i64) -> Vec<i64>,
    /// How far before the first end something begins at least.
    pub(crate) back: i64,
}

/// Loads history that holds every window. A volume window begins where a scope's attempts say; so history is loaded
/// further back until every scope that there is has enough of them, or nothing older exists.
pub(crate) fn load(scan: &Scan, wanted: &Wanted<'_>) -> Result<History, AnalyzeError> {
    let (first, last) = match wanted.ends {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => return Err(AnalyzeError::Span("no window ends in this span".to_owned())),
    };
    let mut longest = wanted.back;
    let mut most = None;
    for window in wanted.windows {
        match window.span() {
            Span::Millis(ms) => longest = longest.max(ms),
            Span::Attempts(n) => most = most.max(Some(n)),
        }
    }
    let mut back = if most.is_some() { longest.max(FIRST_DAYS * DAY_MS) } else { longest };
    loop {
        let mut part = Part::new(scan, wanted.look, first.saturating_sub(back), last)?;
        let history = exact_history(&mut part, wanted)?;
        let all = || history.cuts.iter().take(wanted.asked).flat_map(BTreeMap::values);
        let enough =
            |timeline: &Timeline| most.is_none_or(|n| attempts_until(timeline, first) >= n);
        let nothing_older = part.is_all() || most.is_none();
        if nothing_older
            || (all().all(enough) && !part.older_scopes_differ(&history, wanted.asked)?)
        {
            return Ok(history);
        }
        back = back.saturating_mul(FURTHER);
    }
}

/// The history of a part in which every window is exact.
fn exact_history(part: &mut Part<'_>, wanted: &Wanted<'_>) -> Result<History, AnalyzeError> {
    let Wanted { windows, ends, .. } = *wanted;
    let mut exact = if ends.len() > EXACT_ENDS_MAX {
        Exact::All
    } else {
        let begin = |end: i64, window: &Window| match window.span() {
            Span::Millis(ms) => Some(end.saturating_sub(ms)),
            Span::Attempts(_) => None,
        };
        let begins = ends.iter().flat_map(|end| windows.iter().filter_map(|one| begin(*end, one)));
        Exact::of(ends.iter().copied().chain(begins))
    };
    loop {
        let history = part.history(&exact)?;
        let each = |timeline: &Timeline, see: &mut dyn FnMut(&Timeline, &Window, i64)| {
            for window in windows {
                for end in ends {
                    see(timeline, window, *end);
                }
            }
        };
        let mut wants = false;
        // where a volume window begins is known only now, and so is what begins with it
        let mut days = Vec::new();
        for timeline in history.cuts.iter().flat_map(BTreeMap::values) {
            each(timeline, &mut |timeline, window, end| {
                wants |= wants_pairs(timeline, window, end);
                days.extend(edge(timeline, window, end));
                let moments = (wanted.moments)(timeline, window, end);
                days.extend(moments.into_iter().map(day_of));
            });
        }
        if wants && !part.has_pairs() {
            part.load_pairs()?;
        } else if !exact.add(days) {
            return Ok(history);
        }
    }
}
