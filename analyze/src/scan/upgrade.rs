//! Converts rows of format version 1 to the current version: event keys are computed again from the
//! columns. See [`bouncewatch_schemas::identity`].

use std::borrow::Cow;

use bouncewatch_schemas::address::{normalise, normalise_domain};
use bouncewatch_schemas::identity::EventIdentity;
use bouncewatch_schemas::table;
use polars::chunked_array::cast::CastOptions;
use polars::prelude::*;

/// Returns rows of version 1 as rows of the current version.
pub(super) fn upgrade(rows: LazyFrame) -> LazyFrame {
    let address =
        |text: &str| normalise(Cow::Borrowed(text)).unwrap_or(Cow::Borrowed(text)).into_owned();
    let domain = |text: &str| normalise_domain(text).into_owned();
    rows.with_columns([
        upgraded_event_key(),
        signed(table::MESSAGE_KEY),
        map_texts(table::RECIPIENT, address),
        map_texts(table::SOURCE, address),
        map_texts(table::RECIPIENT_DOMAIN, domain),
        map_texts(table::SOURCE_DOMAIN, domain),
    ])
}

/// A column of unsigned hashes as signed integers with the same bits.
pub(super) fn signed(column: &str) -> Expr {
    col(column).cast_with_options(DataType::Int64, CastOptions::Overflowing)
}

/// Event key of the current version, of rows of version 1.
fn upgraded_event_key() -> Expr {
    let arguments = [
        col(table::MESSAGE_KEY),
        col(table::EVENT_AT).cast(DataType::Int64),
        col(table::SERVICE),
        col(table::KIND),
        col(table::RECIPIENT),
        col(table::FEEDBACK_ID),
        col(table::BOUNCE_TYPE),
        col(table::DELAY_TYPE),
        col(table::LINK),
    ];
    let keys = |columns: &mut [Column]| {
        let [keys, messages, times, texts @ ..] = columns else {
            polars_bail!(ComputeError: "too few columns")
        };
        let (keys, messages, times) = (keys.u64()?, messages.u64()?, times.i64()?);
        let texts = texts.iter().map(|column| column.str()).collect::<PolarsResult<Vec<_>>>()?;
        let mut buffer = Vec::new();
        let mut upgraded = |row: usize| {
            let text = |at: usize| texts.get(at).and_then(|column| column.get(row));
            let identity = EventIdentity {
                message_key: messages.get(row)?,
                event_at: times.get(row)?,
                service: text(0)?,
                kind: text(1)?,
                recipient: text(2),
                feedback_id: text(3),
                bounce_type: text(4),
                delay_type: text(5),
                link: text(6),
            };
            Some(identity.upgrade_key(keys.get(row)?, &mut buffer).cast_signed())
        };
        let upgraded = (0..keys.len()).map(&mut upgraded);
        Ok(Int64Chunked::from_iter_options(keys.name().clone(), upgraded).into_column())
    };
    let field =
        |_: &Schema, fields: &[Field]| Ok(Field::new(fields[0].name.clone(), DataType::Int64));
    col(table::EVENT_KEY).map_many(keys, &arguments, field)
}

/// A text column with each text replaced.
fn map_texts(column: &str, change: impl Fn(&str) -> String + Send + Sync + 'static) -> Expr {
    let changed = move |column: Column| {
        let texts = column.str()?;
        if texts.iter().flatten().all(|text| change(text) == text) {
            return Ok(column);
        }
        let changed = texts.iter().map(|text| text.map(&change));
        Ok(StringChunked::from_iter_options(column.name().clone(), changed).into_column())
    };
    col(column).map(changed, |_, field| Ok(field.clone()))
}
