//! Sorted event times by scope, and windows over them. Plain numbers, no I/O.

mod attempts;
mod basis;
mod denominator;
mod outcome;
mod scope;
mod scope_timeline;
pub mod send_counts;
pub mod times;
mod window;
mod windows;

pub use basis::Basis;
pub use denominator::Denominator;
pub use outcome::Outcome;
pub use scope::{ACCOUNT_COLUMNS, Dimension, EXCLUSION_REASON, Grouping, Scope, ScopeValues};
pub(crate) use scope::{NO_FEEDBACK, NO_VALUE};
pub use scope_timeline::Timeline;
pub use times::TimePosition;
pub use window::{Window, WindowSpan, parse_duration_ms};
pub use windows::{
    MeasuredWindow, WindowCounts, attempts_until, measure_span, measure_window,
    measure_with_denominator, needs_pairs, window_start, window_start_hours,
};
