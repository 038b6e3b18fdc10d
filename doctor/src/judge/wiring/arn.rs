//! Components of ARNs.

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
