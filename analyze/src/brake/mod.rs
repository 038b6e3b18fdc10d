//! The brake: pauses sending while a rate is critical, so that the owner of the account does it before AWS does.
//!
//! - `rule`: what the brake pauses, and when a check demands it
//! - `state`: what it remembers between runs, part of the alert state
//! - `run`: one run: reads whether sending is allowed, pauses, resumes after the configured time, never undoes a human
//! - `report`: the part of a check about the brake
//!
//! Calls of AWS are behind a trait; everything else is pure.

pub mod report;
pub mod rule;
pub mod run;
pub mod state;
#[cfg(test)]
mod tests;
