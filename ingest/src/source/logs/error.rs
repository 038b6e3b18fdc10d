//! [`LogsError`]: why a log group cannot be read, with a hint for the operator.

use aws_sdk_cloudwatchlogs::error::ProvideErrorMetadata;
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_store::StoreError;
use bouncewatch_store::aws::no_response_reason;

/// Why a log group cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The log group does not exist.
    #[error(
        "no such log group: {0}\n  hint: check account, region and name; list groups with `aws logs describe-log-groups`; WorkMail logs events only if email event logging is enabled"
    )]
    NoSuchGroup(String),
    /// An IAM permission is missing.
    #[error(
        "access to the log group is denied: {action} on {group}\n  hint: allow {action} for these credentials; a group given by ARN needs logs:FilterLogEvents, a group given by name also logs:DescribeLogGroups"
    )]
    Denied {
        /// The IAM action.
        action: &'static str,
        /// The group.
        group: String,
    },
    /// The credentials are missing, invalid or expired.
    #[error(
        "AWS does not accept the credentials: {action} on {group}: {why}\n  hint: show the credentials in use with `aws sts get-caller-identity`; renew them (`aws sso login`, a new session, the role of the instance); a run with --follow continues by itself"
    )]
    Credentials {
        /// The IAM action.
        action: &'static str,
        /// The group.
        group: String,
        /// The error of AWS or of the SDK.
        why: String,
    },
    /// CloudWatch Logs rejected a parameter. On a page after the first, the page token has expired.
    #[error("{action} on the log group {group} was refused: {why}")]
    Refused {
        /// The IAM action.
        action: &'static str,
        /// The group.
        group: String,
        /// The error of CloudWatch Logs.
        why: String,
    },
    /// Another error of CloudWatch Logs or of the network.
    #[error("could not use the log group {group}: {action} failed: {why}")]
    Failed {
        /// The IAM action.
        action: &'static str,
        /// The group.
        group: String,
        /// The error.
        why: String,
    },
    /// The argument is not a log group.
    #[error(
        "not a log group: {0}\n  hint: give cloudwatch-logs:NAME or its ARN (arn:aws:logs:REGION:ACCOUNT:log-group:NAME)"
    )]
    NotAGroup(String),
    /// Events of the group were not stored.
    #[error("events of the log group {0} were not stored; the next run reads them again")]
    NotStored(String),
    /// The cursor cannot be read.
    #[error(
        "could not read the cursor `{path}`: {why}\n  hint: remove it; the group is then read from its start or from --since; events that are already stored count once"
    )]
    Cursor {
        /// The path of the cursor.
        path: String,
        /// The reason.
        why: String,
    },
    /// The store of the cursor failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogsError {
    /// Whether a retry may succeed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Credentials { .. } | Self::Failed { .. } | Self::Refused { .. })
    }

    /// Converts an error of the SDK.
    pub(super) fn from_sdk<E>(action: &'static str, group: &str, error: &E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        let group = group.to_owned();
        let code_and_message = || {
            let message = error.message().unwrap_or_default();
            format!("{} {message}", error.code().unwrap_or_default()).trim().to_owned()
        };
        match error.code() {
            Some("ResourceNotFoundException") => Self::NoSuchGroup(group),
            Some("AccessDenied" | "AccessDeniedException") => Self::Denied { action, group },
            Some(code) if is_credential_code(code) => {
                Self::Credentials { action, group, why: code_and_message() }
            }
            Some("InvalidParameterException") => {
                Self::Refused { action, group, why: code_and_message() }
            }
            Some(_) => Self::Failed { action, group, why: code_and_message() },
            None => {
                let why = no_response_reason(error);
                if why.contains("credential") {
                    let why = "no credentials were found".to_owned();
                    Self::Credentials { action, group, why }
                } else {
                    Self::Failed { action, group, why }
                }
            }
        }
    }
}
