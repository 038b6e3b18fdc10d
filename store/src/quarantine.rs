//! The quarantine table: unreadable documents with the reason, kept until they are replayed.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::table_builder::TableBuilder;

/// Collects documents for quarantine, and publishes them as one segment.
#[derive(Default)]
pub struct QuarantineSegment {
    builder: Option<TableBuilder>,
}

impl std::fmt::Debug for QuarantineSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuarantineSegment").field("rows", &self.len()).finish_non_exhaustive()
    }
}

impl QuarantineSegment {
    /// Documents so far.
    pub fn len(&self) -> usize {
        self.builder.as_ref().map_or(0, TableBuilder::len)
    }

    /// Whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a document.
    pub fn push(
        &mut self,
        body: &[u8],
        reason: &str,
        detail: &str,
        origin: &str,
        received_at: i64,
    ) {
        let id = format!("{:032x}", xxh3_128(&[reason.as_bytes(), b"\0", body].concat()));
        self.builder
            .get_or_insert_with(|| TableBuilder::new(table::QUARANTINE, table::QUARANTINE_COLUMNS))
            .row()
            .text(Some(&id))
            .time(Some(received_at))
            .text(Some(reason))
            .text(Some(detail))
            .text(Some(origin))
            .bytes(body)
            .finish();
    }

    /// Publishes the documents durably. Returns the bytes written, 0 if there are no documents.
    ///
    /// # Errors
    /// If the segment cannot be made durable.
    pub async fn publish(self, store: &Store, received_at: i64) -> Result<usize, StoreError> {
        let Some(builder) = self.builder else { return Ok(0) };
        let bytes = builder.finish()?;
        let length = bytes.len();
        store.publish(table::QUARANTINE, day_of(received_at), received_at, bytes).await?;
        Ok(length)
    }
}

/// A document in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Hash of body and reason.
    pub id: String,
    /// Time of arrival, epoch milliseconds.
    pub received_at: i64,
    /// Reason for the quarantine.
    pub reason: String,
    /// Details of the reason.
    pub detail: Option<String>,
    /// File or queue from which the document was read.
    pub origin: String,
    /// The document as it arrived.
    pub body: Vec<u8>,
}

/// Documents of a batch of rows; the error is the cause as text.
fn documents(batch: &RecordBatch) -> Result<Vec<Quarantined>, String> {
    let column =
        |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column `{name}`"));
    let text = |name: &str| {
        column(name)?.as_string_opt::<i32>().ok_or_else(|| format!("column `{name}` is not text"))
    };
    let (ids, reasons, details, origins) =
        (text("id")?, text("reason")?, text("detail")?, text(table::ORIGIN)?);
    let times = column(table::RECEIVED_AT)?
        .as_primitive_opt::<TimestampMillisecondType>()
        .ok_or("column `received_at` is not a timestamp")?;
    let bodies = column("body")?.as_binary_opt::<i32>().ok_or("column `body` is not binary")?;
    let document = |row| Quarantined {
        id: ids.value(row).to_owned(),
        received_at: times.value(row),
        reason: reasons.value(row).to_owned(),
        detail: Some(details.value(row)).filter(|detail| !detail.is_empty()).map(str::to_owned),
        origin: origins.value(row).to_owned(),
        body: bodies.value(row).to_vec(),
    };
    Ok((0..batch.num_rows()).map(document).collect())
}

/// All documents in quarantine, each once, oldest first.
///
/// # Errors
/// If a segment cannot be read.
pub async fn list(store: &Store) -> Result<Vec<Quarantined>, StoreError> {
    read_all(store, &store.segments(table::QUARANTINE).await?).await
}

/// All documents in some segments of the quarantine, each once, oldest first.
///
/// # Errors
/// If a segment cannot be read.
pub async fn read_all(store: &Store, segments: &[Segment]) -> Result<Vec<Quarantined>, StoreError> {
    let mut all = Vec::new();
    for segment in segments {
        let each = |batch: &RecordBatch| {
            all.extend(documents(batch).map_err(|why| store.read_error(segment, &why))?);
            Ok(())
        };
        store.read(table::QUARANTINE, segment, None, each).await?;
    }
    all.sort_by(|a, b| a.received_at.cmp(&b.received_at).then_with(|| a.id.cmp(&b.id)));
    let mut ids = std::collections::HashSet::new();
    all.retain(|document| ids.insert(document.id.clone()));
    Ok(all)
}
