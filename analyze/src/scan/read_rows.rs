//! Reads rows of the event table from polars frames.

use std::collections::HashMap;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::DAY_MS;
use foldhash::fast::RandomState;
use polars::chunked_array::cast::CastOptions;
use polars::prelude::*;

use crate::scan::columns::{integers, text_ids};
use crate::scan::event::{ScannedEvent, UNKNOWN_TIME};
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions::{self, OutcomeFields};
use crate::scan::string_interner::StringInterner;
use crate::timeline::Outcome;

/// Name of an optional column: whether [`append_rows`] adds the row. If most rows match, this is
/// faster than a filter, which copies them.
pub(super) const IS_WANTED: &str = "is_wanted";

/// Returns the columns that [`append_rows`] reads in addition to the columns `names`. The outcome of other events than
/// failures depends on their kind only.
pub(super) fn event_columns(names: &[String], has_failures: bool) -> Vec<Expr> {
    let of_failures = |name, data_type| {
        if has_failures { col(name) } else { expressions::no_value(name, data_type) }
    };
    let mut columns = vec![
        col(table::MESSAGE_KEY),
        col(table::EVENT_KEY),
        col(table::EVENT_AT).cast(DataType::Int64),
        col(table::SENT_AT).cast(DataType::Int64),
        of_failures(table::COUNTS, DataType::Boolean),
    ];
    columns.extend(texts_of_outcomes(names).map(|name| match name {
        table::KIND => col(name),
        _ => of_failures(name, DataType::String),
    }));
    columns
}

/// Returns the same columns for rows of a day that have only a message and the columns `names`.
pub(super) fn value_columns(names: &[String], day: i64) -> Vec<Expr> {
    // without the cast, polars narrows the type of small numbers
    let constant = |number: i64, name| lit(number).cast(DataType::Int64).alias(name);
    let mut columns = vec![
        col(table::MESSAGE_KEY),
        constant(0, table::EVENT_KEY),
        constant(day.saturating_mul(DAY_MS), table::EVENT_AT),
        expressions::no_value(table::SENT_AT, DataType::Int64),
        expressions::no_value(table::COUNTS, DataType::Boolean),
    ];
    let further = texts_of_outcomes(names);
    columns.extend(further.map(|name| expressions::no_value(name, DataType::String)));
    columns
}

/// Returns the text columns that decide on the outcome of a row, other than the columns `names`.
fn texts_of_outcomes(names: &[String]) -> impl Iterator<Item = &'static str> {
    let is_further = |name: &&str| !names.iter().any(|known| known == name);
    OutcomeFields::TEXT_COLUMNS.into_iter().filter(is_further)
}

/// Appends the wanted rows of a frame, with the texts of the columns `names`. `fields` is called for each row.
pub(super) fn append_rows<F: RowFields>(
    frame: &DataFrame,
    names: &[String],
    service: Service,
    rows: &mut EventRows<F>,
    mut fields: impl FnMut(ScannedEvent) -> F,
) -> PolarsResult<()> {
    let wanted = wanted_rows(frame)?;
    let number_of = |name, missing| integers(frame.column(name)?.i64()?, missing);
    let messages = number_of(table::MESSAGE_KEY, 0)?;
    let keys = number_of(table::EVENT_KEY, 0)?;
    let times = number_of(table::EVENT_AT, 0)?;
    let sent = number_of(table::SENT_AT, UNKNOWN_TIME)?;
    let events = messages.into_iter().zip(keys).zip(times.into_iter().zip(sent));
    let events = events.zip(outcomes(frame, service)?);
    let events = events.map(|(((message, key), (at, sent_at)), outcome)| {
        let (message, key) = (message.cast_unsigned(), key.cast_unsigned());
        fields(ScannedEvent { message, key, at, sent_at, outcome })
    });
    let mut texts = Vec::with_capacity(names.len());
    for name in names {
        texts.push(frame.column(name)?.str()?);
    }
    rows.extend(only_wanted(events, &wanted), |column, interner| {
        only_wanted(text_ids(texts[column], interner).into_iter(), &wanted).collect()
    });
    Ok(())
}

/// Returns the values of the wanted rows.
fn only_wanted<T>(rows: impl Iterator<Item = T>, wanted: &[bool]) -> impl Iterator<Item = T> {
    rows.zip(wanted).filter_map(|(row, is_wanted)| is_wanted.then_some(row))
}

/// Returns for each row whether it is wanted.
fn wanted_rows(frame: &DataFrame) -> PolarsResult<Vec<bool>> {
    match frame.column(IS_WANTED) {
        Ok(column) => Ok(column.bool()?.iter().map(|is_wanted| is_wanted == Some(true)).collect()),
        Err(_) => Ok(vec![true; frame.height()]),
    }
}

/// Returns the outcome of each row in the rates of a service.
fn outcomes(frame: &DataFrame, service: Service) -> PolarsResult<Vec<Outcome>> {
    let mut texts = StringInterner::default();
    let mut ids = Vec::with_capacity(OutcomeFields::TEXT_COLUMNS.len());
    for name in OutcomeFields::TEXT_COLUMNS {
        ids.push(text_ids(frame.column(name)?.str()?, &mut texts));
    }
    // few combinations of the fields occur: compute the outcome of each only once
    let mut known: HashMap<_, Outcome, RandomState> = HashMap::default();
    let counts = frame.column(table::COUNTS)?.bool()?.iter();
    let outcome = |(row, counts)| {
        let ids: [u32; OutcomeFields::TEXT_COLUMNS.len()] =
            std::array::from_fn(|column| ids[column][row]);
        *known.entry((ids, counts)).or_insert_with(|| {
            let [kind, class, complaint_type, complaint_subtype] = ids.map(|id| texts.get(id));
            OutcomeFields { kind, class, counts, complaint_type, complaint_subtype }
                .outcome(service)
        })
    };
    Ok(counts.enumerate().map(outcome).collect())
}

/// Returns one of `shards` shards of rows. All rows of a message are in the same shard.
pub(super) fn shard_of(rows: LazyFrame, shard: u64, shards: u64) -> LazyFrame {
    if shards == 1 {
        return rows;
    }
    let key = col(table::MESSAGE_KEY).cast_with_options(DataType::UInt64, CastOptions::Overflowing);
    rows.filter((key % lit(shards)).eq(lit(shard)))
}
