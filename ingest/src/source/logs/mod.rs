//! CloudWatch Logs: reads the log events of a group, such as the email event log of WorkMail.
//!
//! `group` finds the group and reads pages, `pull` reads all pages since the cursor, and `cursor` keeps the time up to
//! which all events are durable.

mod cursor;
mod error;
mod group;
mod pull;
mod settings;

pub use error::LogsError;
pub use group::{LogGroup, is_group, region_of};
pub use pull::run;
pub use settings::LogsSettings;
