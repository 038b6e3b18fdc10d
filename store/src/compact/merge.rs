//! Merging the copies of an event into one row where that loses no information. No I/O.
//!
//! Readers take the earliest time of all copies, and the greatest known value of each other column
//! (invariant I-5). Copies become one row only if they do not conflict, so a reader gets the same
//! result from the merged row. All conflicting copies stay, because it is unknown which of them is
//! right.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::take::take;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;

use crate::upgrade::hashes;

/// How a column of copies is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergeRule {
    /// Values must be equal, null equal to null: together these columns define how the event counts in rates.
    Equal,
    /// Known values must agree; the row takes the known value.
    Known,
    /// The row takes the smallest known value: the earliest time, or the channel with more details.
    Smallest,
    /// The row takes the greatest known value. The column describes how a copy arrived; no result
    /// depends on it.
    Greatest,
}

/// Rule of a column; [`MergeRule::Known`] if it is not listed.
fn rule(column: &str) -> MergeRule {
    match column {
        table::KIND
        | table::SERVICE
        | table::RECIPIENT_DOMAIN
        | table::BOUNCE_TYPE
        | table::BOUNCE_SUBTYPE
        | table::COMPLAINT_TYPE
        | table::COMPLAINT_SUBTYPE
        | table::DELAY_TYPE
        | table::CLASS
        | table::COUNTS
        | table::MESSAGE_KEY
        | table::EVENT_KEY => MergeRule::Equal,
        table::EVENT_AT
        | table::SENT_AT
        | table::PUBLISHED_AT
        | table::RECEIVED_AT
        | table::CHANNEL => MergeRule::Smallest,
        table::ORIGIN | table::FEEDBACK_ID | table::PROCESSING_MS | table::REPORTED_RECIPIENT => {
            MergeRule::Greatest
        }
        _ => MergeRule::Known,
    }
}

/// Rows after their copies were merged.
#[derive(Debug)]
pub(super) struct MergedRows {
    /// The rows, sorted by key.
    pub(super) rows: RecordBatch,
    /// Events that keep several rows because their copies conflict.
    pub(super) conflicts: u64,
}

/// Whether a value is known. A merged row takes the value with the greatest knowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Knowledge {
    /// Null.
    Null,
    /// A provider of `other`: the provider is unknown.
    Other,
    /// A known value.
    Known,
}

/// A column of copies with its rule.
struct MergeColumn<'a> {
    array: &'a ArrayRef,
    rule: MergeRule,
    compare: DynComparator,
    /// Values of the column `provider`, in which `other` means unknown.
    providers: Option<&'a StringArray>,
}

impl<'a> MergeColumn<'a> {
    fn new(name: &str, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let options = SortOptions { descending: false, nulls_first: false };
        Ok(Self {
            array,
            rule: rule(name),
            compare: make_comparator(array, array, options)?,
            providers: (name == table::PROVIDER).then(|| array.as_string_opt()).flatten(),
        })
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        (self.compare)(a, b)
    }

    fn knowledge(&self, row: usize) -> Knowledge {
        if self.array.is_null(row) {
            Knowledge::Null
        } else if self.providers.is_some_and(|values| values.value(row) == provider::OTHER) {
            Knowledge::Other
        } else {
            Knowledge::Known
        }
    }

    /// Whether this column allows merging two rows.
    fn agree(&self, a: usize, b: usize) -> bool {
        let is_known = |row| self.knowledge(row) == Knowledge::Known;
        match self.rule {
            MergeRule::Smallest | MergeRule::Greatest => true,
            MergeRule::Equal => self.order(a, b).is_eq(),
            MergeRule::Known => !is_known(a) || !is_known(b) || self.order(a, b).is_eq(),
        }
    }

    /// Of two rows, the one from which the merged row takes its value.
    fn source(&self, a: usize, b: usize) -> usize {
        let by_knowledge = self.knowledge(a).cmp(&self.knowledge(b));
        let from_b = match self.rule {
            _ if by_knowledge.is_ne() => by_knowledge.is_lt(),
            MergeRule::Smallest => self.order(b, a).is_lt(),
            MergeRule::Greatest => self.order(b, a).is_gt(),
            MergeRule::Equal | MergeRule::Known => false,
        };
        if from_b { b } else { a }
    }
}

/// Merges copies among rows that are sorted by (`message_key`, `event_key`).
///
/// The result does not depend on the order of copies. Merging the result again changes nothing.
/// Merging parts of the rows first loses no values. Events without conflicting copies become
/// exactly one row.
pub(super) fn merge(rows: RecordBatch) -> Result<MergedRows, ArrowError> {
    let runs = runs(&rows)?;
    if runs.len() == rows.num_rows() {
        return Ok(MergedRows { rows, conflicts: 0 });
    }
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns: Vec<MergeColumn<'_>> = columns
        .map(|(field, array)| MergeColumn::new(field.name(), array))
        .collect::<Result<_, _>>()?;
    // source row of each output row; output rows merged from several sources are listed with a source per column
    let mut sources: Vec<u32> = Vec::with_capacity(runs.len());
    let mut merged_rows: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut conflicts = 0;
    for run in runs {
        if run.len() == 1 {
            sources.push(index(run.start)?);
            continue;
        }
        let merged = merge_run(&columns, run);
        conflicts += u64::from(merged.len() > 1);
        for by_column in merged {
            merged_rows.push((sources.len(), by_column));
            sources.push(0);
        }
    }
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        for (row, by_column) in &merged_rows {
            sources[*row] = index(by_column[at])?;
        }
        arrays.push(take(column.array, &UInt32Array::from(sources.clone()), None)?);
    }
    Ok(MergedRows { rows: RecordBatch::try_new(rows.schema(), arrays)?, conflicts })
}

fn index(row: usize) -> Result<u32, ArrowError> {
    u32::try_from(row).map_err(|error| ArrowError::ComputeError(error.to_string()))
}

/// Ranges of rows with the same key: the copies of one event.
fn runs(rows: &RecordBatch) -> Result<Vec<Range<usize>>, ArrowError> {
    let (messages, events) = (hashes(rows, table::MESSAGE_KEY)?, hashes(rows, table::EVENT_KEY)?);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in 0..rows.num_rows() {
        match runs.last_mut() {
            Some(run)
                if (messages[run.start], events[run.start]) == (messages[row], events[row]) =>
            {
                run.end = row + 1;
            }
            _ => runs.push(row..row + 1),
        }
    }
    Ok(runs)
}

/// Merges the copies of one event. Returns the resulting rows: for each, the source row per column.
///
/// Copies are sorted by the columns that must agree, known values first, so that the result does not depend on the
/// order in which they were read. Each copy goes into the first row with which it does not conflict.
fn merge_run(columns: &[MergeColumn<'_>], run: Range<usize>) -> Vec<Vec<usize>> {
    let mut copies: Vec<usize> = run.collect();
    let has_rule = |rule| move |column: &&MergeColumn<'_>| column.rule == rule;
    let sort_columns: Vec<&MergeColumn<'_>> = (columns.iter().filter(has_rule(MergeRule::Equal)))
        .chain(columns.iter().filter(has_rule(MergeRule::Known)))
        .collect();
    copies.sort_by(|a, b| {
        let mut by_column = sort_columns.iter().map(|column| column.order(*a, *b));
        by_column.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    let mut merged: Vec<Vec<usize>> = Vec::new();
    for copy in copies {
        let agrees = |row: &&mut Vec<usize>| {
            columns.iter().zip(row.iter()).all(|(column, source)| column.agree(*source, copy))
        };
        match merged.iter_mut().find(agrees) {
            Some(row) => {
                for (column, source) in columns.iter().zip(row) {
                    *source = column.source(*source, copy);
                }
            }
            None => merged.push(vec![copy; columns.len()]),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
