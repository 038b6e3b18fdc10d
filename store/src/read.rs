//! Reading segments from a folder or a bucket, with a check of table and format version.

use std::future::poll_fn;
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use bouncewatch_schemas::event::Channel;
use bouncewatch_schemas::table;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{
    AsyncFileReader, ParquetRecordBatchStream, ParquetRecordBatchStreamBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use parquet::file::statistics::Statistics;

use crate::checksum::{Integrity, check_file, check_object};
use crate::chunk_checksums::chunk_range;
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::quiet_panic::catch_quietly;
use crate::schema::table_schema;

/// Reason in errors: the checksum of a file, a footer or a column does not match.
pub(crate) const CHECKSUM_MISMATCH: &str = "its content does not match its checksum";
/// Reason in errors: the footer contains an invalid position of a column.
pub(crate) const COLUMNS_OUTSIDE: &str = "its footer names columns outside of the file";

/// A segment after its footer was read and checked.
pub(crate) type OpenedSegment = ParquetRecordBatchStreamBuilder<SegmentReader>;

/// Reads byte ranges of a segment.
#[derive(Debug, Clone)]
pub(crate) struct SegmentReader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for SegmentReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.objects.get_range(&self.path, range).map_err(external).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.objects.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

impl Store {
    /// Reads the footer of a segment, and checks that it belongs to `table` and has a supported format version.
    ///
    /// # Errors
    /// If the segment is gone, is not a Parquet file, or fails the check.
    pub(crate) async fn open(
        &self,
        table: &str,
        segment: &Segment,
    ) -> Result<OpenedSegment, StoreError> {
        let reader = SegmentReader {
            objects: Arc::clone(self.objects()),
            path: segment.path.clone(),
            bytes: segment.bytes,
        };
        let opened = match ParquetRecordBatchStreamBuilder::new(reader).await {
            Ok(opened) => opened,
            Err(error) => return Err(self.parquet_error(segment, error).await),
        };
        check_footer(opened.metadata().file_metadata(), table)
            .map_err(|why| self.read_error(segment, &why))?;
        if !has_all_columns(opened.metadata(), segment.bytes) {
            return Err(self.damaged(segment, &COLUMNS_OUTSIDE));
        }
        Ok(opened)
    }

    /// Verifies the checksum of a segment, which reads the whole segment, and then opens it.
    /// Without this check, a damaged footer can keep the Parquet reader busy for minutes.
    ///
    /// # Errors
    /// As [`Self::open`], and [`StoreError::Damaged`] if the checksum does not match.
    pub(crate) async fn open_checked(
        &self,
        table: &str,
        segment: &Segment,
    ) -> Result<(OpenedSegment, Integrity), StoreError> {
        let integrity = check_object(self.objects(), &segment.path, segment.bytes).await;
        let integrity = integrity.map_err(self.object_error("read", &segment.path))?;
        if integrity == Integrity::Damaged {
            return Err(self.damaged(segment, &CHECKSUM_MISMATCH));
        }
        // refuses a newer format version, which may have another kind of checksum
        let opened = self.open(table, segment).await?;
        match integrity {
            Integrity::OtherKind => Err(self.damaged(segment, &CHECKSUM_MISMATCH)),
            integrity => Ok((opened, integrity)),
        }
    }

    /// Opens a segment of a table with day folders for a rewrite. Verifies its checksum first: a
    /// rewrite of damaged rows would give them a valid checksum.
    ///
    /// # Errors
    /// As [`Self::open_checked`], and if the segment has an unknown column, which a rewrite would
    /// drop.
    pub(crate) async fn open_for_rewrite(
        &self,
        table: &str,
        segment: &Segment,
    ) -> Result<OpenedSegment, StoreError> {
        let (opened, _) = self.open_checked(table, segment).await?;
        let schema = table_schema(table);
        let mut fields = opened.schema().fields().iter();
        match fields.find(|field| schema.index_of(field.name()).is_err()) {
            None => Ok(opened),
            Some(field) => {
                let why = format!("unknown column `{}`", field.name());
                Err(self.read_error(segment, &why))
            }
        }
    }

    /// Verifies the checksum of a segment, then passes its rows to `each`, batch by batch. Returns
    /// the number of rows. `columns` limits the columns that are decoded.
    pub(crate) async fn read(
        &self,
        table: &str,
        segment: &Segment,
        columns: Option<&[&str]>,
        each: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let (opened, _) = self.open_checked(table, segment).await?;
        self.read_opened(opened, segment, columns, each).await
    }

    /// Passes the rows of an open segment to `each`, batch by batch. Returns the number of rows.
    pub(crate) async fn read_opened(
        &self,
        opened: OpenedSegment,
        segment: &Segment,
        columns: Option<&[&str]>,
        mut each: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let mask = columns.map_or_else(ProjectionMask::all, |columns| {
            ProjectionMask::columns(opened.parquet_schema(), columns.iter().copied())
        });
        let failed = |error: ParquetError| self.damaged(segment, &error);
        let mut batches = opened.with_projection(mask).build().map_err(failed)?;
        let mut rows = 0;
        loop {
            let batch = match next_rows(&mut batches).await {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(rows),
                Err(error) => return Err(self.parquet_error(segment, error).await),
            };
            rows += batch.num_rows() as u64;
            each(&batch)?;
        }
    }

    /// Makes a [`StoreError::Read`].
    pub(crate) fn read_error(&self, segment: &Segment, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Read { path: self.display_path(&segment.path), why: why.to_string() }
    }

    /// Makes a [`StoreError::Damaged`].
    pub(crate) fn damaged(&self, segment: &Segment, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Damaged { path: self.display_path(&segment.path), why: why.to_string() }
    }

    /// Converts a Parquet error. If the segment is gone, [`StoreError::is_gone`] is true for the
    /// result. If the store did not return the bytes, it is [`StoreError::Read`], else
    /// [`StoreError::Damaged`].
    pub(crate) async fn parquet_error(&self, segment: &Segment, error: ParquetError) -> StoreError {
        match self.objects().head(&segment.path).await {
            Err(gone @ object_store::Error::NotFound { .. }) => {
                self.object_error("read", &segment.path)(gone)
            }
            Ok(_) if !matches!(error, ParquetError::External(_)) => self.damaged(segment, &error),
            _ => self.read_error(segment, &error),
        }
    }
}

/// Returns the next rows of a segment. The Parquet reader panics on some damaged pages. Such a
/// panic is caught here, because segments of the first releases have no checksum that detects the
/// damage earlier.
pub(crate) async fn next_rows(
    batches: &mut ParquetRecordBatchStream<SegmentReader>,
) -> Result<Option<RecordBatch>, ParquetError> {
    let next = |context: &mut Context<'_>| {
        let next = catch_quietly(|| batches.try_poll_next_unpin(context));
        let panicked = || ParquetError::General("its pages cannot be decoded".to_owned());
        next.map_or_else(|| Poll::Ready(Err(panicked())), |next| next.map(Option::transpose))
    };
    poll_fn(next).await
}

/// Facts in the footer of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    /// Its format version.
    pub version: u32,
    /// Its number of rows.
    pub rows: u64,
    /// Whether a row can be identity feedback; false only if the statistics of the column `channel`
    /// exclude it.
    pub may_have_identity_feedback: bool,
    /// A time that no event is after; `None` if the statistics do not show one.
    pub newest_event: Option<i64>,
}

/// Checks that a segment in a local folder belongs to `table`, has a supported format version, and
/// matches its checksum if it has one.
///
/// # Errors
/// [`StoreError::Vanished`] if the file does not exist, [`StoreError::Damaged`] if its checksum
/// does not match or it cannot be parsed, [`StoreError::Read`] if it cannot be read or fails
/// another check.
pub fn check_segment_file(path: &FilePath, table: &str) -> Result<SegmentFacts, StoreError> {
    let shown = || path.display().to_string();
    let failed = |why: String| StoreError::Read { path: shown(), why };
    let damaged = |why: String| StoreError::Damaged { path: shown(), why };
    let mut file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => StoreError::Vanished(shown()),
        _ => failed(error.to_string()),
    })?;
    let integrity = check_file(&mut file).map_err(|error| failed(error.to_string()))?;
    if integrity == Integrity::Damaged {
        return Err(damaged(CHECKSUM_MISMATCH.to_owned()));
    }
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file);
    let metadata = metadata.map_err(|error| damaged(error.to_string()))?;
    let footer = metadata.file_metadata();
    let version = check_footer(footer, table).map_err(failed)?;
    let bytes = file.metadata().map_err(|error| failed(error.to_string()))?.len();
    if !has_all_columns(&metadata, bytes) {
        return Err(damaged(COLUMNS_OUTSIDE.to_owned()));
    }
    match integrity {
        Integrity::OtherKind => Err(damaged(CHECKSUM_MISMATCH.to_owned())),
        _ => Ok(facts_of(&metadata, version)),
    }
}

/// Whether all column chunks are within a file of `bytes` bytes. Parquet readers panic if a
/// position is negative. Segments of the first releases have no checksum that detects this.
pub(crate) fn has_all_columns(metadata: &ParquetMetaData, bytes: u64) -> bool {
    let mut columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    columns.all(|column| chunk_range(column).is_some_and(|range| range.end <= bytes))
}

/// Returns the facts in a footer. The caller has checked its format version.
pub(crate) fn facts_of(metadata: &ParquetMetaData, version: u32) -> SegmentFacts {
    let feedback = Channel::IdentityFeedback.as_str();
    SegmentFacts {
        version,
        rows: row_count_of(metadata.file_metadata()),
        may_have_identity_feedback: may_contain(metadata, table::CHANNEL, feedback),
        newest_event: maximum(metadata, table::EVENT_AT),
    }
}

/// Greatest value of a column of 64-bit integers, by its statistics.
fn maximum(metadata: &ParquetMetaData, column: &str) -> Option<i64> {
    let maximum = |chunk: &ColumnChunkMetaData| match chunk.statistics() {
        Some(Statistics::Int64(values)) => values.max_opt().copied(),
        _ => None,
    };
    chunks(metadata, column).map(maximum).try_fold(i64::MIN, |known, one| Some(known.max(one?)))
}

/// Whether a text column can have a value, by its statistics.
fn may_contain(metadata: &ParquetMetaData, column: &str, value: &str) -> bool {
    let is_possible = |chunk: &ColumnChunkMetaData| {
        let statistics = chunk.statistics();
        let bounds = statistics.and_then(|of| of.min_bytes_opt().zip(of.max_bytes_opt()));
        bounds.is_none_or(|(min, max)| (min..=max).contains(&value.as_bytes()))
    };
    chunks(metadata, column).any(is_possible)
}

/// The chunks of a column.
fn chunks<'m>(
    metadata: &'m ParquetMetaData,
    column: &'m str,
) -> impl Iterator<Item = &'m ColumnChunkMetaData> {
    let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    chunks.filter(move |chunk| chunk.column_path().parts() == [column])
}

/// Number of rows of a segment, by its footer.
pub(crate) fn row_count(opened: &OpenedSegment) -> u64 {
    row_count_of(opened.metadata().file_metadata())
}

fn row_count_of(footer: &FileMetaData) -> u64 {
    u64::try_from(footer.num_rows()).unwrap_or_default()
}

/// A value of the footer of an open segment.
pub(crate) fn footer_value<'a>(opened: &'a OpenedSegment, key: &str) -> Option<&'a str> {
    key_value(opened.metadata().file_metadata(), key)
}

pub(crate) fn key_value<'a>(footer: &'a FileMetaData, key: &str) -> Option<&'a str> {
    let pairs = footer.key_value_metadata().into_iter().flatten();
    pairs.into_iter().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
}

/// Checks format version and table of a segment, and returns the version; the error is the cause as text.
pub(crate) fn check_footer(footer: &FileMetaData, table: &str) -> Result<u32, String> {
    let supported = table::FORMAT_VERSION;
    let version = match key_value(footer, table::VERSION_KEY).map(str::parse::<u32>) {
        Some(Ok(version)) if version <= supported => version,
        Some(Ok(version)) => {
            return Err(format!(
                "format version {version} is newer than version {supported}, the newest that this bouncewatch reads; upgrade bouncewatch"
            ));
        }
        _ => {
            return Err("no format version in the footer: not written by bouncewatch".to_owned());
        }
    };
    match key_value(footer, table::TABLE_KEY) {
        Some(found) if found == table => Ok(version),
        found => Err(format!(
            "it belongs to table `{}`, not to table `{table}`",
            found.unwrap_or_default()
        )),
    }
}
