//! The brake: pauses sending while a rate is critical, before AWS pauses the account.
//!
//! - `rule`: what the brake pauses, and when a check demands it
//! - `state`: state of the brake between runs, part of the alert state
//! - `run`: one run: reads whether sending is allowed, pauses, resumes after the configured time;
//!   never reverts a change by an operator
//! - `report`: the part of a check about the brake
//!
//! Calls of AWS are behind a trait; everything else is pure.

pub mod report;
pub mod rule;
pub mod run;
pub mod state;
#[cfg(test)]
mod tests;
