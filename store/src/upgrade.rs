//! Converts rows of older format versions to the current format version.
//!
//! Format version 1 stored keys as unsigned integers, computed the key of a complaint without its
//! report, and kept addresses in several spellings. The current keys are computed from the columns.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use bouncewatch_schemas::address::{normalise, normalise_domain};
use bouncewatch_schemas::identity::EventIdentity;
use bouncewatch_schemas::table;

/// Whether a segment of the event table has the columns of format version 1.
pub(crate) fn is_version_1(schema: &Schema) -> bool {
    schema.field_with_name(table::EVENT_KEY).is_ok_and(|key| *key.data_type() == DataType::UInt64)
}

/// Rows with exactly the columns of `schema`, in the current format version. Columns that an older version did not
/// write are null.
pub(crate) fn upgrade(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &FieldRef| {
        let missing = || new_null_array(field.data_type(), rows.num_rows());
        rows.column_by_name(field.name()).map_or_else(missing, signed)
    };
    let mut columns: Vec<ArrayRef> = schema.fields().iter().map(column).collect();
    if is_version_1(&rows.schema()) {
        let keys: ArrayRef = Arc::new(upgraded_keys(rows)?);
        for (field, column) in schema.fields().iter().zip(&mut columns) {
            match field.name().as_str() {
                table::EVENT_KEY => *column = Arc::clone(&keys),
                table::RECIPIENT | table::SOURCE => {
                    *column = map_texts(column, |text| {
                        normalise(Cow::Borrowed(text)).unwrap_or(Cow::Borrowed(text))
                    });
                }
                table::RECIPIENT_DOMAIN | table::SOURCE_DOMAIN => {
                    *column = map_texts(column, normalise_domain);
                }
                _ => {}
            }
        }
    }
    RecordBatch::try_new(SchemaRef::clone(schema), columns)
}

/// Values of a column of hashes, as signed integers.
pub(crate) fn hashes(rows: &RecordBatch, column: &str) -> Result<ScalarBuffer<i64>, ArrowError> {
    rows.column_by_name(column)
        .map(signed)
        .and_then(|array| array.as_primitive_opt::<Int64Type>().map(|keys| keys.values().clone()))
        .ok_or_else(|| ArrowError::SchemaError(format!("no hash column `{column}`")))
}

/// Returns a column, in which unsigned integers become signed integers with the same bits, without
/// a copy.
fn signed(column: &ArrayRef) -> ArrayRef {
    match column.as_primitive_opt::<UInt64Type>() {
        None => Arc::clone(column),
        Some(array) => {
            let bits = ScalarBuffer::new(array.values().inner().clone(), 0, array.len());
            Arc::new(Int64Array::new(bits, array.nulls().cloned()))
        }
    }
}

/// Computes the current event keys of rows of format version 1.
fn upgraded_keys(rows: &RecordBatch) -> Result<Int64Array, ArrowError> {
    let missing = |name: &str| ArrowError::SchemaError(format!("no column `{name}`"));
    let text_column = |name: &str| {
        let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.ok_or_else(|| missing(name))
    };
    let (kinds, services) = (text_column(table::KIND)?, text_column(table::SERVICE)?);
    let (recipients, feedback_ids) =
        (text_column(table::RECIPIENT)?, text_column(table::FEEDBACK_ID)?);
    let (bounce_types, delay_types) =
        (text_column(table::BOUNCE_TYPE)?, text_column(table::DELAY_TYPE)?);
    let links = text_column(table::LINK)?;
    let times = rows
        .column_by_name(table::EVENT_AT)
        .and_then(|column| column.as_primitive_opt::<TimestampMillisecondType>())
        .ok_or_else(|| missing(table::EVENT_AT))?;
    let (messages, keys) = (hashes(rows, table::MESSAGE_KEY)?, hashes(rows, table::EVENT_KEY)?);
    let mut buffer = Vec::new();
    let upgraded = |row: usize| {
        let identity = EventIdentity {
            message_key: messages[row].cast_unsigned(),
            service: services.value(row),
            kind: kinds.value(row),
            recipient: text(recipients, row),
            event_at: times.value(row),
            feedback_id: text(feedback_ids, row),
            bounce_type: text(bounce_types, row),
            delay_type: text(delay_types, row),
            link: text(links, row),
        };
        identity.upgrade_key(keys[row].cast_unsigned(), &mut buffer).cast_signed()
    };
    Ok((0..rows.num_rows()).map(upgraded).collect::<Vec<i64>>().into())
}

fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}

/// Applies `change` to each text of a column. Returns the same column if no text changes.
fn map_texts(column: &ArrayRef, change: impl Fn(&str) -> Cow<'_, str>) -> ArrayRef {
    let Some(texts) = column.as_string_opt::<i32>() else { return Arc::clone(column) };
    if texts.iter().flatten().all(|text| change(text) == text) {
        return Arc::clone(column);
    }
    Arc::new(texts.iter().map(|text| text.map(&change)).collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use arrow_array::{TimestampMillisecondArray, UInt64Array};

    use super::*;
    use crate::schema::table_schema;

    /// One row of format version 1, with a bounce.
    fn version_1(recipient: &str, domain: &str) -> RecordBatch {
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let key = |key: u64| Arc::new(UInt64Array::from(vec![key])) as ArrayRef;
        let times = TimestampMillisecondArray::from(vec![1_763_544_000_000]).with_timezone("UTC");
        let none = || new_null_array(&DataType::Utf8, 1);
        let columns: [(&str, ArrayRef); 14] = [
            (table::MESSAGE_KEY, key(7)),
            (table::EVENT_KEY, key(u64::MAX)),
            (table::EVENT_AT, Arc::new(times)),
            (table::KIND, text("bounce")),
            (table::SERVICE, text("ses")),
            (table::RECIPIENT, text(recipient)),
            (table::RECIPIENT_DOMAIN, text(domain)),
            (table::SOURCE, text(recipient)),
            (table::SOURCE_DOMAIN, text(domain)),
            (table::MESSAGE_ID, text("m")),
            (table::FEEDBACK_ID, none()),
            (table::BOUNCE_TYPE, text("Permanent")),
            (table::DELAY_TYPE, none()),
            (table::LINK, none()),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    #[test]
    fn addresses_and_domains_of_version_1_get_their_normal_form() {
        let rows = version_1("\"jane\"@B\u{fc}cher.example", "b\u{fc}cher.example");
        let all = table_schema(table::EVENTS);
        let is_written = |field: &&FieldRef| rows.column_by_name(field.name()).is_some();
        let fields: Vec<FieldRef> = all.fields().iter().filter(is_written).cloned().collect();
        let upgraded = upgrade(&rows, &Arc::new(Schema::new(fields))).unwrap();
        let expected = "jane@xn--bcher-kva.example";
        for (column, expected) in [
            (table::RECIPIENT, expected),
            (table::SOURCE, expected),
            (table::RECIPIENT_DOMAIN, "xn--bcher-kva.example"),
            (table::SOURCE_DOMAIN, "xn--bcher-kva.example"),
            (table::MESSAGE_ID, "m"),
        ] {
            let texts = upgraded.column_by_name(column).unwrap().as_string::<i32>();
            assert_eq!(texts.value(0), expected, "{column}");
        }
        let keys = hashes(&upgraded, table::EVENT_KEY).unwrap();
        assert_ne!(keys[0], -1, "the key of version 1");
        assert_eq!(hashes(&upgraded, table::MESSAGE_KEY).unwrap()[0], 7);
    }
}
