//! Encodes rows of the event table as a Parquet segment.

use bouncewatch_schemas::event::EventRow;
use bouncewatch_schemas::table;

use crate::error::StoreError;
use crate::table_builder::TableBuilder;

/// Collects events of one day, and encodes them as a segment.
pub struct EventSegment {
    builder: TableBuilder,
    scratch: Vec<u8>,
    /// Text bytes of the rows that are not encoded yet.
    unencoded_bytes: usize,
}

impl std::fmt::Debug for EventSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventSegment").field("rows", &self.len()).finish_non_exhaustive()
    }
}

impl Default for EventSegment {
    fn default() -> Self {
        Self {
            builder: TableBuilder::new(table::EVENTS, table::COLUMNS),
            scratch: Vec::new(),
            unencoded_bytes: 0,
        }
    }
}

impl EventSegment {
    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a panic interrupted adding or encoding rows, so that the segment cannot be finished.
    pub fn is_incomplete(&self) -> bool {
        self.builder.is_incomplete()
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
        self.unencoded_bytes += text_bytes;
        self.builder
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

    /// Encodes the remaining rows, and returns the finished segment.
    ///
    /// # Errors
    /// If the rows cannot be encoded.
    pub fn finish(self) -> Result<Vec<u8>, StoreError> {
        self.builder.finish()
    }

    /// Number of rows that are not encoded yet.
    pub fn unencoded_rows(&self) -> usize {
        self.builder.unencoded_rows()
    }

    /// Text bytes of the rows that are not encoded yet.
    pub fn unencoded_bytes(&self) -> usize {
        self.unencoded_bytes
    }

    /// Whether at least one portion of rows is already encoded.
    pub fn has_encoded_rows(&self) -> bool {
        self.builder.has_encoded_rows()
    }

    /// Encodes the rows so far, which frees most of their memory.
    ///
    /// # Errors
    /// If the rows cannot be encoded.
    pub fn encode(&mut self) -> Result<(), StoreError> {
        self.unencoded_bytes = 0;
        self.builder.encode()
    }
}
