//! Types shared by the command line and the settings file.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How addresses of recipients are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AddressPolicy {
    /// Unchanged
    #[default]
    Keep,
    /// As h-HASH@domain, a hash with the key of the settings
    Hash,
    /// As d-HASH@domain, a hash that is the same only within one message
    Drop,
}
