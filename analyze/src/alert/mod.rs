//! Telling people what is new, once: what a check says becomes alarms that are remembered between runs, and each
//! channel is told of what changed. Pure up to the channels and the file.

pub mod advance;
pub mod exec;
pub mod file;
pub mod message;
pub mod observe;
#[cfg(test)]
mod samples;
pub mod sns;
pub mod state;
#[cfg(test)]
mod tests;
mod words;

pub use message::{Message, messages};

/// When people are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// A level falls when it was not reached for so long, in milliseconds.
    pub clear_after_ms: i64,
    /// The part of a threshold below which a rate must be to be below a level that it has: 0 to 1.
    pub clear_below: f64,
    /// What still holds is told again after so many milliseconds; `None` never.
    pub renotify_after_ms: Option<i64>,
}

/// What a run was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Windows, as they are typed.
    pub windows: Vec<String>,
    /// Cuts by the names of their words, account and region among them.
    pub cuts: Vec<Vec<String>>,
}
