//! Sorted times of events by scope, and windows over them. Plain numbers, pure.

pub mod model;
pub mod send_counts;
pub mod times;
pub mod windows;
