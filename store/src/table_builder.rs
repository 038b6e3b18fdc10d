//! Building the rows of a table in memory, and encoding them as Parquet.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMillisecondBuilder,
};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBufferBuilder};
use arrow_schema::SchemaRef;
use bouncewatch_schemas::table::{Column, ColumnType};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;

use crate::checksum;
use crate::chunk_checksums::ChunkChecksums;
use crate::error::StoreError;
use crate::schema::{properties, schema, tag_fields, tag_item};

/// Builds a table row by row. Rows are encoded in portions: an encoded row takes a tenth of the memory.
pub(crate) struct TableBuilder {
    table: &'static str,
    schema: SchemaRef,
    /// Empty while there are no rows: a day without rows reserves no memory.
    columns: Vec<ColumnBuilder>,
    capacities: Vec<ColumnCapacity>,
    /// Rows in `columns`.
    rows: usize,
    /// Rows in `writer`.
    encoded: usize,
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Whether adding or encoding rows has started and not ended. Stays true after a panic.
    is_incomplete: bool,
}

/// Initial capacity of a column: the size of its previous portion plus 12.5 %. Growing is the main cost of a column,
/// and most columns stay empty in most segments.
#[derive(Clone, Copy)]
struct ColumnCapacity {
    column_type: ColumnType,
    values: usize,
    bytes: usize,
}

/// Builds a column. An enum, not a trait object: a row appends a value to each column, and most values are null.
enum ColumnBuilder {
    Text(StringBuilder),
    Time(TimestampMillisecondBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Bool(BooleanBuilder),
    Tags(TagsBuilder),
    Bytes(BinaryBuilder),
}

impl ColumnBuilder {
    fn new(capacity: ColumnCapacity) -> Self {
        let ColumnCapacity { column_type, values, bytes } = capacity;
        match column_type {
            ColumnType::Text => Self::Text(StringBuilder::with_capacity(values, bytes)),
            ColumnType::Time => {
                Self::Time(TimestampMillisecondBuilder::with_capacity(values).with_timezone("UTC"))
            }
            ColumnType::Int32 => Self::Int32(Int32Builder::with_capacity(values)),
            ColumnType::Int64 | ColumnType::Hash => {
                Self::Int64(Int64Builder::with_capacity(values))
            }
            ColumnType::Bool => Self::Bool(BooleanBuilder::with_capacity(values)),
            ColumnType::Tags => Self::Tags(TagsBuilder::new()),
            ColumnType::Bytes => Self::Bytes(BinaryBuilder::with_capacity(values, bytes)),
        }
    }

    /// Returns the finished column. Sets `capacity` for the column of the next portion.
    fn finish(self, capacity: &mut ColumnCapacity) -> ArrayRef {
        let with_margin = |length: usize| length + length / 8;
        capacity.bytes = match &self {
            Self::Text(builder) => with_margin(builder.values_slice().len()),
            Self::Bytes(builder) => with_margin(builder.values_slice().len()),
            _ => 0,
        };
        let array: ArrayRef = match self {
            Self::Text(mut builder) => Arc::new(builder.finish()),
            Self::Time(mut builder) => Arc::new(builder.finish()),
            Self::Int32(mut builder) => Arc::new(builder.finish()),
            Self::Int64(mut builder) => Arc::new(builder.finish()),
            Self::Bool(mut builder) => Arc::new(builder.finish()),
            Self::Tags(builder) => Arc::new(builder.finish()),
            Self::Bytes(mut builder) => Arc::new(builder.finish()),
        };
        capacity.values = with_margin(array.len());
        array
    }
}

/// Builds lists of {key, value}.
struct TagsBuilder {
    keys: StringBuilder,
    values: StringBuilder,
    lengths: OffsetBufferBuilder<i32>,
    validity: NullBufferBuilder,
}

impl TagsBuilder {
    fn new() -> Self {
        Self {
            keys: StringBuilder::new(),
            values: StringBuilder::new(),
            lengths: OffsetBufferBuilder::new(0),
            validity: NullBufferBuilder::new(0),
        }
    }

    /// Appends a list of tags.
    fn append<'t, T: AsRef<str> + 't>(
        &mut self,
        entries: impl ExactSizeIterator<Item = (&'t T, &'t T)>,
    ) {
        self.lengths.push_length(entries.len());
        self.validity.append_non_null();
        for (key, value) in entries {
            self.keys.append_value(key.as_ref());
            self.values.append_value(value.as_ref());
        }
    }

    fn append_null(&mut self) {
        self.lengths.push_length(0);
        self.validity.append_null();
    }

    fn finish(mut self) -> ListArray {
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.keys.finish()), Arc::new(self.values.finish())];
        let entries = StructArray::new(tag_fields(), columns, None);
        let lengths = self.lengths.finish();
        ListArray::new(tag_item(), lengths, Arc::new(entries), self.validity.finish())
    }
}

/// Appends the values of one row in the order of the columns.
pub(crate) struct RowWriter<'a> {
    columns: std::slice::IterMut<'a, ColumnBuilder>,
    is_incomplete: &'a mut bool,
}

/// The builder of the next column, which must have the given type.
macro_rules! next {
    ($writer:ident, $variant:ident) => {
        match $writer.columns.next() {
            Some(ColumnBuilder::$variant(builder)) => builder,
            _ => unreachable!("values of a row are appended in the order and type of its columns"),
        }
    };
}

impl RowWriter<'_> {
    pub(crate) fn text(&mut self, value: Option<&str>) -> &mut Self {
        next!(self, Text).append_option(value);
        self
    }

    pub(crate) fn time(&mut self, value: Option<i64>) -> &mut Self {
        next!(self, Time).append_option(value);
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        next!(self, Bytes).append_value(value);
        self
    }

    pub(crate) fn int32(&mut self, value: Option<i32>) -> &mut Self {
        next!(self, Int32).append_option(value);
        self
    }

    pub(crate) fn int64(&mut self, value: Option<i64>) -> &mut Self {
        next!(self, Int64).append_option(value);
        self
    }

    pub(crate) fn hash(&mut self, value: u64) -> &mut Self {
        self.int64(Some(value.cast_signed()))
    }

    pub(crate) fn bool(&mut self, value: bool) -> &mut Self {
        next!(self, Bool).append_value(value);
        self
    }

    /// Message tags; null if there are none.
    pub(crate) fn tags<T: AsRef<str>>(&mut self, tags: &[(T, T)]) -> &mut Self {
        let builder = next!(self, Tags);
        if tags.is_empty() {
            builder.append_null();
        } else {
            builder.append(tags.iter().map(|(key, value)| (key, value)));
        }
        self
    }

    /// Dimensions of a scope; an empty list if there are none.
    pub(crate) fn scope(&mut self, scope: &BTreeMap<String, String>) -> &mut Self {
        next!(self, Tags).append(scope.iter());
        self
    }

    /// Ends the row. Checks in debug builds that every column has a value.
    pub(crate) fn finish(&mut self) {
        *self.is_incomplete = false;
        debug_assert!(self.columns.next().is_none(), "every column has a value");
    }
}

impl TableBuilder {
    pub(crate) fn new(table: &'static str, columns: &[Column]) -> Self {
        let capacity = |column: &Column| ColumnCapacity {
            column_type: column.column_type,
            values: 0,
            bytes: 0,
        };
        Self {
            table,
            schema: schema(columns),
            columns: Vec::new(),
            capacities: columns.iter().map(capacity).collect(),
            rows: 0,
            encoded: 0,
            writer: None,
            is_incomplete: false,
        }
    }

    /// Whether a panic interrupted adding or encoding rows. The rows are then lost.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Starts a row.
    pub(crate) fn row(&mut self) -> RowWriter<'_> {
        self.create_columns();
        self.rows += 1;
        self.is_incomplete = true;
        RowWriter { columns: self.columns.iter_mut(), is_incomplete: &mut self.is_incomplete }
    }

    /// Number of rows so far.
    pub(crate) fn len(&self) -> usize {
        self.rows + self.encoded
    }

    /// Number of rows that are not encoded yet.
    pub(crate) fn unencoded_rows(&self) -> usize {
        self.rows
    }

    /// Whether at least one portion of rows is already encoded.
    pub(crate) fn has_encoded_rows(&self) -> bool {
        self.writer.is_some()
    }

    fn create_columns(&mut self) {
        if self.columns.is_empty() {
            self.columns.extend(self.capacities.iter().copied().map(ColumnBuilder::new));
        }
    }

    /// Encodes the rows so far.
    pub(crate) fn encode(&mut self) -> Result<(), StoreError> {
        self.is_incomplete = true;
        let batch = self.take_batch()?;
        self.encode_batch(&batch)?;
        self.is_incomplete = false;
        Ok(())
    }

    /// Encodes the rows of another builder of the same table, none of which are encoded yet.
    pub(crate) fn append(&mut self, mut other: Self) -> Result<(), StoreError> {
        self.encode_batch(&other.take_batch()?)
    }

    /// Returns the rows that are not encoded yet.
    fn take_batch(&mut self) -> Result<RecordBatch, StoreError> {
        self.create_columns();
        let columns = self.columns.drain(..).zip(&mut self.capacities);
        let arrays: Vec<ArrayRef> =
            columns.map(|(column, capacity)| column.finish(capacity)).collect();
        self.rows = 0;
        RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(StoreError::build)
    }

    fn encode_batch(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        let mut writer = if let Some(writer) = self.writer.take() {
            writer
        } else {
            let properties = Some(properties(self.table));
            ArrowWriter::try_new(Vec::new(), Arc::clone(&self.schema), properties)
                .map_err(StoreError::build)?
        };
        writer.write(batch).map_err(StoreError::build)?;
        self.encoded += batch.num_rows();
        self.writer = Some(writer);
        Ok(())
    }

    /// Adds a value to the footer. Call it after [`Self::encode`].
    pub(crate) fn add_footer_value(&mut self, key: &str, value: String) {
        if let Some(writer) = &mut self.writer {
            writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
    }

    /// Encodes the remaining rows, and returns the finished Parquet file.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        self.encode()?;
        let mut writer = self.writer.take().expect("encode creates the writer");
        writer.flush().map_err(StoreError::build)?;
        writer.sync().map_err(StoreError::build)?;
        let mut chunks = ChunkChecksums::default();
        chunks.add(writer.flushed_row_groups(), 0, writer.inner());
        writer.append_key_value_metadata(chunks.footer_value());
        let mut file = writer.into_inner().map_err(StoreError::build)?;
        checksum::set_checksums(&mut file);
        Ok(file)
    }
}
