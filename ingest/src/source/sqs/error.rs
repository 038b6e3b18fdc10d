//! [`QueueError`]: why a queue cannot be used, with a hint for the operator.

use aws_sdk_sqs::error::ProvideErrorMetadata;
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_store::aws::no_response_reason;

/// Why a queue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue does not exist.
    #[error(
        "no such queue: {0}\n  hint: check account, region and name; list queues with `aws sqs list-queues`"
    )]
    NoSuchQueue(String),
    /// An IAM permission is missing.
    #[error(
        "access to the queue is denied: {action} on {queue}\n  hint: allow {action} for these credentials; a consumer needs sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility, sqs:GetQueueAttributes, for an ARN sqs:GetQueueUrl, and for an encrypted queue kms:Decrypt"
    )]
    Denied {
        /// The IAM action.
        action: &'static str,
        /// The URL or ARN of the queue.
        queue: String,
    },
    /// The credentials are missing, invalid or expired.
    #[error(
        "AWS does not accept the credentials: {action} on {queue}: {why}\n  hint: show the credentials in use with `aws sts get-caller-identity`; renew them (`aws sso login`, a new session, the role of the instance); a run with --follow continues by itself"
    )]
    Credentials {
        /// The IAM action.
        action: &'static str,
        /// The URL or ARN of the queue.
        queue: String,
        /// The error of AWS or of the SDK.
        why: String,
    },
    /// Another error of SQS or of the network.
    #[error("could not use the queue {queue}: {action} failed: {why}")]
    Failed {
        /// The IAM action.
        action: &'static str,
        /// The URL or ARN of the queue.
        queue: String,
        /// The error.
        why: String,
    },
    /// The argument is not a queue.
    #[error("not a queue: {0}\n  hint: give its URL or its ARN (arn:aws:sqs:REGION:ACCOUNT:NAME)")]
    NotAQueue(String),
}

impl QueueError {
    /// Whether the error is permanent: a retry cannot succeed.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::NoSuchQueue(_) | Self::Denied { .. } | Self::NotAQueue(_))
    }

    /// Converts an error of the SDK. The SDK prints the body of an unreadable response;
    /// `no_response_reason` omits it, because it may contain email addresses (invariant I-8).
    pub(super) fn from_sdk<E>(action: &'static str, queue: &str, error: &E) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        let queue = queue.to_owned();
        let code_and_message = || {
            let message = error.message().unwrap_or_default();
            format!("{} {message}", error.code().unwrap_or_default()).trim().to_owned()
        };
        match error.code() {
            Some("QueueDoesNotExist" | "AWS.SimpleQueueService.NonExistentQueue") => {
                Self::NoSuchQueue(queue)
            }
            Some(
                "AccessDenied"
                | "AccessDeniedException"
                | "KMS.AccessDeniedException"
                | "KmsAccessDenied",
            ) => Self::Denied { action, queue },
            Some(code) if is_credential_code(code) => {
                Self::Credentials { action, queue, why: code_and_message() }
            }
            Some(_) => Self::Failed { action, queue, why: code_and_message() },
            None => {
                let why = no_response_reason(error);
                if why.contains("credential") {
                    let why = "no credentials were found".to_owned();
                    Self::Credentials { action, queue, why }
                } else {
                    Self::Failed { action, queue, why }
                }
            }
        }
    }
}
