//! Components of ARNs; empty if the text is no ARN.

use bouncewatch_schemas::arn::Arn;

use crate::snapshot::Snapshot;

pub(super) fn partition(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.partition)
}

pub(super) fn region(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.region)
}

pub(super) fn account(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.account)
}

/// Name of a topic or queue.
pub(super) fn name(arn: &str) -> &str {
    Arn::parse(arn).map_or("", |arn| arn.resource)
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
