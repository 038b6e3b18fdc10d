//! Errors of importing send counts.

use bouncewatch_store::StoreError;

/// Errors of importing send counts.
#[derive(Debug, thiserror::Error)]
pub enum SendCountsError {
    /// The source does not name a region.
    #[error(
        "not a region: `{0}`\n  hint: write ses-statistics:REGION, e.g. ses-statistics:eu-west-1"
    )]
    NotARegion(String),
    /// The account is not an account ID.
    #[error(
        "not an AWS account ID: give 12 digits\n  hint: `aws sts get-caller-identity` shows the account"
    )]
    NotAnAccount,
    /// An IAM action is not allowed.
    #[error(
        "access to the SES statistics of {region} is denied: {action}\n  hint: allow {action} for these credentials, on resource *"
    )]
    Denied {
        /// IAM action.
        action: &'static str,
        /// Region.
        region: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error(
        "AWS does not accept the credentials: {action} in {region}: {why}\n  hint: `aws sts get-caller-identity` shows the credentials in use; renew them (`aws sso login`, a new session, the instance role)"
    )]
    Credentials {
        /// IAM action.
        action: &'static str,
        /// Region.
        region: String,
        /// Error code and message of AWS.
        why: String,
    },
    /// AWS did not respond.
    #[error(
        "could not read the SES statistics of {region}: {action}: {why}\n  hint: check the network and the name of the region; test with `aws ses get-send-quota --region {region}`"
    )]
    Unreachable {
        /// IAM action.
        action: &'static str,
        /// Region.
        region: String,
        /// Network error.
        why: String,
    },
    /// Any other error of AWS.
    #[error("could not read the SES statistics of {region}: {action} failed: {why}")]
    Failed {
        /// IAM action.
        action: &'static str,
        /// Region.
        region: String,
        /// Error code and message of AWS.
        why: String,
    },
    /// A file cannot be read.
    #[error("could not read the send counts in `{path}`: {source}")]
    Read {
        /// The file.
        path: String,
        /// Cause reported by the operating system.
        source: std::io::Error,
    },
    /// A file is not a CSV file of send counts.
    #[error("`{path}` is not a CSV file of send counts: {why}\n  hint: {hint}")]
    InvalidCsv {
        /// The file.
        path: String,
        /// Reason.
        why: String,
        /// Next step for the operator.
        hint: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
