//! Stored rows as JSON objects, for comparison with expected data.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bouncewatch_schemas::table::{self, Column, ColumnType};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::Store;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

/// All rows of the event table.
pub(crate) async fn rows(store: &Path) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for segment in Store::in_folder(store).unwrap().segments(table::EVENTS).await.unwrap() {
        rows.extend(rows_of_file(&store.join(segment.path.as_ref()), table::COLUMNS));
    }
    rows
}

/// All rows of a segment with the given columns.
pub(crate) fn rows_of_file(path: &Path, columns: &[Column]) -> Vec<Map<String, Value>> {
    let file = std::fs::File::open(path).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    let rows = batches
        .iter()
        .flat_map(|batch| (0..batch.num_rows()).map(move |row| object(batch, row, columns)));
    rows.collect()
}

fn object(batch: &RecordBatch, row: usize, columns: &[Column]) -> Map<String, Value> {
    let value = |column: &Column| {
        // a segment of an older format version can lack a column
        let Some(array) = batch.column_by_name(column.name).filter(|array| array.is_valid(row))
        else {
            return Value::Null;
        };
        match column.column_type {
            ColumnType::Text => json!(array.as_string::<i32>().value(row)),
            ColumnType::Time => {
                json!(format_ms(array.as_primitive::<TimestampMillisecondType>().value(row)))
            }
            ColumnType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
            ColumnType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Hash => match array.as_primitive_opt::<UInt64Type>() {
                Some(unsigned) => json!(unsigned.value(row)),
                None => json!(array.as_primitive::<Int64Type>().value(row)),
            },
            ColumnType::Bool => json!(array.as_boolean().value(row)),
            ColumnType::Bytes => json!(array.as_binary::<i32>().value(row)),
            ColumnType::Tags => tags(&array.as_list::<i32>().value(row)),
        }
    };
    columns.iter().map(|column| (column.name.to_owned(), value(column))).collect()
}

fn tags(list: &dyn Array) -> Value {
    let entries = list.as_struct();
    let text = |at: usize, row: usize| entries.column(at).as_string::<i32>().value(row).to_owned();
    let mut pairs: Vec<(String, String)> =
        (0..entries.len()).map(|row| (text(0, row), text(1, row))).collect();
    pairs.sort();
    pairs.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}
