//! [`Admission`]: how a received message is handled.

use crate::decode::find_pointers;
use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::decode::pointers::S3Pointer;
use crate::source::delivery::{Delivery, Handling};
use crate::source::sqs::signature::SignatureError;

/// How a received message is handled.
pub(super) enum Admission {
    /// The workers decode or quarantine it.
    Plain(Delivery),
    /// It points to S3 objects, which must be read too.
    Notification(Delivery, Vec<S3Pointer>),
    /// It stays in its queue, because its signature cannot be checked now.
    LeaveInQueue,
}

impl Admission {
    /// Decides how a message is handled, from the result of its signature check.
    pub(super) fn of(message: Delivery, signature: &Result<(), SignatureError>) -> Self {
        match signature {
            Ok(()) => {}
            Err(SignatureError::Invalid(why)) => {
                let rejection = Rejection::new(QuarantineReason::SignatureInvalid, *why);
                return Self::Plain(message.with_handling(Handling::Quarantine(rejection)));
            }
            Err(SignatureError::Unavailable { .. }) => return Self::LeaveInQueue,
        }
        match find_pointers(&message.bytes) {
            None => Self::Plain(message),
            Some(pointers) => Self::Notification(message, pointers),
        }
    }
}
