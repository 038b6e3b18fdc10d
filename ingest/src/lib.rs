//! Delivery events from queues, files, buckets and logs become durable rows of a store.
//!
//! `source` hands deliveries to the workers, `decode` turns bytes into rows, `batch` collects rows, and the store makes
//! them durable; only then a message is deleted. `pipeline` is the only module that knows this order. `send_counts`
//! imports the number of mails sent, `telemetry` reports metrics, health and log lines. No polars.

mod batch;
pub mod decode;
mod duplicates;
pub mod pipeline;
pub mod send_counts;
pub mod source;
pub mod telemetry;
