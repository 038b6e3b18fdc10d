//! The store, in a folder or in a bucket: open, list, publish, read, compact, retain, forget, verify.
//!
//! A reader sees a whole segment or none. `open` opens a store and is the only module that publishes segments.
//! `segment` encodes rows of the event table, `quarantine` and `send_counts` those of the other tables. `list` gives a
//! listing that is complete while consumers publish and a compactor replaces segments; `cache` copies a bucket to a
//! local folder. `compact` merges the segments of a day; `retain` and `forget` rewrite segments.

pub mod addresses;
pub mod aws;
pub mod cache;
pub mod compact;
pub mod compacted_name;
mod day;
mod error;
pub mod forget;
pub mod list;
mod open;
pub mod quarantine;
mod read;
pub mod retain;
mod rewrite;
pub mod segment;
mod segment_writer;
pub mod send_counts;
pub mod shutdown;
pub mod verify;

pub use error::{Problem, StoreError};
pub use open::{Segment, Store, StoreUrl};
