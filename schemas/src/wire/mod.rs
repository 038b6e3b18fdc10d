//! The JSON shapes in which events arrive: `mail`, the detail objects, and the envelopes around them.
//!
//! Each type accepts any JSON value in any position: unknown keys are ignored, a value of the wrong type counts as
//! missing, the last of several equal keys wins. Only text that is not valid JSON is an error.

pub mod account;
pub mod envelope;
pub mod inplace;
pub mod lenient;
pub mod ses;
