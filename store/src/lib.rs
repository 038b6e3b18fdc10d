//! A store of email events as Parquet segments, in a folder or in an S3 bucket: list, publish, read, compact, retain,
//! forget and verify.
//!
//! # Layout
//!
//! ```text
//! events/date=2026-11-19/NAME.parquet                    one row per event and recipient
//! events/date=2026-11-19/NAME.failures.parquet           many rows: bounces, complaints and delays
//! events/date=2026-11-19/NAME.others.parquet             and all other events
//! quarantine/date=2026-11-19/NAME.parquet                unreadable documents
//! volumes/NAME.parquet                                   imported send counts, without day folders
//! damaged/events/date=2026-11-19/NAME.parquet            damaged segments, moved by `store repair`
//! events/date=2026-11-19/SET.sealed.parquet              a compacted day in one segment
//! events/date=2026-11-19/SET.sealed-1of2.others.parquet  a compacted day in several segments
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
//! | [`repair`] | move damaged segments to the folder `damaged` |
//! | [`stats`], [`verify`], [`check_segment_file`] | count rows; read every row; check one file |
//! | [`lease_holder`], [`leased_object`] | an object with a lease: one writer at a time |
//! | [`addresses`] | redaction of recipient addresses before they are stored |
//! | [`aws`], [`shutdown`] | AWS settings and S3 errors; time limits while a run shuts down |
//!
//! # Invariants
//!
//! - A reader sees a complete segment or none. Publishing to a folder: stage, write, fsync, rename,
//!   fsync the folder. Publishing to a bucket: one `PutObject` or one multipart upload, which S3
//!   makes visible atomically.
//! - Segments are immutable, and no name is used twice. To change rows, a new segment is published;
//!   then the old segment is removed.
//! - Replacements are published durably before the segments that they replace are removed. A crash
//!   between the two steps leaves copies of events; no event is lost. Readers count each event
//!   once.
//! - Every reader checks the table and the format version in the footer. A newer format version is
//!   an error.
//! - Every reader verifies the checksum of a segment, or the checksums of the columns that it
//!   reads, before it uses rows. A damaged segment is an error, and never replaces another segment.

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
mod segment_content;
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
pub use segment_content::SegmentContent;
pub use segment_file::SegmentFile;
