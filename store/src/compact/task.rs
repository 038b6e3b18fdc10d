//! Compaction of one day: size of the inputs, and publication of the outputs.

use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::file::metadata::RowGroupMetaData;

use crate::compact::plan::CompactLimits;
use crate::compact::shards::InputSize;
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::read::row_count;
use crate::segment_writer::SegmentWriter;

/// Segments that are read at the same time, to hide the latency of a bucket.
pub(super) const READS_AT_ONCE: usize = 8;

/// One day of a table to compact.
pub(super) struct DayTask<'a> {
    pub(super) store: &'a Store,
    pub(super) table: &'static str,
    pub(super) day: i64,
    /// Segments that contain the rows of the day.
    pub(super) live: &'a [Segment],
    /// Names of all segments that the set replaces, one per line.
    pub(super) inputs: String,
    pub(super) limits: &'a CompactLimits,
    pub(super) now: i64,
}

/// The compacted set of a day.
#[derive(Debug, Default)]
pub(super) struct CompactedSet {
    pub(super) segments: usize,
    /// Rows of the inputs.
    pub(super) rows_before: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Events that keep several rows because their copies conflict.
    pub(super) conflicts: u64,
}

impl DayTask<'_> {
    /// Size of the live segments.
    ///
    /// # Errors
    /// If a segment cannot be read, or cannot be rewritten without loss. Nothing is written then.
    pub(super) async fn size(&self) -> Result<InputSize, StoreError> {
        let sizes = stream::iter(self.live).map(async |segment| {
            let opened = self.store.open_for_rewrite(self.table, segment).await?;
            let groups = opened.metadata().row_groups().iter();
            Ok(InputSize {
                rows: row_count(&opened),
                plain_bytes: groups.map(plain_bytes).sum(),
                file_bytes: segment.bytes,
            })
        });
        let sizes = sizes.buffered(READS_AT_ONCE);
        sizes.try_fold(InputSize::default(), async |sum, size| Ok(sum.add(size))).await
    }

    /// Publishes an output segment and adds it to `set`. Returns false, and publishes nothing, if an input was removed
    /// during the merge: the output would bring back rows that `forget` or `retain` removed.
    pub(super) async fn publish(
        &self,
        mut writer: SegmentWriter<'_>,
        set: &mut CompactedSet,
    ) -> Result<bool, StoreError> {
        writer.add_footer_value(table::INPUTS_KEY, self.inputs.clone());
        match self.store.day_contains(self.table, self.day, self.live).await {
            Ok(true) => {}
            Ok(false) => return writer.abandon().await.map(|()| false),
            Err(error) => return Err(writer.abandon_after(error).await),
        }
        set.segments += 1;
        set.rows += writer.rows;
        set.bytes += writer.finish().await?;
        Ok(true)
    }
}

/// Bytes of a row group before compression.
fn plain_bytes(group: &RowGroupMetaData) -> u64 {
    u64::try_from(group.total_byte_size()).unwrap_or_default()
}
