//! Entry points for the fuzz targets in `fuzz/`: the path of a document from its bytes into a batch.

use std::sync::Arc;

use crate::batch_builder::BatchBuilder;
use crate::decode::documents::{SPANS_MAX, Splitter, split_some};
use crate::decode::limits::{ROW_BYTES_MAX, ROWS_MAX};
use crate::source::delivery::Delivery;

/// Maximum number of bytes by which the rows of one event can exceed the limit of its document.
const EVENT_BYTES: usize = 1_000 * 128 * 1024;

/// A batch after all documents of a file were decoded into it.
#[derive(Debug)]
pub struct FilledBatch {
    documents: u64,
    builder: BatchBuilder,
}

/// Splits the bytes of a file into documents, and decodes each document.
pub fn decode_file(bytes: &[u8]) -> FilledBatch {
    let (mut start, mut splitter) = (0, Splitter::new(bytes));
    let mut batch = FilledBatch { documents: 0, builder: BatchBuilder::default() };
    loop {
        let (spans, consumed) = split_some(&bytes[start..], true, &mut splitter);
        let is_end = spans.len() < SPANS_MAX;
        batch.documents += spans.len() as u64;
        let part = bytes[start..start + consumed].to_vec();
        let delivery = Delivery::documents(part, spans, Arc::from("fuzz"), 1_800_000_000_000);
        for span in delivery.documents.iter().flatten() {
            batch.builder.decode_span(&delivery, span);
        }
        start += consumed;
        if is_end {
            assert_eq!(start, bytes.len(), "all bytes are consumed");
            return batch;
        }
    }
}

impl FilledBatch {
    /// Checks the memory limits, and that each document has an outcome. `length` is the size of the
    /// file in bytes.
    pub fn check(mut self, length: usize) {
        self.builder.encode_if_due().expect("rows can be encoded");
        let batch = self.builder.batch();
        let counts = batch.counts();
        assert!(!counts.quarantined.contains_key("panicked"), "the decoder panicked");
        let outcomes = counts.events + counts.ignored_total() + counts.quarantined_total();
        assert!(outcomes >= self.documents, "{outcomes} outcomes of {} documents", self.documents);
        let (rows, bytes) = batch.total();
        let documents = usize::try_from(self.documents).unwrap_or(usize::MAX).max(1);
        assert!(rows <= documents.saturating_mul(ROWS_MAX + 1_000), "{rows} rows");
        assert!(bytes <= documents.saturating_mul(ROW_BYTES_MAX + EVENT_BYTES), "{bytes} bytes");
        // an event repeats its fields for 1,000 recipients, and a payload unpacks to 128 times its size
        assert!(bytes <= length.saturating_mul(3_000 * 128), "{bytes} bytes of rows from {length}");
        // the limit is checked between rows, so one row can exceed it
        let max = 40 * 1024 * 1024 + length * 300;
        assert!(batch.memory_bytes() <= max, "{} bytes in memory", batch.memory_bytes());
    }
}
