//! The whole command: what it prints, its exit code, and its numbers, against servers and a referee that are not ours.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the environment and write files of their own"
)]

mod aggregates;
mod alarms;
mod command;
mod counting;
mod emulator;
mod explain;
mod failures;
mod levels;
mod messages;
mod numbers;
mod objects;
mod outputs;
mod queue;
mod rules;
mod storm;
mod suppress;
mod together;
mod upkeep;
mod volumes;
mod watch;
mod workmail;
