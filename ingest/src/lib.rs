//! Source -> decode -> normalise -> batch -> store -> settle.
//!
//! The room that takes delivery events and makes them durable. It knows nothing of polars, and the store is all that
//! it shares with the room that computes rates.

pub mod addresses;
pub mod allow;
pub mod aws;
mod batch;
pub mod decode;
pub mod documents;
pub mod journal;
pub mod live;
mod log_lines;
mod normalise;
pub mod outcome;
pub mod pipeline;
pub mod pointers;
mod recent;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod volumes;
pub mod watch;
