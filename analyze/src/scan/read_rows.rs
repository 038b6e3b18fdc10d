//! Reads rows of the event table from polars frames.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use polars::chunked_array::cast::CastOptions;
use polars::prelude::*;

use crate::scan::event::{ScannedEvent, UNKNOWN_TIME};
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions::OutcomeFields;
use crate::timeline::Outcome;

/// Returns the columns that [`append_rows`] reads in addition to the columns `names`.
pub(super) fn event_columns(names: &[String]) -> Vec<Expr> {
    let further = OutcomeFields::TEXT_COLUMNS
        .into_iter()
        .filter(|name| !names.iter().any(|known| known == name));
    let mut columns = vec![
        col(table::MESSAGE_KEY),
        col(table::EVENT_KEY),
        col(table::EVENT_AT).cast(DataType::Int64),
        col(table::SENT_AT).cast(DataType::Int64),
        col(table::COUNTS),
    ];
    columns.extend(further.map(col));
    columns
}

/// Appends the rows of a frame, with the texts of the columns `names`.
pub(super) fn append_rows<F: RowFields>(
    frame: &DataFrame,
    names: &[String],
    service: Service,
    rows: &mut EventRows<F>,
    fields: impl FnMut(ScannedEvent) -> F,
) -> PolarsResult<()> {
    let mut texts = Vec::with_capacity(names.len());
    for name in names {
        texts.push(frame.column(name)?.str()?.iter());
    }
    let messages = frame.column(table::MESSAGE_KEY)?.i64()?.iter();
    let keys = frame.column(table::EVENT_KEY)?.i64()?.iter();
    let times = frame.column(table::EVENT_AT)?.i64()?.iter();
    let sent = frame.column(table::SENT_AT)?.i64()?.iter();
    let events = messages.zip(keys).zip(times.zip(sent)).zip(outcomes(frame, service)?);
    let events = events.map(|(((message, key), (at, sent_at)), outcome)| ScannedEvent {
        message: message.unwrap_or_default().cast_unsigned(),
        key: key.unwrap_or_default().cast_unsigned(),
        at: at.unwrap_or_default(),
        sent_at: sent_at.unwrap_or(UNKNOWN_TIME),
        outcome,
    });
    rows.extend(events.map(fields), texts.into_iter());
    Ok(())
}

/// Returns the outcome of each row in the rates of a service.
fn outcomes(frame: &DataFrame, service: Service) -> PolarsResult<impl Iterator<Item = Outcome>> {
    let mut texts = Vec::with_capacity(OutcomeFields::TEXT_COLUMNS.len());
    for name in OutcomeFields::TEXT_COLUMNS {
        texts.push(frame.column(name)?.str()?.iter());
    }
    let counts = frame.column(table::COUNTS)?.bool()?.iter();
    Ok(counts.map(move |counts| {
        let mut next = texts.iter_mut().map(|texts| texts.next().flatten());
        let mut text = || next.next().flatten();
        let (kind, class, complaint_type, complaint_subtype) = (text(), text(), text(), text());
        OutcomeFields { kind, class, counts, complaint_type, complaint_subtype }.outcome(service)
    }))
}

/// Returns one of `shards` shards of rows. All rows of a message are in the same shard.
pub(super) fn shard_of(rows: LazyFrame, shard: u64, shards: u64) -> LazyFrame {
    if shards == 1 {
        return rows;
    }
    let key = col(table::MESSAGE_KEY).cast_with_options(DataType::UInt64, CastOptions::Overflowing);
    rows.filter((key % lit(shards)).eq(lit(shard)))
}
