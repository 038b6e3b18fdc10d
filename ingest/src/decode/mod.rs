//! Bytes of a document become rows of the event table. Pure: no I/O, no clock (invariant I-6).
//!
//! `documents` splits bytes into documents, `envelope` unwraps each document, `normalise` makes rows of the event inside.
//! `context` holds what the envelopes say, `outcome` the reasons why a document is ignored or quarantined.

pub mod allow_list;
mod arn;
mod context;
pub mod documents;
mod envelope;
mod log_lines;
mod normalise;
pub mod outcome;
mod pointer_search;
pub mod pointers;
mod repair;

pub use context::{Context, Sink};
pub use envelope::{document, peel_all};
pub use pointer_search::pointers;
