//! The live segments of a day -> one sealed set, a range of keys at a time, so that memory does not grow with the day.

use crate::compacted_name::SealedName;
use arrow_array::{BooleanArray, RecordBatch, new_null_array};
use arrow_schema::{ArrowError, SchemaRef};
use arrow_select::interleave::interleave_record_batch;
use bouncewatch_schemas::table;
use futures::{StreamExt, TryStreamExt, stream};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::compact::merge::{self, keys};
use crate::compact::plan::Limits;
use crate::error::StoreError;
use crate::open::unique_name;
use crate::open::{Segment, Store};
use crate::read::{Opened, check_footer};
use crate::segment_writer::{Output, table_schema};

/// Segments that are read at a time: a bucket answers slowly, but many at once.
const READS_AT_A_TIME: usize = 8;
/// Rows of one portion that is decoded.
const READ_ROWS: usize = 8 * 1024;
/// Rows of one portion that is merged and written.
const MERGED_ROWS: usize = 16 * 1024;

/// The two keys of a row.
type Key = (u64, u64);
/// In which batch a row stands, and where in it.
type Place = (usize, usize);

/// A day that is to be sealed.
pub(super) struct Task<'a> {
    pub(super) store: &'a Store,
    pub(super) table: &'static str,
    pub(super) day: i64,
    /// The segments that hold its rows.
    pub(super) live: &'a [Segment],
    /// The names of all segments that the set will replace, a line each.
    pub(super) inputs: String,
    pub(super) limits: &'a Limits,
    pub(super) now: i64,
}

/// What became of a day.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) segments: usize,
    pub(super) rows_before: u64,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Events of which several rows are left.
    pub(super) contradicted: u64,
}

/// What segments hold.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Size {
    pub(super) rows: u64,
    /// Unpacked.
    pub(super) plain_bytes: u64,
    pub(super) file_bytes: u64,
}

/// From the first to the last of some keys of messages. Keys are hashes, so that equal ranges hold about equally many.
#[derive(Debug, Clone, Copy)]
struct KeyRange {
    first: u64,
    last: u64,
}

impl KeyRange {
    /// One of `count` ranges that hold all keys between them.
    fn nth(at: u64, count: u64) -> Self {
        let begin = |at: u64| (u128::from(at) << 64) / u128::from(count);
        let whole = |key: u128| u64::try_from(key).expect("a range lies within 64 bits");
        Self { first: whole(begin(at)), last: whole(begin(at + 1) - 1) }
    }

    fn contains(self, key: u64) -> bool {
        (self.first..=self.last).contains(&key)
    }

    /// Whether a group of rows may hold keys of the range.
    fn touches(self, group: &RowGroupMetaData, column: usize) -> bool {
        let Some(Statistics::Int64(statistics)) = group.column(column).statistics() else {
            return true;
        };
        let (Some(least), Some(most)) = (statistics.min_opt(), statistics.max_opt()) else {
            return true;
        };
        least.cast_unsigned() <= self.last && most.cast_unsigned() >= self.first
    }
}

impl Task<'_> {
    /// What the live segments hold. Fails where one is of a format that is not known, before anything is written.
    pub(super) async fn size(&self) -> Result<Size, StoreError> {
        let sizes = stream::iter(self.live).map(async |segment| {
            let opened = self.store.open(segment).await?;
            check(self.store, self.table, segment, &opened)?;
            let groups = opened.metadata().row_groups().iter();
            Ok(Size {
                rows: count(opened.metadata().file_metadata().num_rows()),
                plain_bytes: groups.map(|group| count(group.total_byte_size())).sum(),
                file_bytes: segment.bytes,
            })
        });
        let add = async |all: Size, one: Size| {
            Ok(Size {
                rows: all.rows + one.rows,
                plain_bytes: all.plain_bytes + one.plain_bytes,
                file_bytes: all.file_bytes + one.file_bytes,
            })
        };
        sizes.buffered(READS_AT_A_TIME).try_fold(Size::default(), add).await
    }

    /// Merges the live segments of the event table into a set. `None`, where one of them was removed meanwhile: then
    /// its rows are elsewhere or shall be gone, and nothing is published.
    pub(super) async fn events(&self) -> Result<Option<Sealed>, StoreError> {
        let size = self.size().await?;
        let limits = self.limits;
        let parts = (size.rows.div_ceil(limits.segment_rows_max))
            .max(size.file_bytes.div_ceil(limits.segment_bytes_max))
            .max(1);
        let at_a_time = (size.rows.div_ceil(limits.rows_at_a_time))
            .max(size.plain_bytes.div_ceil(limits.bytes_at_a_time));
        let passes = at_a_time.div_ceil(parts).max(1);
        let set = unique_name(self.now);
        let mut sealed = Sealed { rows_before: size.rows, ..Sealed::default() };
        for part in 0..parts {
            let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
            let name = SealedName { set: &set, part: whole(part + 1), parts: whole(parts) };
            let ranges = (0..passes)
                .map(|pass| KeyRange::nth(part * passes + pass, parts * passes))
                .collect::<Vec<_>>();
            if !self.publish_part(&name, &ranges, &mut sealed).await? {
                return Ok(None);
            }
        }
        Ok(Some(sealed))
    }

    /// Publishes one segment of a set, unless its inputs have changed; tells whether it did.
    async fn publish_part(
        &self,
        name: &SealedName<'_>,
        ranges: &[KeyRange],
        sealed: &mut Sealed,
    ) -> Result<bool, StoreError> {
        let mut output = Output::new(self.store, self.table, self.day, &name.stem(), true)?;
        let mut contradicted = 0;
        for range in ranges {
            match self.write_range(*range, &mut output).await {
                Ok(events) => contradicted += events,
                Err(error) => return Err(abandoned(output, error).await),
            }
        }
        sealed.contradicted += contradicted;
        if contradicted == 0 {
            output.note(table::UNIQUE_KEY, "true".to_owned());
        }
        self.publish(output, sealed).await
    }

    /// Publishes a segment, unless its inputs have changed; tells whether it did.
    pub(super) async fn publish(
        &self,
        mut output: Output<'_>,
        sealed: &mut Sealed,
    ) -> Result<bool, StoreError> {
        output.note(table::INPUTS_KEY, self.inputs.clone());
        match self.inputs_are_there().await {
            Ok(true) => {}
            Ok(false) => return output.abandon().await.map(|()| false),
            Err(error) => return Err(abandoned(output, error).await),
        }
        sealed.segments += 1;
        sealed.rows += output.rows;
        sealed.bytes += output.finish().await?;
        Ok(true)
    }

    /// Whether nobody has removed a segment that was read: what was made of it would bring back what `forget` or
    /// `retain` took away.
    async fn inputs_are_there(&self) -> Result<bool, StoreError> {
        let listed = self.store.day(self.table, self.day).await?;
        let is_there = |segment: &Segment| listed.iter().any(|other| other.path == segment.path);
        Ok(self.live.iter().all(is_there))
    }

    /// Writes the events of a range of keys and returns how many of them have several rows.
    async fn write_range(
        &self,
        range: KeyRange,
        output: &mut Output<'_>,
    ) -> Result<u64, StoreError> {
        let batches = stream::iter(self.live).map(|segment| self.read_range(segment, range));
        let batches: Vec<Vec<RecordBatch>> =
            batches.buffered(READS_AT_A_TIME).try_collect().await?;
        let batches: Vec<&RecordBatch> = batches.iter().flatten().collect();
        let build = |error: ArrowError| StoreError::Build(error.to_string());
        let mut order: Vec<(Key, Place)> =
            Vec::with_capacity(batches.iter().map(|batch| batch.num_rows()).sum());
        for (batch, rows) in batches.iter().enumerate() {
            let messages = keys(rows, table::MESSAGE_KEY).map_err(build)?;
            let events = keys(rows, table::EVENT_KEY).map_err(build)?;
            let keys = messages.iter().copied().zip(events.iter().copied());
            order.extend(keys.enumerate().map(|(row, key)| (key, (batch, row))));
        }
        order.sort_unstable();
        let mut contradicted = 0;
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let (portion, after) = rest.split_at(portion(rest));
            rest = after;
            let places: Vec<Place> = portion.iter().map(|(_, place)| *place).collect();
            let sorted = interleave_record_batch(&batches, &places).map_err(build)?;
            let merged = merge::merge(sorted).map_err(build)?;
            contradicted += merged.contradicted;
            output.write(&merged.rows).await?;
        }
        Ok(contradicted)
    }

    /// The rows of a segment whose keys lie in a range.
    async fn read_range(
        &self,
        segment: &Segment,
        range: KeyRange,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let opened = self.store.open(segment).await?;
        let wrong = |why: &dyn std::fmt::Display| self.store.wrong(segment, why);
        let columns = opened.parquet_schema().columns();
        let column = columns.iter().position(|column| column.name() == table::MESSAGE_KEY);
        let column = column.ok_or_else(|| wrong(&"it has no keys"))?;
        let groups = opened.metadata().row_groups().iter().enumerate();
        let groups = groups.filter(|(_, group)| range.touches(group, column));
        let groups: Vec<usize> = groups.map(|(at, _)| at).collect();
        let mask = ProjectionMask::leaves(opened.parquet_schema(), [column]);
        let is_in_range = ArrowPredicateFn::new(mask, move |rows: RecordBatch| {
            let keys = keys(&rows, table::MESSAGE_KEY)?;
            Ok(keys.iter().map(|key| Some(range.contains(*key))).collect::<BooleanArray>())
        });
        let schema = table_schema(self.table);
        let opened = opened.with_row_groups(groups).with_batch_size(READ_ROWS);
        let rows = opened.with_row_filter(RowFilter::new(vec![Box::new(is_in_range)])).build();
        match rows.map_err(|error| wrong(&error))?.try_collect::<Vec<_>>().await {
            Ok(batches) => batches
                .iter()
                .map(|batch| conformed(batch, &schema).map_err(|why| wrong(&why)))
                .collect(),
            Err(error) => Err(self.store.unreadable(segment, error).await),
        }
    }
}

/// Makes sure that a segment can be made into another without losing anything.
pub(crate) fn check(
    store: &Store,
    table: &str,
    segment: &Segment,
    opened: &Opened,
) -> Result<(), StoreError> {
    check_footer(opened, table).map_err(|why| store.wrong(segment, &why))?;
    let schema = table_schema(table);
    match opened.schema().fields().iter().find(|field| schema.index_of(field.name()).is_err()) {
        None => Ok(()),
        Some(field) => {
            let why = format!("it has a column `{}` that is not known", field.name());
            Err(store.wrong(segment, &why))
        }
    }
}

/// How many rows the next portion has: whole events.
fn portion(rows: &[(Key, Place)]) -> usize {
    let Some((last, _)) = rows.get(MERGED_ROWS - 1) else { return rows.len() };
    MERGED_ROWS + rows.iter().skip(MERGED_ROWS).take_while(|(key, _)| key == last).count()
}

/// Rows with all columns of a table; those that their version did not have are null.
pub(crate) fn conformed(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &arrow_schema::FieldRef| {
        let missing = || new_null_array(field.data_type(), rows.num_rows());
        rows.column_by_name(field.name()).cloned().unwrap_or_else(missing)
    };
    RecordBatch::try_new(SchemaRef::clone(schema), schema.fields().iter().map(column).collect())
}

/// Leaves nothing of a segment that failed, and tells why it did.
pub(crate) async fn abandoned(output: Output<'_>, error: StoreError) -> StoreError {
    if let Err(error) = output.abandon().await {
        tracing::debug!(%error, "what was written of a segment is left");
    }
    error
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_every_key_once() {
        for count in [1, 2, 3, 7, 1_000] {
            assert_eq!(KeyRange::nth(0, count).first, 0);
            assert_eq!(KeyRange::nth(count - 1, count).last, u64::MAX);
            for at in 1..count {
                assert_eq!(KeyRange::nth(at - 1, count).last + 1, KeyRange::nth(at, count).first);
            }
        }
    }
}
