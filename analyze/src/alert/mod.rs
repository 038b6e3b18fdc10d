//! Alerts: compare a check with the alert state, and notify channels of changes.
//!
//! - `policy`: when alerts clear and repeat; which windows and groupings a run evaluates
//! - `state`, `timestamp`, `state_file`, `state_location`: alert state between runs, and its file
//!   or object `alerts.json`
//! - `evaluation`: check -> condition of each possible alert
//! - `transition`: alert state + evaluation -> next alert state
//! - `notification`: pending notifications of a channel, and their delivery
//! - `message`, `text`: notifications -> messages; `verdicts`: verdicts of an alert
//! - `test_message`: the message that tests a channel
//! - `exec`, `sns`, `webhook`: channels
//!
//! All modules except `state_file` and the channels are pure.

pub mod evaluation;
pub mod exec;
pub mod message;
pub mod notification;
pub mod policy;
pub mod sns;
pub mod state;
pub mod state_file;
pub mod state_location;
#[cfg(test)]
pub(crate) mod test_data;
pub mod test_message;
#[cfg(test)]
mod tests;
mod text;
pub mod timestamp;
pub mod transition;
mod verdicts;
pub mod webhook;

pub use message::{Message, MessageContext, messages};
pub use policy::{AlertPolicy, AlertScope};
