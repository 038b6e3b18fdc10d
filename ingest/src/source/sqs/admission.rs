//! How a received message is handled: as a delivery, as pointers to S3 objects, or not now.

use crate::decode::find_pointers;
use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::decode::pointers::S3Pointer;
use crate::source::delivery::{Delivery, Handling};
use crate::source::sqs::signature::SignatureError;

/// A message that was received.
pub(super) enum Admission {
    /// It is decoded, or quarantined.
    Plain(Delivery),
    /// It points to S3 objects.
    Notification(Delivery, Vec<S3Pointer>),
    /// It cannot be checked now: it stays in its queue.
    Left,
}

impl Admission {
    /// Returns how a message is handled after the check of its signature.
    pub(super) fn of(message: Delivery, signature: &Result<(), SignatureError>) -> Self {
        match signature {
            Ok(()) => {}
            Err(SignatureError::Invalid(why)) => {
                let rejection = Rejection::new(QuarantineReason::SignatureInvalid, *why);
                return Self::Plain(message.with_handling(Handling::Quarantine(rejection)));
            }
            Err(SignatureError::Unavailable { .. }) => return Self::Left,
        }
        match find_pointers(&message.bytes) {
            None => Self::Plain(message),
            Some(pointers) => Self::Notification(message, pointers),
        }
    }
}
