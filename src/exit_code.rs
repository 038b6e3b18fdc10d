//! Exit codes. Those of `check` itself (0 to 3) come from its result.

/// The command is done, but the operator should look at the result, e.g. at quarantined documents.
pub(crate) const ATTENTION: u8 = 1;
/// The command failed, or its arguments are wrong.
pub(crate) const FAILED: u8 = 2;
/// `check` failed, or its arguments are wrong: UNKNOWN in the convention of Nagios plugins.
pub(crate) const UNKNOWN: u8 = 3;
