//! Reading segments back, piece by piece, from a folder or a bucket.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use bouncewatch_schemas::table;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::StoreError;
use crate::open::{Segment, Store};

/// A segment whose footer was read.
pub(super) type Opened = ParquetRecordBatchStreamBuilder<Reader>;

/// Reads parts of a segment.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Reader {
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
    /// Reads the footer of a segment.
    ///
    /// # Errors
    /// If it is gone, or no Parquet file.
    pub(super) async fn open(&self, segment: &Segment) -> Result<Opened, StoreError> {
        let reader = Reader {
            objects: Arc::clone(self.objects()),
            path: segment.path.clone(),
            bytes: segment.bytes,
        };
        match ParquetRecordBatchStreamBuilder::new(reader).await {
            Ok(opened) => Ok(opened),
            Err(error) => Err(self.unreadable(segment, error).await),
        }
    }

    /// Reads some columns of a segment, or all, and returns its rows.
    pub(super) async fn read(
        &self,
        segment: &Segment,
        columns: Option<&[&str]>,
        mut each: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
    ) -> Result<u64, StoreError> {
        let opened = self.open(segment).await?;
        let mask = columns.map_or_else(ProjectionMask::all, |columns| {
            ProjectionMask::columns(opened.parquet_schema(), columns.iter().copied())
        });
        let wrong = |error: parquet::errors::ParquetError| self.wrong(segment, &error);
        let mut batches = opened.with_projection(mask).build().map_err(wrong)?;
        let mut rows = 0;
        loop {
            let batch = match batches.try_next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => return Ok(rows),
                Err(error) => return Err(self.unreadable(segment, error).await),
            };
            rows += u64::try_from(batch.num_rows()).unwrap_or_default();
            each(&batch)?;
        }
    }

    /// What is wrong with a segment that cannot be read.
    pub(super) fn wrong(&self, segment: &Segment, why: &dyn std::fmt::Display) -> StoreError {
        StoreError::Read { path: self.shown_path(&segment.path), why: why.to_string() }
    }

    /// The same, where it may also be that the segment is gone.
    pub(super) async fn unreadable(
        &self,
        segment: &Segment,
        error: parquet::errors::ParquetError,
    ) -> StoreError {
        match self.objects().head(&segment.path).await {
            Err(gone @ object_store::Error::NotFound { .. }) => {
                self.failed("read", &segment.path)(gone)
            }
            _ => self.wrong(segment, &error),
        }
    }
}

/// A value of a segment's footer.
pub(super) fn footer<'a>(opened: &'a Opened, key: &str) -> Option<&'a str> {
    let pairs = opened.metadata().file_metadata().key_value_metadata();
    pairs.into_iter().flatten().find(|pair| pair.key == key).and_then(|pair| pair.value.as_deref())
}

/// Makes sure that a segment is one of a table, and of a format that is known.
pub(super) fn check_footer(opened: &Opened, table: &str) -> Result<(), String> {
    match footer(opened, table::VERSION_KEY).map(str::parse::<u32>) {
        Some(Ok(version)) if version <= table::FORMAT_VERSION => {}
        Some(Ok(version)) => {
            return Err(format!(
                "format {version} is newer than this bouncewatch, which knows {}",
                table::FORMAT_VERSION
            ));
        }
        _ => {
            return Err("the footer tells no format version: not written by bouncewatch".to_owned());
        }
    }
    if footer(opened, table::TABLE_KEY) == Some(table) {
        Ok(())
    } else {
        Err(format!("it does not belong to table `{table}`"))
    }
}
