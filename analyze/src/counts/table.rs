//! All rows of counts, each scope and window once. No I/O.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bouncewatch_schemas::time::format_ms;

use crate::counts::error::{CountsError, RowProblem};
use crate::counts::row::{CountsContext, CountsRow, Fields, ScopeCounts, counts_row};
use crate::timeline::{ACCOUNT_COLUMNS, Dimension, Grouping, ScopeValues, Window, WindowSpan};

/// Maximum number of rows, to limit memory.
const ROWS_MAX: usize = 1_000_000;

/// Position of a window in output: durations by length, then numbers of attempts.
type WindowOrder = (bool, u64, String);

/// Counts of one scope and window, with the number of their line or row.
#[derive(Debug)]
pub(super) struct NumberedCounts {
    number: u64,
    pub(super) window: Window,
    pub(super) counts: ScopeCounts,
}

/// Counts by scope and window.
pub(super) type CountsByScope = BTreeMap<(ScopeValues, WindowOrder), NumberedCounts>;

/// Counts of all scopes and windows. All windows end at the same time.
#[derive(Debug)]
pub struct Counts {
    /// Accounts first, then each grouping below them in the order of the rows.
    pub(super) groupings: Vec<(Grouping, CountsByScope)>,
    /// End of the windows, epoch milliseconds.
    pub to: i64,
    /// Time of the newest event, epoch milliseconds.
    pub newest_event_at: i64,
}

impl Counts {
    /// Returns the windows: durations by length, then numbers of attempts.
    pub fn windows(&self) -> Vec<Window> {
        let all = self.groupings.iter().flat_map(|(_, scopes)| scopes);
        let windows: BTreeMap<&WindowOrder, &Window> =
            all.map(|((_, order), one)| (order, &one.window)).collect();
        windows.into_values().cloned().collect()
    }

    /// Returns the groupings below account and region.
    pub fn groupings(&self) -> Vec<Grouping> {
        self.groupings.iter().skip(1).map(|(grouping, _)| grouping.clone()).collect()
    }

    /// Number of rows with more bounces or complaints than attempts.
    pub fn above_attempts(&self) -> usize {
        let all = self.groupings.iter().flat_map(|(_, scopes)| scopes.values());
        let counts = all.map(|one| one.counts.measured.counts);
        counts
            .filter(|counts| {
                counts.attempts.is_some_and(|n| counts.bounces.max(counts.complaints) > n)
            })
            .count()
    }
}

/// Collects rows one by one.
pub(super) struct CountsBuilder {
    context: CountsContext,
    unit: &'static str,
    counts: Counts,
    rows: usize,
}

impl CountsBuilder {
    /// Returns a builder without rows. `unit` is `line` or `row`, for errors.
    pub(super) fn new(unit: &'static str, context: CountsContext) -> Self {
        let groupings = vec![(Grouping::account(), CountsByScope::new())];
        let counts = Counts { groupings, to: i64::MIN, newest_event_at: i64::MIN };
        Self { context, unit, counts, rows: 0 }
    }

    /// Parses and adds the line or row `number`.
    pub(super) fn add(&mut self, number: u64, fields: &Fields<'_>) -> Result<(), CountsError> {
        let row = counts_row(fields, &self.context);
        row.and_then(|row| self.insert(number, row)).map_err(|problem| self.error(number, problem))
    }

    /// Returns the error of a row.
    pub(super) fn error(&self, number: u64, problem: RowProblem) -> CountsError {
        CountsError::Row { unit: self.unit, number, problem }
    }

    fn insert(&mut self, number: u64, row: CountsRow) -> Result<(), RowProblem> {
        if self.rows == ROWS_MAX {
            return Err(RowProblem::new(
                format!("more than {ROWS_MAX} rows"),
                "use fewer groupings or windows, or split the rows by account",
            ));
        }
        if self.rows > 0 && row.to != self.counts.to {
            return Err(RowProblem::new(
                format!("`to` is not {}, as in the first row", format_ms(self.counts.to)),
                "count all windows up to the same time",
            ));
        }
        self.rows += 1;
        self.counts.to = row.to;
        self.counts.newest_event_at = self.counts.newest_event_at.max(row.newest_event_at);
        let order = window_order(&row.window);
        let (scopes, values) = self.scopes(row.grouping, row.values);
        match scopes.entry((values, order)) {
            Entry::Vacant(entry) => {
                entry.insert(NumberedCounts { number, window: row.window, counts: row.counts });
                Ok(())
            }
            Entry::Occupied(entry) => {
                let first = entry.get().number;
                Err(RowProblem::new(
                    format!("same scope and window as {} {first}", self.unit),
                    "write one row per scope and window; if both rows count different mail, add them up",
                ))
            }
        }
    }

    /// Returns the rows of a grouping, and the values in the order of its dimensions in its first row.
    fn scopes(
        &mut self,
        grouping: Grouping,
        values: ScopeValues,
    ) -> (&mut CountsByScope, ScopeValues) {
        let same = |one: &Grouping| {
            one.0.len() == grouping.0.len() && one.0.iter().all(|part| grouping.0.contains(part))
        };
        let groupings = &mut self.counts.groupings;
        let at = groupings.iter().position(|(one, _)| same(one)).unwrap_or(groupings.len());
        if at == groupings.len() {
            groupings.push((grouping.clone(), CountsByScope::new()));
        }
        let (known, scopes) = &mut groupings[at];
        let mut by_dimension: BTreeMap<Dimension, Option<String>> =
            grouping.0.into_iter().zip(values).collect();
        let values =
            known.0.iter().map(|dimension| by_dimension.remove(dimension).flatten()).collect();
        (scopes, values)
    }

    /// Returns the counts.
    ///
    /// # Errors
    /// If there are no rows, or groups without their account.
    pub(super) fn finish(self) -> Result<Counts, CountsError> {
        if self.rows == 0 {
            return Err(CountsError::Input {
                problem: "no rows of counts".to_owned(),
                hint: "check that the query or job that writes them succeeded",
            });
        }
        let [(_, accounts), groups @ ..] = self.counts.groupings.as_slice() else {
            return Ok(self.counts);
        };
        for ((values, order), one) in groups.iter().flat_map(|(_, scopes)| scopes) {
            let account: ScopeValues = values.iter().take(ACCOUNT_COLUMNS.len()).cloned().collect();
            if !accounts.contains_key(&(account, order.clone())) {
                let problem = RowProblem::new(
                    format!("no row of its account and region in the window {}", one.window),
                    "write a row with an empty `by` for each account, region and window, even if it has no mail",
                );
                return Err(self.error(one.number, problem));
            }
        }
        Ok(self.counts)
    }
}

fn window_order(window: &Window) -> WindowOrder {
    let text = window.to_string();
    match window.span() {
        WindowSpan::Millis(ms) => (false, ms.unsigned_abs(), text),
        WindowSpan::Attempts(n) => (true, n, text),
    }
}
