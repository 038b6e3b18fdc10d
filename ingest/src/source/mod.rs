//! Sources of events: files, S3 objects, SQS queues and log groups of CloudWatch Logs.
//!
//! A source sends [`delivery::Delivery`] units to the workers over an [`intake::Intake`]. A
//! delivery may carry a [`receipt::Receipt`], which informs the source when the delivery is durable
//! (invariant I-1). Only then the source deletes the message or moves its cursor.

mod backoff;
pub(crate) mod buffer_pool;
pub mod delivery;
pub mod files;
pub mod intake;
pub mod logs;
pub mod objects;
pub mod receipt;
pub mod sqs;
