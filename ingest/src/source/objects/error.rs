//! [`ObjectError`]: why an S3 object cannot be read or listed.

use bouncewatch_store::aws::S3Error;

use crate::source::files::FileError;

/// Name of the read operation in [`ObjectError::Refused`].
pub(super) const READ: &str = "read";

/// Why an S3 object cannot be read or listed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The argument is not an S3 address.
    #[error("not an object or a prefix in S3: `{0}`\n  hint: write s3://BUCKET/PREFIX")]
    NotAnAddress(String),
    /// No object has this key or prefix.
    #[error(
        "no object at `{0}` or below it\n  hint: a prefix ends at a `/` of the key, and patterns are not supported; list the keys with `aws s3 ls`"
    )]
    NoneFound(String),
    /// The object does not exist, or was deleted.
    #[error("could not read `{0}`: no such object; it may have been deleted")]
    Missing(String),
    /// The S3 client cannot request this key.
    #[error("could not read `{name}`: {why}")]
    Key {
        /// The object.
        name: String,
        /// Why the key is invalid.
        why: String,
    },
    /// The content is damaged or has an unsupported format. Documents before that point are stored.
    #[error(transparent)]
    Content(#[from] FileError),
    /// S3 refused the request, or the network failed.
    #[error("could not {operation} `{name}`: {why}")]
    Refused {
        /// `read` or `list`.
        operation: &'static str,
        /// The object or prefix.
        name: String,
        /// The reason.
        why: S3Error,
    },
    /// A task panicked or was cancelled.
    #[error("a task that reads objects failed: {0}; this is a bug")]
    Task(#[from] tokio::task::JoinError),
}

impl ObjectError {
    /// Whether the error is permanent: a retry cannot succeed.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Task(_))
    }

    /// Converts an error of the S3 client. `action` is the IAM permission that the request needs.
    pub(super) fn from_client(
        operation: &'static str,
        action: &str,
        name: String,
        error: &object_store::Error,
    ) -> Self {
        match error {
            object_store::Error::NotFound { .. } if operation == READ => Self::Missing(name),
            object_store::Error::InvalidPath { source } if operation == READ => {
                Self::Key { name, why: source.to_string() }
            }
            _ => Self::Refused { operation, name, why: S3Error::new(error, action) },
        }
    }
}
