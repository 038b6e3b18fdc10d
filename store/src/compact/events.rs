//! Compaction of a day of the event table, one range of keys at a time, so that memory does not
//! grow with the size of the day.

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch, StringArray};
use arrow_select::interleave::interleave_record_batch;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};

use crate::compact::merge;
use crate::compact::shards::{KeyRange, ShardPlan};
use crate::compact::task::{CompactedSet, DayTask, READS_AT_ONCE};
use crate::compacted_name::CompactedName;
use crate::error::StoreError;
use crate::layout::unique_name;
use crate::open::Segment;
use crate::schema::table_schema;
use crate::segment_content::SegmentContent;
use crate::segment_writer::{RowOrder, SegmentWriter};
use crate::upgrade::{hashes, upgrade};

/// Rows that are decoded at a time.
const READ_ROWS: usize = 8 * 1024;

/// A segment of a set that is being written.
struct Output<'a> {
    writer: SegmentWriter<'a>,
    content: SegmentContent,
    /// Events that keep several rows because their copies conflict.
    conflicts: u64,
}

/// `message_key` and `event_key` of a row.
type RowKey = (i64, i64);
/// Index of a batch, and index of a row in it.
type RowIndex = (usize, usize);

impl DayTask<'_> {
    /// Merges the live segments of the event table into a set. `None`, and nothing is published, if one of them was
    /// removed during the merge.
    pub(super) async fn compact_events(&self) -> Result<Option<CompactedSet>, StoreError> {
        let size = self.size().await?;
        let plan = ShardPlan::new(&size, self.limits);
        let set_name = unique_name(self.now);
        let mut set = CompactedSet { rows_before: size.rows, ..CompactedSet::default() };
        let contents: &[SegmentContent] = if size.rows < self.limits.split_rows_min {
            &[SegmentContent::Any]
        } else {
            &[SegmentContent::Others, SegmentContent::Failures]
        };
        let parts = number(plan.segments) * contents.len();
        for segment in 0..plan.segments {
            let name = |(at, content): (usize, &SegmentContent)| {
                let part = number(segment) * contents.len() + at + 1;
                CompactedName { set: &set_name, part, parts, content: *content }
            };
            let names: Vec<CompactedName<'_>> = contents.iter().enumerate().map(name).collect();
            if !self.publish_shard(&names, plan.ranges(segment), &mut set).await? {
                return Ok(None);
            }
        }
        Ok(Some(set))
    }

    /// Writes and publishes the events of some ranges of keys, as a segment for each of `names`. Returns false if an
    /// input was removed during the merge.
    async fn publish_shard(
        &self,
        names: &[CompactedName<'_>],
        ranges: impl Iterator<Item = KeyRange>,
        set: &mut CompactedSet,
    ) -> Result<bool, StoreError> {
        let mut outputs = Vec::with_capacity(names.len());
        let published = match self.write_outputs(names, ranges, &mut outputs).await {
            Ok(()) => self.publish_outputs(&mut outputs, set).await,
            Err(error) => Err(error),
        };
        for output in outputs {
            output.writer.abandon_quietly().await;
        }
        published
    }

    async fn write_outputs<'t>(
        &'t self,
        names: &[CompactedName<'_>],
        ranges: impl Iterator<Item = KeyRange>,
        outputs: &mut Vec<Output<'t>>,
    ) -> Result<(), StoreError> {
        let order = RowOrder::ByKey { row_group_rows: self.limits.row_group_rows };
        for name in names {
            let (store, table) = (self.store, self.table);
            let writer = SegmentWriter::new(store, table, self.day, &name.stem(), order)?;
            outputs.push(Output { writer, content: name.content, conflicts: 0 });
        }
        for range in ranges {
            self.write_range(range, outputs).await?;
        }
        Ok(())
    }

    /// Publishes the outputs in their order. Those that are not published stay in the list. Returns false if an input
    /// was removed during the merge.
    async fn publish_outputs(
        &self,
        outputs: &mut Vec<Output<'_>>,
        set: &mut CompactedSet,
    ) -> Result<bool, StoreError> {
        outputs.reverse();
        while let Some(mut output) = outputs.pop() {
            set.conflicts += output.conflicts;
            if output.conflicts == 0 {
                output.writer.add_footer_value(table::UNIQUE_KEY, "true".to_owned());
            }
            if !self.publish(output.writer, set).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the events of a range of keys to the outputs, sorted by key.
    async fn write_range(
        &self,
        range: KeyRange,
        outputs: &mut [Output<'_>],
    ) -> Result<(), StoreError> {
        let batches = stream::iter(self.live).map(|segment| self.read_range(segment, range));
        let batches: Vec<Vec<RecordBatch>> = batches.buffered(READS_AT_ONCE).try_collect().await?;
        let batches: Vec<&RecordBatch> = batches.iter().flatten().collect();
        let rows = batches.iter().map(|batch| batch.num_rows()).sum();
        let mut order: Vec<(RowKey, RowIndex)> = Vec::with_capacity(rows);
        for (batch, rows) in batches.iter().enumerate() {
            let messages = hashes(rows, table::MESSAGE_KEY).map_err(StoreError::build)?;
            let events = hashes(rows, table::EVENT_KEY).map_err(StoreError::build)?;
            let keys = messages.iter().copied().zip(events.iter().copied());
            order.extend(keys.enumerate().map(|(row, key)| (key, (batch, row))));
        }
        order.sort_unstable();
        // copies of an event have the same kind: it is part of the key
        let (failures, others): (Vec<_>, Vec<_>) =
            if let [Output { content: SegmentContent::Any, .. }] = outputs {
                (Vec::new(), order)
            } else {
                let are_failures: Vec<Vec<bool>> =
                    batches.iter().map(|batch| are_failures(batch)).collect();
                order.into_iter().partition(|(_, (batch, row))| are_failures[*batch][*row])
            };
        for Output { writer, content, conflicts } in outputs {
            let own = if *content == SegmentContent::Failures { &failures } else { &others };
            let mut rest = own.as_slice();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(batch_length(rest, self.limits.batch_rows));
                rest = after;
                let indices: Vec<RowIndex> = batch.iter().map(|(_, index)| *index).collect();
                let sorted =
                    interleave_record_batch(&batches, &indices).map_err(StoreError::build)?;
                let merged = merge::merge(sorted).map_err(StoreError::build)?;
                *conflicts += merged.conflicts;
                writer.write(&merged.rows).await?;
            }
        }
        Ok(())
    }

    /// Rows of a segment with keys in a range.
    async fn read_range(
        &self,
        segment: &Segment,
        range: KeyRange,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let opened = self.store.open(self.table, segment).await?;
        let failed = |why: &dyn std::fmt::Display| self.store.read_error(segment, why);
        let columns = opened.parquet_schema().columns();
        let column = columns.iter().position(|column| column.name() == table::MESSAGE_KEY);
        let column = column.ok_or_else(|| failed(&"no column `message_key`"))?;
        let groups = opened.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| range.overlaps(group, column));
        let groups: Vec<usize> = groups.map(|(at, _)| at).collect();
        let mask = ProjectionMask::leaves(opened.parquet_schema(), [column]);
        let is_in_range = ArrowPredicateFn::new(mask, move |rows: RecordBatch| {
            let keys = hashes(&rows, table::MESSAGE_KEY)?;
            Ok(keys.iter().map(|key| Some(range.contains(*key))).collect::<BooleanArray>())
        });
        let schema = table_schema(self.table);
        let opened = opened.with_row_groups(groups).with_batch_size(READ_ROWS);
        let rows = opened.with_row_filter(RowFilter::new(vec![Box::new(is_in_range)])).build();
        match rows.map_err(|error| failed(&error))?.try_collect::<Vec<_>>().await {
            Ok(batches) => batches
                .iter()
                .map(|batch| upgrade(batch, &schema).map_err(|why| failed(&why)))
                .collect(),
            Err(error) => Err(self.store.parquet_error(segment, error).await),
        }
    }
}

/// Whether each row is a failure.
fn are_failures(rows: &RecordBatch) -> Vec<bool> {
    let kinds: Option<&StringArray> =
        rows.column_by_name(table::KIND).and_then(|kinds| kinds.as_string_opt());
    let is_failure =
        |kind: Option<&str>| kind.and_then(EventKind::parse).is_some_and(EventKind::is_failure);
    kinds.map_or_else(
        || vec![false; rows.num_rows()],
        |kinds| kinds.iter().map(is_failure).collect(),
    )
}

fn number(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Number of rows of the next batch: at least `batch_rows` unless fewer are left, and all copies of its last event.
fn batch_length(rows: &[(RowKey, RowIndex)], batch_rows: usize) -> usize {
    let Some((last, _)) = rows.get(batch_rows - 1) else { return rows.len() };
    batch_rows + rows.iter().skip(batch_rows).take_while(|(key, _)| key == last).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_length_includes_all_copies_of_the_last_event() {
        let rows = [1, 1, 2, 2, 2, 3].map(|key| ((key, 0), (0, 0)));
        for (batch_rows, expected) in [(1, 2), (2, 2), (3, 5), (5, 5), (6, 6), (7, 6)] {
            assert_eq!(batch_length(&rows, batch_rows), expected, "{batch_rows}");
        }
    }
}
