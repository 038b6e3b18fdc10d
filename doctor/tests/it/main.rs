//! Integration tests of the crate: cases as data, output, and the calls of AWS against servers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the environment and write files of their own"
)]

#[cfg(feature = "aws")]
mod account_of_server;
mod cases;
mod hostile;
mod output;
#[cfg(feature = "aws")]
mod policy;
#[cfg(feature = "aws")]
mod scripted;
