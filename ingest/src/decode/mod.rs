//! Decode the bytes of a document into rows of the event table. Pure: no I/O, no clock (invariant I-6).
//!
//! | module | purpose |
//! |---|---|
//! | [`documents`], `scan` | split bytes into documents |
//! | `envelope` | unwrap the envelopes around an event (SNS, EventBridge, Lambda, CloudWatch Logs, ...) |
//! | `shapes` | recognise envelopes and notices by their keys |
//! | `text`, `csv_rows` | recognise text that is not JSON: notices, lines of logs, rows of CSV files |
//! | `partial_lines` | join the parts of split log lines of containers |
//! | `nested_json` | expand JSON in strings |
//! | `payload` | decode base64 and decompress |
//! | `dynamodb` | convert `DynamoDB` JSON to plain JSON |
//! | `log_lines` | read lines of CloudWatch Logs |
//! | [`pointers`], `pointer_events`, `pointer_search` | read notifications about S3 objects, and list the objects of a message |
//! | `normalise` | convert SES and WorkMail events to rows |
//! | `limits` | maximum sizes of fields and documents |
//! | `context` | metadata from the envelopes, and the receiver of the rows |
//! | [`allow_list`] | accept only events of listed accounts, topics and identities |
//! | [`outcome`] | reasons why a document is ignored or quarantined |

pub mod allow_list;
mod arn;
mod context;
pub(crate) mod csv_rows;
pub mod documents;
mod dynamodb;
mod envelope;
pub(crate) mod limits;
mod log_lines;
mod nested_json;
mod normalise;
pub mod outcome;
mod partial_lines;
mod payload;
mod pointer_events;
mod pointer_search;
pub mod pointers;
#[cfg(test)]
mod properties;
mod repair;
mod scan;
mod shapes;
mod text;

pub use context::{DecodeContext, Sink};
pub use envelope::{decode_document, decode_documents};
pub use pointer_search::find_pointers;
