//! The shapes in which events arrive (`mail`, the details, and the envelopes around them).
//!
//! Every type here accepts any JSON value in any place: unknown fields are dropped, a value of the wrong type
//! counts as missing, the last of two equal keys wins. Only text that is not JSON at all is an error.

pub mod envelope;
pub mod inplace;
pub mod lenient;
pub mod notification;
mod scalar;
pub mod ses;
mod unpack;
