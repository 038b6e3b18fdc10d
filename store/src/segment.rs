//! Encodes rows of the event table as a Parquet segment.

use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::table;

use crate::error::StoreError;
use crate::segment_content::{SPLIT_ROWS_MIN, SegmentContent};
use crate::table_builder::TableBuilder;

/// Unencoded failures at which [`EventSegment::encode_most`] encodes them. An encoder takes more memory than fewer rows.
const FAILURES_MAX: usize = 4 * 1024;

/// Collects events of one day, and encodes them as a segment, or as two: see [`SegmentContent`].
pub struct EventSegment {
    failures: TableBuilder,
    others: TableBuilder,
    scratch: Vec<u8>,
    /// Text bytes of the failures that are not encoded yet.
    failure_bytes: usize,
    /// Text bytes of the other events that are not encoded yet.
    other_bytes: usize,
}

impl std::fmt::Debug for EventSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSegment").field("rows", &self.len()).finish_non_exhaustive()
    }
}

/// An encoded segment.
#[derive(Debug)]
pub struct EncodedSegment {
    /// Which events it contains.
    pub content: SegmentContent,
    /// The Parquet file.
    pub bytes: Vec<u8>,
}

impl Default for EventSegment {
    fn default() -> Self {
        let builder = || TableBuilder::new(table::EVENTS, table::COLUMNS);
        Self {
            failures: builder(),
            others: builder(),
            scratch: Vec::new(),
            failure_bytes: 0,
            other_bytes: 0,
        }
    }
}

impl EventSegment {
    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.failures.len() + self.others.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a panic interrupted adding or encoding rows, so that the segment cannot be finished.
    pub fn is_incomplete(&self) -> bool {
        self.failures.is_incomplete() || self.others.is_incomplete()
    }

    /// Adds a row.
    pub fn push(&mut self, row: &EventRow<'_>) {
        let event_key = self.event_key(row);
        self.push_with_key(row, event_key);
    }

    /// Returns the key that identifies an event.
    pub fn event_key(&mut self, row: &EventRow<'_>) -> u64 {
        row.event_key(&mut self.scratch)
    }

    /// Adds a row with the event key that it had before its recipient was redacted. Returns the
    /// text bytes of the row.
    pub fn push_with_key(&mut self, row: &EventRow<'_>, event_key: u64) -> usize {
        let text_bytes = row.text_bytes();
        let (builder, bytes) = if row.kind.is_failure() {
            (&mut self.failures, &mut self.failure_bytes)
        } else {
            (&mut self.others, &mut self.other_bytes)
        };
        *bytes += text_bytes;
        builder
            .row()
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
            .hash(event_key)
            .text(row.reported_recipient)
            .finish();
        text_bytes
    }

    /// Encodes the remaining rows, and returns the finished segments: one for few rows, two for many.
    ///
    /// # Errors
    /// If the rows cannot be encoded.
    pub fn finish(self) -> Result<Vec<EncodedSegment>, StoreError> {
        let is_small = self.len() < SPLIT_ROWS_MIN;
        let Self { failures, others, .. } = self;
        // rows that are encoded already cannot be moved
        let is_one = is_small && !(failures.has_encoded_rows() && others.has_encoded_rows());
        let parts = if is_one {
            let (mut whole, rest) =
                if failures.has_encoded_rows() { (failures, others) } else { (others, failures) };
            if rest.len() > 0 {
                whole.encode()?;
                whole.append(rest)?;
            }
            vec![(SegmentContent::Any, whole)]
        } else {
            // first the sends: a reader between the two sees a rate that is too low for a moment, and raises no alert
            vec![(SegmentContent::Others, others), (SegmentContent::Failures, failures)]
        };
        let parts = parts.into_iter().filter(|(_, builder)| builder.len() > 0);
        parts
            .map(|(content, builder)| Ok(EncodedSegment { content, bytes: builder.finish()? }))
            .collect()
    }

    /// Number of rows that are not encoded yet.
    pub fn unencoded_rows(&self) -> usize {
        self.failures.unencoded_rows() + self.others.unencoded_rows()
    }

    /// Text bytes of the rows that are not encoded yet.
    pub fn unencoded_bytes(&self) -> usize {
        self.failure_bytes + self.other_bytes
    }

    /// Whether at least one portion of rows is already encoded.
    pub fn has_encoded_rows(&self) -> bool {
        self.failures.has_encoded_rows() || self.others.has_encoded_rows()
    }

    /// Encodes the rows so far, which frees most of their memory.
    ///
    /// # Errors
    /// If the rows cannot be encoded.
    pub fn encode(&mut self) -> Result<(), StoreError> {
        self.encode_failures()?;
        self.encode_others()
    }

    /// The same, except for few failures.
    ///
    /// # Errors
    /// If the rows cannot be encoded.
    pub fn encode_most(&mut self) -> Result<(), StoreError> {
        if self.failures.unencoded_rows() >= FAILURES_MAX {
            self.encode_failures()?;
        }
        self.encode_others()
    }

    fn encode_failures(&mut self) -> Result<(), StoreError> {
        self.failure_bytes = 0;
        if self.failures.unencoded_rows() == 0 { Ok(()) } else { self.failures.encode() }
    }

    fn encode_others(&mut self) -> Result<(), StoreError> {
        self.other_bytes = 0;
        if self.others.unencoded_rows() == 0 { Ok(()) } else { self.others.encode() }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::{Array, RecordBatch};
    use bouncewatch_schemas::event::EventKind;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    /// The content of each segment, and the kinds of its rows.
    fn finished(segment: EventSegment) -> Vec<(SegmentContent, Vec<String>)> {
        let kinds = |rows: &RecordBatch| -> Vec<String> {
            let kinds = rows.column_by_name(table::KIND).unwrap().as_string::<i32>().clone();
            (0..kinds.len()).map(|row| kinds.value(row).to_owned()).collect()
        };
        let parsed = |EncodedSegment { content, bytes }| {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
            let batches = reader.unwrap().build().unwrap().map(Result::unwrap);
            (content, batches.flat_map(|rows| kinds(&rows)).collect())
        };
        segment.finish().unwrap().into_iter().map(parsed).collect()
    }

    /// Adds `number` rows, of which every `failures`-th one is a bounce.
    fn push(segment: &mut EventSegment, number: usize, failures: usize) {
        for row in 0..number {
            let is_failure = row % failures == 0;
            let kind = if is_failure { EventKind::Bounce } else { EventKind::Send };
            segment.push(&EventRow { message_id: "m", ..EventRow::of_kind(kind) });
        }
    }

    #[test]
    fn many_rows_are_two_segments_and_few_are_one() {
        use SegmentContent::{Any, Failures, Others};
        let small = SPLIT_ROWS_MIN - 1;
        for (rows, failures, encodes, expected) in [
            (1, 1, false, vec![(Any, 1)]),
            (small, 10, false, vec![(Any, small)]),
            // encoded meanwhile
            (small, 10, true, vec![(Any, small)]),
            (SPLIT_ROWS_MIN, 10, false, vec![(Others, 9_000), (Failures, 1_000)]),
            (SPLIT_ROWS_MIN, 10, true, vec![(Others, 9_000), (Failures, 1_000)]),
            (SPLIT_ROWS_MIN, 1, false, vec![(Failures, SPLIT_ROWS_MIN)]),
        ] {
            let mut segment = EventSegment::default();
            push(&mut segment, rows, failures);
            assert_eq!(segment.len(), rows);
            if encodes {
                segment.encode_most().unwrap();
                assert_eq!(segment.unencoded_rows(), rows.div_ceil(failures));
                assert!(segment.has_encoded_rows());
            }
            let found = finished(segment);
            let counts: Vec<_> =
                found.iter().map(|(content, rows)| (*content, rows.len())).collect();
            assert_eq!(counts, expected);
            for (content, kinds) in &found {
                let is_failure = |kind: &String| EventKind::parse(kind).unwrap().is_failure();
                assert!(kinds.iter().all(|kind| content.contains(is_failure(kind))), "{content:?}");
            }
        }
    }

    #[test]
    fn few_rows_stay_two_segments_if_both_are_encoded() {
        let mut segment = EventSegment::default();
        push(&mut segment, 20, 2);
        segment.encode().unwrap();
        assert_eq!((segment.unencoded_rows(), segment.unencoded_bytes()), (0, 0));
        push(&mut segment, 2, 2);
        let found = finished(segment);
        let counts: Vec<_> = found.iter().map(|(content, rows)| (*content, rows.len())).collect();
        assert_eq!(counts, [(SegmentContent::Others, 11), (SegmentContent::Failures, 11)]);
    }
}
