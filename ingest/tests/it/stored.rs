//! A store's rows as JSON objects, so that tests can compare them with data.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMillisecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bouncewatch_schemas::table::{self, ColumnType};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::Store;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value, json};

/// All rows of the event table.
pub(crate) async fn rows(store: &Path) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for segment in Store::in_folder(store).unwrap().segments(table::EVENTS).await.unwrap() {
        let file = std::fs::File::open(store.join(segment.path.as_ref())).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            rows.extend((0..batch.num_rows()).map(|row| object(&batch, row)));
        }
    }
    rows
}

fn object(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let value = |column: &table::Column| {
        let array = batch.column_by_name(column.name).unwrap();
        if array.is_null(row) {
            return Value::Null;
        }
        match column.column_type {
            ColumnType::Text => json!(array.as_string::<i32>().value(row)),
            ColumnType::Time => {
                json!(format_ms(array.as_primitive::<TimestampMillisecondType>().value(row)))
            }
            ColumnType::Int32 => json!(array.as_primitive::<Int32Type>().value(row)),
            ColumnType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
            ColumnType::Hash => json!(array.as_primitive::<UInt64Type>().value(row)),
            ColumnType::Bool => json!(array.as_boolean().value(row)),
            ColumnType::Bytes => json!(array.as_binary::<i32>().value(row)),
            ColumnType::Tags => tags(&array.as_list::<i32>().value(row)),
        }
    };
    table::COLUMNS.iter().map(|column| (column.name.to_owned(), value(column))).collect()
}

fn tags(list: &dyn Array) -> Value {
    let entries = list.as_struct();
    let text = |at: usize, row: usize| entries.column(at).as_string::<i32>().value(row).to_owned();
    let mut pairs: Vec<(String, String)> =
        (0..entries.len()).map(|row| (text(0, row), text(1, row))).collect();
    pairs.sort();
    pairs.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}
