//! Tests of the room from the outside: payloads as data, sources against real servers, crashes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the environment and write files of their own"
)]

mod contract;
mod corpus;
mod erasure;
mod gate;
mod logs;
mod meddling;
mod objects;
mod queue;
mod scripted;
mod server;
mod stored;
mod stores;
mod upkeep;
mod volumes;
mod watched;
