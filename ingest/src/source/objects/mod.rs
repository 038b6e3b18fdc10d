//! Objects in S3: archives of events as Firehose, EventBridge or Lambda write them, in every format in which files are
//! read.
//!
//! `listing` finds one object or all objects below a prefix, `reader` reads one object, and [`notifications`] reads the
//! objects that messages of a queue point to.

pub(crate) mod error;
mod listing;
pub mod notifications;
mod object;
mod reader;

pub use error::ObjectError;
pub use listing::{Objects, ObjectsSummary, is_object};
