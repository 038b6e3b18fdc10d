//! Errors of calls of SES that change something.

use std::error::Error;

use anyhow::anyhow;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use bouncewatch_schemas::aws_error::is_credential_code;
use bouncewatch_schemas::text::error_chain;

/// Describes a failed call; `policy` is the file with the permissions. The message of SES is left out: it can contain an
/// address (invariant I-8).
pub(super) fn ses_error<E, R>(action: &str, policy: &str, error: &SdkError<E, R>) -> anyhow::Error
where
    SdkError<E, R>: ProvideErrorMetadata + Error,
{
    match error.code() {
        Some(code) if code.starts_with("AccessDenied") || code.starts_with("NotAuthorized") => {
            anyhow!("access to {action} is denied\n  hint: deploy/policies/{policy} allows it")
        }
        Some(code) if is_credential_code(code) => anyhow!(
            "AWS does not accept the credentials: {code}\n  hint: `aws sts get-caller-identity` shows the credentials in use"
        ),
        Some(code) => anyhow!("{action} failed: {code}"),
        None => anyhow!("{action} failed: {}", error_chain(error)),
    }
}
