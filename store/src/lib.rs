//! A store of email events as Parquet segments, in a folder or in an S3 bucket: list, publish, read, compact, retain,
//! forget and verify.
//!
//! # Layout
//!
//! ```text
//! events/date=2026-11-19/NAME.parquet                    one row per event and recipient
//! quarantine/date=2026-11-19/NAME.parquet                documents that could not be read
//! volumes/NAME.parquet                                   imported send counts, no folders of days
//! damaged/events/date=2026-11-19/NAME.parquet            damaged segments that were moved aside
//! events/date=2026-11-19/SET.sealed.parquet              a compacted day in one segment
//! events/date=2026-11-19/SET.sealed-1of3.parquet         a compacted day in several segments
//! ```
//!
//! # Modules
//!
//! | module | content |
//! |---|---|
//! | [`Store`], [`StoreUrl`], [`Segment`] | open a store, publish, list and remove objects |
//! | [`segment`], [`quarantine`], [`send_counts`] | rows of the three tables to and from Parquet |
//! | [`list`] | listings that stay correct during compaction |
//! | [`StoreFiles`], [`BucketFiles`] | the files that the analysis reads; local copies of parts of a bucket |
//! | [`compact`], [`retain`], [`forget`] | merge the segments of a day; remove old rows; remove an address |
//! | [`repair`] | move damaged segments aside |
//! | [`stats`], [`verify`], [`check_segment_file`] | count rows; read every row; check one file |
//! | [`lease_holder`], [`leased_object`] | an object that one process at a time changes |
//! | [`addresses`] | redaction of recipient addresses before they are stored |
//! | [`aws`], [`shutdown`] | AWS settings and S3 errors; time limits while a run shuts down |
//!
//! # Invariants
//!
//! - A reader sees a complete segment or none. In a folder, to publish is: stage, write, fsync, rename, fsync the
//!   folder. In a bucket, it is one `PutObject` or one multipart upload, which S3 makes visible atomically.
//! - Segments never change, and no name is used twice. A change is a new segment; then the old one is removed.
//! - Replacements are published durably before the segments that they replace are removed. A crash between the two
//!   steps leaves copies of events, never a gap. Readers count copies once.
//! - Every reader checks the table and the format version in the footer. A newer format is refused, never guessed.
//! - Every reader checks the checksum of a segment, or those of the columns that it reads, before rows are used. A damaged segment is an error, and
//!   replaces no other segment.

pub mod addresses;
pub mod aws;
mod bucket_files;
mod checksum;
mod chunk_checksums;
pub mod compact;
pub mod compacted_name;
mod compare_and_swap;
mod day;
mod error;
mod files;
pub mod forget;
mod layout;
pub mod lease_holder;
pub mod leased_object;
pub mod list;
mod open;
pub mod quarantine;
mod quiet_panic;
mod read;
pub mod repair;
pub mod retain;
mod rewrite;
mod schema;
pub mod segment;
mod segment_file;
mod segment_writer;
pub mod send_counts;
pub mod shutdown;
pub mod stats;
mod table_builder;
mod upgrade;
pub mod verify;

pub use bucket_files::{BucketFiles, CopyFolder, SharedObject, folder_name};
pub use checksum::{is_json_damaged, json_with_checksum};
pub use error::{Problem, StoreError};
pub use files::StoreFiles;
pub use open::{Segment, Store, StoreUrl};
pub use read::{SegmentFacts, check_segment_file};
pub use segment_file::SegmentFile;
