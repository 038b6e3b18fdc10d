//! Reads S3 objects: archives of events from Firehose, EventBridge or Lambda, in the same formats
//! as files.
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
