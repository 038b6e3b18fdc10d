//! Replaces a segment by one with changed rows, for `retain` and `forget`. The new segment is
//! published before the old one is removed. There is no grace period, because the rows of the old
//! segment must not be kept.

use arrow_array::RecordBatch;
use bouncewatch_schemas::table;

use crate::compacted_name::CompactedName;
use crate::day::{DaySegments, remove_segments};
use crate::error::StoreError;
use crate::layout::unique_name;
use crate::open::{Segment, Store};
use crate::read::{footer_value, next_rows};
use crate::schema::table_schema;
use crate::segment_content::SegmentContent;
use crate::segment_writer::{RowOrder, SORTED_ROW_GROUP_ROWS, SegmentWriter};
use crate::upgrade::{is_version_1, upgrade};

/// Rows per batch.
const READ_ROWS: usize = 1_024;

/// Removes the replaced segments of a day and returns the live ones. Otherwise, the rows of a
/// replaced segment would count again after its replacement is rewritten.
pub(crate) async fn remove_replaced(
    store: &Store,
    table: &'static str,
    day: i64,
    segments: Vec<Segment>,
) -> Result<Vec<Segment>, StoreError> {
    let segments = DaySegments::split(store, table, segments).await?;
    if !segments.replaced.is_empty() {
        remove_segments(store, table, day, segments.replaced_segments()).await?;
    }
    Ok(segments.live)
}

/// Replaces a segment by one with changed rows. Publishes nothing if another process removed the segment during the
/// run, or if no rows are left.
pub(crate) async fn rewrite(
    store: &Store,
    table: &'static str,
    segment: &Segment,
    now: i64,
    change: impl FnMut(&RecordBatch) -> Result<RecordBatch, StoreError>,
) -> Result<(), StoreError> {
    let opened = store.open_for_rewrite(table, segment).await?;
    let unique = footer_value(&opened, table::UNIQUE_KEY).map(str::to_owned);
    let set = unique_name(now);
    // the only segment of a set is replaced by a new compacted set. A part of a larger set becomes
    // an ordinary segment, and so does a segment of format version 1: its rows are in another
    // order.
    let is_single = CompactedName::parse(segment.name()).is_some_and(|name| name.parts == 1)
        && !is_version_1(opened.schema());
    let content = SegmentContent::of(segment.name());
    let name = if is_single {
        CompactedName { content, ..CompactedName::single(&set) }.stem()
    } else {
        format!("{set}{}", content.mark())
    };
    let order = if is_single && table == table::EVENTS {
        RowOrder::ByKey { row_group_rows: SORTED_ROW_GROUP_ROWS }
    } else {
        RowOrder::Unsorted
    };
    let mut writer = SegmentWriter::new(store, table, segment.day, &name, order)?;
    if let Err(error) = copy(store, table, segment, &mut writer, change).await {
        return Err(writer.abandon_after(error).await);
    }
    if let Some(unique) = unique.filter(|_| is_single) {
        writer.add_footer_value(table::UNIQUE_KEY, unique);
    }
    let exists = store.day_contains(table, segment.day, std::slice::from_ref(segment)).await?;
    if writer.rows == 0 || !exists {
        writer.abandon().await?;
    } else {
        writer.finish().await?;
    }
    remove_segments(store, table, segment.day, [segment]).await
}

async fn copy(
    store: &Store,
    table: &'static str,
    segment: &Segment,
    writer: &mut SegmentWriter<'_>,
    mut change: impl FnMut(&RecordBatch) -> Result<RecordBatch, StoreError>,
) -> Result<(), StoreError> {
    let opened = store.open(table, segment).await?.with_batch_size(READ_ROWS);
    let mut batches = opened.build().map_err(|error| store.read_error(segment, &error))?;
    let schema = table_schema(table);
    loop {
        let rows = match next_rows(&mut batches).await {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(()),
            Err(error) => return Err(store.parquet_error(segment, error).await),
        };
        let rows = upgrade(&rows, &schema).map_err(|error| store.read_error(segment, &error))?;
        writer.write(&change(&rows)?).await?;
    }
}
