//! Sources of events: files, S3 objects, SQS queues and log groups of CloudWatch Logs.
//!
//! A source hands [`delivery::Delivery`] units to the workers over an [`intake::Intake`]. A delivery may carry a
//! [`receipt::Receipt`]. It informs the source when everything in the delivery is durable, and not before (invariant
//! I-1); only then a message is deleted or a cursor moves.

mod backoff;
pub(crate) mod buffer_pool;
pub mod delivery;
pub mod files;
pub mod intake;
pub mod logs;
pub mod objects;
pub mod receipt;
pub mod sqs;
