//! Rows -> one Parquet segment of the event table, zstd, with the format's version in the footer.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMillisecondBuilder, UInt64Builder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};
use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::table::{self, Column, ColumnType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::error::StoreError;

/// Rows of one row group: small enough to skip, large enough to compress.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes of a page before it is packed, and of a dictionary: what a column holds while it is written, and its packer six
/// times that.
const PAGE_BYTES: usize = 24 * 1024;
const DICTIONARY_BYTES: usize = 64 * 1024;
/// Rows of a page: a column with a dictionary holds eight bytes for each until the page is full.
const PAGE_ROWS: usize = 6 * 1024;
/// Rows after which a page is looked at, so that few are larger than they should be.
const PAGE_STEP_ROWS: usize = 128;
/// zstd's fastest level: further ones cost more time than they save room.
const ZSTD_LEVEL: i32 = 1;
/// Columns whose values hardly repeat: a dictionary would only cost time.
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
/// Columns by which readers skip row groups. The least and the greatest text of a group tell nobody anything.
const WITH_STATISTICS: [&str; 4] =
    [table::EVENT_AT, table::RECEIVED_AT, table::MESSAGE_KEY, table::EVENT_KEY];

fn tag_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Utf8, true),
    ])
}

fn tag_item() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(tag_fields()), true))
}

fn data_type(column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::Text => DataType::Utf8,
        ColumnType::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Hash => DataType::UInt64,
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Tags => DataType::List(tag_item()),
    }
}

pub(super) fn schema(columns: &[Column]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(column.name, data_type(column.column_type), column.nullable))
        .collect();
    Arc::new(Schema::new(fields))
}

/// Builds the columns of a table, row by row. Rows are encoded in portions: an encoded row takes a tenth of the room.
pub(super) struct TableBuilder {
    table: &'static str,
    schema: SchemaRef,
    /// None, while there are no rows: a day to which nothing comes holds no room for what may come.
    columns: Vec<ColumnBuilder>,
    rooms: Vec<Room>,
    /// Rows in `columns`.
    rows: usize,
    /// Rows in `writer`.
    encoded: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
}

/// The room that a column finds when it begins: as much as its last values took, and a little more. Growing is what
/// a column costs most, and most columns stay empty in most segments.
#[derive(Clone, Copy)]
struct Room {
    column_type: ColumnType,
    values: usize,
    bytes: usize,
}

/// Builds a column. No trait object: a row has a value for each of its columns, and most of them are null.
enum ColumnBuilder {
    Text(StringBuilder),
    Time(TimestampMillisecondBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Hash(UInt64Builder),
    Bool(BooleanBuilder),
    Tags(TagsBuilder),
    Bytes(BinaryBuilder),
}

impl ColumnBuilder {
    fn new(room: Room) -> Self {
        let Room { column_type, values, bytes } = room;
        match column_type {
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(values, bytes)),
            ColumnType::Time => {
                Self::Time(TimestampMillisecondBuilder::with_capacity(values).with_timezone("UTC"))
            }
            ColumnType::Int32 => Self::Int32(Int32Builder::with_capacity(values)),
            ColumnType::Int64 => Self::Int64(Int64Builder::with_capacity(values)),
            ColumnType::Hash => Self::Hash(UInt64Builder::with_capacity(values)),
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(values)),
            ColumnType::Tags => Self::Tags(TagsBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::with_capacity(values, bytes)),
        }
    }

    fn finish(self, room: &mut Room) -> ArrayRef {
        let more = |length: usize| length + length / 8;
        room.bytes = match &self {
            Self::Text(builder) => more(builder.values_slice().len()),
            Self::Bytes(builder) => more(builder.values_slice().len()),
            _ => 0,
        };
        let array: ArrayRef = match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Hash(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Tags(builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        };
        room.values = more(array.len());
        array
    }
}

/// Builds lists of {key, value}.
struct TagsBuilder {
    keys: StringBuilder,
    values: StringBuilder,
    lengths: OffsetBufferBuilder<i32>,
    known: NullBufferBuilder,
}

impl TagsBuilder {
    fn new() -> Self {
        Self {
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            lengths: OffsetBufferBuilder::new(0),
            known: NullBufferBuilder::new(0),
        }
    }

    fn append<'t, T: AsRef<str> + 't>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'t T, &'t T)>,
        is_known: bool,
    ) {
        self.lengths.push_length(entries.len());
        self.known.append(is_known);
        for (key, value) in entries {
            self.keys.append_value(key.as_ref());
            self.values.append_value(value.as_ref());
        }
    }

    fn finish(mut self) -> ListArray {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::new(tag_fields(), columns, None);
        let lengths = self.lengths.finish();
        ListArray::new(tag_item(), lengths, Arc::new(entries), self.known.finish())
    }
}

/// Writes the values of one row in the order of the table's columns.
pub(super) struct RowWriter<'a> {
    columns: std::slice::IterMut<'a, ColumnBuilder>,
}

/// The builder of the column that comes next, which has the type that its table says.
macro_rules! next {
    ($writer:ident, $variant:ident) => {
        match $writer.columns.next() {
            Some(ColumnBuilder::$variant(builder)) => builder,
            _ => unreachable!("a row has a value of the right type for each column of its table"),
        }
    };
}

impl RowWriter<'_> {
    pub(super) fn text(&mut self, value: Option<&str>) -> &mut Self {
        next!(self, Text).append_option(value);
        self
    }

    pub(super) fn time(&mut self, value: Option<i64>) -> &mut Self {
        next!(self, Time).append_option(value);
        self
    }

    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        next!(self, Bytes).append_value(value);
        self
    }

    fn int32(&mut self, value: Option<i32>) -> &mut Self {
        next!(self, Int32).append_option(value);
        self
    }

    pub(super) fn int64(&mut self, value: Option<i64>) -> &mut Self {
        next!(self, Int64).append_option(value);
        self
    }

    pub(super) fn hash(&mut self, value: u64) -> &mut Self {
        next!(self, Hash).append_value(value);
        self
    }

    fn bool(&mut self, value: bool) -> &mut Self {
        next!(self, Bool).append_value(value);
        self
    }

    /// Tags; null, where there are none.
    fn tags<T: AsRef<str>>(&mut self, tags: &[(T, T)]) -> &mut Self {
        let entries = tags.iter().map(|(key, value)| (key, value));
        next!(self, Tags).append(entries, !tags.is_empty());
        self
    }

    /// The words of a scope; a list that is empty, where there are none.
    pub(super) fn scope(&mut self, scope: &BTreeMap<String, String>) -> &mut Self {
        next!(self, Tags).append(scope.iter(), true);
        self
    }
}

impl TableBuilder {
    pub(super) fn new(table: &'static str, columns: &[Column]) -> Self {
        Self {
            table,
            schema: schema(columns),
            columns: Vec::new(),
            rooms: columns
                .iter()
                .map(|column| Room { column_type: column.column_type, values: 0, bytes: 0 })
                .collect(),
            rows: 0,
            encoded: 0,
            writer: None,
        }
    }

    pub(super) fn row(&mut self) -> RowWriter<'_> {
        self.begin();
        self.rows += 1;
        RowWriter { columns: self.columns.iter_mut() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows + self.encoded
    }

    /// Makes the columns, if there are none.
    fn begin(&mut self) {
        if self.columns.is_empty() {
            self.columns.extend(self.rooms.iter().copied().map(ColumnBuilder::new));
        }
    }

    /// Encodes the rows so far.
    pub(super) fn encode(&mut self) -> Result<(), StoreError> {
        let build = |error: &dyn std::fmt::Display| StoreError::Build(error.to_string());
        self.begin();
        let columns = self.columns.drain(..).zip(&mut self.rooms);
        let arrays: Vec<ArrayRef> = columns.map(|(column, room)| column.finish(room)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|error| build(&error))?;
        let mut writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let properties = Some(properties(self.table));
            ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), properties)
                .map_err(|error| build(&error))?
        };
        writer.write(&batch).map_err(|error| build(&error))?;
        self.encoded += std::mem::take(&mut self.rows);
        self.writer = Some(writer);
        Ok(())
    }

    /// Adds a value to the footer of encoded rows.
    pub(super) fn note(&mut self, key: &str, value: String) {
        if let Some(writer) = &mut self.writer {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
    }

    /// The finished Parquet file.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        self.encode()?;
        let writer = self.writer.take().expect("rows were encoded");
        writer.into_inner().map_err(|error| StoreError::Build(error.to_string()))
    }
}

pub(super) fn properties(table: &str) -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has");
    let footer = vec![
        KeyValue::new(table::VERSION_KEY.to_owned(), table::FORMAT_VERSION.to_string()),
        KeyValue::new(table::TABLE_KEY.to_owned(), table.to_owned()),
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

/// Collects events of one day and turns them into a segment.
pub struct EventSegment {
    builder: TableBuilder,
    scratch: Vec<u8>,
}

impl std::fmt::Debug for EventSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSegment").field("rows", &self.len()).finish_non_exhaustive()
    }
}

impl Default for EventSegment {
    fn default() -> Self {
        Self { builder: TableBuilder::new(table::EVENTS, table::COLUMNS), scratch: Vec::new() }
    }
}

impl EventSegment {
    /// Rows so far.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row.
    pub fn push(&mut self, row: &EventRow<'_>) {
        let event_key = self.event_key(row);
        self.push_as(row, event_key);
    }

    /// The identity of an event.
    pub fn event_key(&mut self, row: &EventRow<'_>) -> u64 {
        row.event_key(&mut self.scratch)
    }

    /// Adds a row under the identity that it had before its recipient was replaced.
    pub fn push_as(&mut self, row: &EventRow<'_>, event_key: u64) {
        let mut writer = self.builder.row();
        writer
            .text(Some(row.kind.as_str()))
            .text(Some(row.service.as_str()))
            .text(Some(row.channel.as_str()))
            .time(Some(row.event_at))
            .time(row.sent_at)
            .time(row.published_at)
            .time(Some(row.received_at))
            .text(Some(row.message_id))
            .text(row.feedback_id)
            .text(row.recipient)
            .text(row.recipient_domain)
            .text(row.provider)
            .text(row.source)
            .text(row.source_domain)
            .text(row.identity)
            .text(row.configuration_set)
            .text(row.account)
            .text(row.region)
            .text(row.tenant)
            .tags(row.tags)
            .text(row.source_ip)
            .text(row.outgoing_ip)
            .text(row.remote_mta)
            .text(row.reporting_mta)
            .text(row.bounce_type)
            .text(row.bounce_subtype)
            .text(row.complaint_type)
            .text(row.complaint_subtype)
            .text(row.delay_type)
            .text(row.class.map(bouncewatch_schemas::bounce::BounceClass::as_str))
            .bool(row.counts)
            .int32(row.smtp_code.map(i32::from))
            .text(row.enhanced_status)
            .text(row.diagnostic)
            .text(row.cause.map(bouncewatch_schemas::cause::Cause::as_str))
            .text(row.cause_rule)
            .int64(row.processing_ms)
            .time(row.expires_at)
            .text(row.link)
            .text(Some(row.origin))
            .hash(row.message_key())
            .hash(event_key);
        debug_assert!(writer.columns.next().is_none(), "every column has its value");
    }

    /// The finished segment.
    ///
    /// # Errors
    /// If the rows do not make a Parquet file.
    pub fn finish(self) -> Result<Vec<u8>, StoreError> {
        self.builder.finish()
    }

    /// Rows that are not encoded yet.
    pub fn plain_rows(&self) -> usize {
        self.builder.rows
    }

    /// Whether it has a writer, with rows that were encoded.
    pub fn is_encoding(&self) -> bool {
        self.builder.writer.is_some()
    }

    /// Encodes the rows so far, which takes less room.
    ///
    /// # Errors
    /// If the rows do not make a Parquet file.
    pub fn encode(&mut self) -> Result<(), StoreError> {
        self.builder.encode()
    }
}
