//! Components of ARNs.

use crate::snapshot::Snapshot;

/// A component of an ARN by number: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`; empty if it is missing.
fn component(arn: &str, at: usize) -> &str {
    arn.splitn(6, ':').nth(at).unwrap_or_default()
}

pub(super) fn partition(arn: &str) -> &str {
    component(arn, 1)
}

pub(super) fn region(arn: &str) -> &str {
    component(arn, 3)
}

pub(super) fn account(arn: &str) -> &str {
    component(arn, 4)
}

/// Name of a topic or queue.
pub(super) fn name(arn: &str) -> &str {
    component(arn, 5)
}

/// Whether the resource belongs to another account than the credentials: AWS may answer that it does not exist because
/// access is not allowed.
pub(super) fn is_foreign(snapshot: &Snapshot, arn: &str) -> bool {
    snapshot.account_id.value().is_some_and(|own| own != account(arn))
}

/// The ARN as an argument of a command, or a placeholder if it has characters that a shell interprets.
pub(super) fn argument<'a>(arn: &'a str, placeholder: &'a str) -> &'a str {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":/_.-".contains(c);
    if arn.starts_with("arn:") && arn.chars().all(is_plain) { arn } else { placeholder }
}
