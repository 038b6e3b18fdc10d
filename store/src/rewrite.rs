//! A segment -> the same segment with other rows: what `retain` and `forget` do. The new one is published before the
//! old one is removed, and the old one is removed at once: it holds what shall be gone.

use crate::compacted_name::SealedName;
use arrow_array::RecordBatch;
use bouncewatch_schemas::table;
use futures::TryStreamExt;

use crate::compact::events::{abandoned, check, conformed};
use crate::day::{Day, remove};
use crate::error::StoreError;
use crate::open::unique_name;
use crate::open::{Segment, Store};
use crate::read::footer;
use crate::segment_writer::{Output, table_schema};

/// Rows of one portion.
const READ_ROWS: usize = 1_024;

/// The live segments of a day, after what they replaced was removed: else it would come back when they go.
pub(super) async fn only_live(
    store: &Store,
    table: &str,
    day: i64,
    segments: Vec<Segment>,
) -> Result<Vec<Segment>, StoreError> {
    let found = Day::of(store, table, segments).await?;
    if !found.replaced.is_empty() {
        remove(store, table, day, found.replaced.iter().map(|(segment, _)| segment)).await?;
    }
    Ok(found.live)
}

/// Puts a segment with other rows in the place of one. Nothing is published where somebody else removed it meanwhile,
/// and nothing takes its place where no rows are left.
pub(super) async fn rewrite(
    store: &Store,
    table: &'static str,
    segment: &Segment,
    now: i64,
    change: impl FnMut(&RecordBatch) -> Result<RecordBatch, StoreError>,
) -> Result<(), StoreError> {
    let opened = store.open(segment).await?;
    check(store, table, segment, &opened)?;
    let unique = footer(&opened, table::UNIQUE_KEY).map(str::to_owned);
    let name = unique_name(now);
    // one segment that was the whole set still is; a part of a set becomes a segment of its own
    let is_set = SealedName::parse(segment.name()).is_some_and(|sealed| sealed.parts == 1);
    let sealed = SealedName { set: &name, part: 1, parts: 1 }.stem();
    let is_sorted = is_set && table == table::EVENTS;
    let mut output =
        Output::new(store, table, segment.day, if is_set { &sealed } else { &name }, is_sorted)?;
    if let Err(error) = copy(store, segment, &mut output, change).await {
        return Err(abandoned(output, error).await);
    }
    if let Some(unique) = unique.filter(|_| is_set) {
        output.note(table::UNIQUE_KEY, unique);
    }
    let listed = store.day(table, segment.day).await?;
    let is_there = listed.iter().any(|other| other.path == segment.path);
    if output.rows == 0 || !is_there {
        output.abandon().await?;
    } else {
        output.finish().await?;
    }
    remove(store, table, segment.day, [segment]).await
}

async fn copy(
    store: &Store,
    segment: &Segment,
    output: &mut Output<'_>,
    mut change: impl FnMut(&RecordBatch) -> Result<RecordBatch, StoreError>,
) -> Result<(), StoreError> {
    let opened = store.open(segment).await?.with_batch_size(READ_ROWS);
    let mut batches = opened.build().map_err(|error| store.wrong(segment, &error))?;
    loop {
        let rows = match batches.try_next().await {
            Ok(Some(rows)) => rows,
            Ok(None) => return Ok(()),
            Err(error) => return Err(store.unreadable(segment, error).await),
        };
        let rows = conformed(&rows, &table_schema(output.table))
            .map_err(|error| store.wrong(segment, &error))?;
        output.write(&change(&rows)?).await?;
    }
}
