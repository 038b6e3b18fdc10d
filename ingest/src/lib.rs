//! Ingest email events of Amazon SES and WorkMail from queues, files, S3 and log groups into a store of Parquet files.
//!
//! A message is deleted from its queue only after its events are durable. An event may be stored
//! more than once; the scan of `bouncewatch-analyze` counts it once.
//!
//! | module | purpose |
//! |---|---|
//! | [`pipeline`] | run sources, workers and store: receive -> decode -> batch -> make durable -> delete |
//! | [`source`] | read SQS queues, files, S3 objects and log groups of CloudWatch Logs |
//! | [`decode`] | split bytes into documents, unwrap envelopes (SNS, EventBridge, ...), normalise events to rows |
//! | [`send_counts`] | import the number of sent mails for accounts without Send events |
//! | [`telemetry`] | metrics, health, log lines, and the HTTP endpoint that serves them |
//!
//! Start with [`pipeline::run`]. `src/pipeline.md` explains the order of the steps, the state after a crash, and how a
//! run ends. `examples/ingest_file.rs` ingests one file:
//!
//! ```sh
//! cargo run -p bouncewatch-ingest --example ingest_file -- fixtures/sample/week.ndjson.gz /tmp/store
//! ```

mod batch;
mod batch_builder;
mod compression;
pub mod decode;
mod duplicates;
mod enrich;
#[cfg(fuzzing)]
pub mod fuzzing;
mod pending_batch;
pub mod pipeline;
pub mod replay;
pub mod send_counts;
pub mod source;
pub mod telemetry;
