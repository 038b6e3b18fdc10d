//! Arrow schemas and Parquet writer settings of the tables.

use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use bouncewatch_schemas::table::{self, Column, ColumnType};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::checksum;

/// Rows per row group: small enough that readers can skip groups, large enough to compress well.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes of a page before compression. A column buffers one page during writing; its compressor
/// needs six times as much memory.
const PAGE_BYTES: usize = 24 * 1024;
const DICTIONARY_BYTES: usize = 64 * 1024;
/// Rows per page: a column with a dictionary buffers 8 bytes per row until the page is full.
const PAGE_ROWS: usize = 6 * 1024;
/// Rows between two checks of the page size. A small step keeps pages close to [`PAGE_BYTES`].
const PAGE_STEP_ROWS: usize = 128;
/// Fastest level of zstd. Higher levels cost more time than they save space.
const ZSTD_LEVEL: i32 = 1;
/// Columns in which almost all values are distinct: a dictionary costs time and saves no space.
const WITHOUT_DICTIONARY: [&str; 8] = [
    table::EVENT_AT,
    table::SENT_AT,
    table::PUBLISHED_AT,
    table::MESSAGE_ID,
    table::FEEDBACK_ID,
    table::RECIPIENT,
    table::MESSAGE_KEY,
    table::EVENT_KEY,
];
/// Columns with minimum and maximum statistics. Readers use them to skip row groups;
/// [`table::CHANNEL`] shows whether a segment can contain identity feedback. No reader uses
/// statistics of other columns.
const WITH_STATISTICS: [&str; 5] =
    [table::EVENT_AT, table::RECEIVED_AT, table::MESSAGE_KEY, table::EVENT_KEY, table::CHANNEL];

/// Fields of a tag: key and value.
pub(crate) fn tag_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Utf8, true),
    ])
}

/// Item of a list of tags.
pub(crate) fn tag_item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(tag_fields()), true))
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 | ColumnType::Hash => DataType::Int64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Tags => DataType::List(tag_item()),
    }
}

/// Arrow schema of columns.
pub(crate) fn schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(column.name, data_type(column.column_type), column.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Arrow schema of a table with day folders: `events` or `quarantine`.
pub(crate) fn table_schema(table: &str) -> SchemaRef {
    schema(if table == table::EVENTS { table::COLUMNS } else { table::QUARANTINE_COLUMNS })
}

/// Parquet writer settings of a table, with format version, table and placeholders for the
/// checksums in the footer.
pub(crate) fn properties(table: &str) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("zstd supports the level");
    let [of_file, of_footer] = checksum::placeholders();
    let footer = vec![
        KeyValue::new(table::VERSION_KEY.to_owned(), table::FORMAT_VERSION.to_string()),
        KeyValue::new(table::TABLE_KEY.to_owned(), table.to_owned()),
        of_file,
        of_footer,
    ];
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_STEP_ROWS)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_key_value_metadata(Some(footer))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(concat!("bouncewatch ", env!("CARGO_PKG_VERSION")).to_owned());
    let properties = WITHOUT_DICTIONARY.iter().fold(properties, |properties, column| {
        properties.set_column_dictionary_enabled(ColumnPath::from(*column), false)
    });
    WITH_STATISTICS
        .iter()
        .fold(properties, |properties, column| {
            let column = ColumnPath::from(*column);
            properties.set_column_statistics_enabled(column, EnabledStatistics::Chunk)
        })
        .build()
}

/// Sort order of a compacted segment of the event table: `message_key`, then `event_key`.
pub(crate) fn key_order() -> Vec<SortingColumn> {
    let leaves = |column: &Column| if column.column_type == ColumnType::Tags { 2 } else { 1 };
    let sorting_column = |name: &str| {
        let before = table::COLUMNS.iter().take_while(|column| column.name != name);
        let column_idx = before.map(leaves).sum();
        SortingColumn { column_idx, descending: false, nulls_first: false }
    };
    vec![sorting_column(table::MESSAGE_KEY), sorting_column(table::EVENT_KEY)]
}
