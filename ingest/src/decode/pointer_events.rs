//! Handles S3 notifications: sends the pointer to the object to the sink.

use bouncewatch_schemas::wire::envelope::ObjectPointer;

use crate::decode::context::{DecodeContext, Sink};
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::pointers::{KeyEncoding, PointerTarget};

/// Sends a pointer to an S3 object to the sink. `wire` is `None` if the notification does not
/// report a new object.
pub(super) fn unwrap_pointer(
    wire: Option<&ObjectPointer<'_>>,
    encoding: KeyEncoding,
    region: Option<&str>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let target =
        wire.map_or(PointerTarget::Folder, |wire| PointerTarget::read(wire, encoding, region));
    let detail = match target {
        PointerTarget::Folder => {
            sink.ignored(IgnoreReason::OtherObjectEvent);
            return Ok(());
        }
        PointerTarget::Object(pointer) => {
            sink.object(pointer);
            if context.pointers_followed {
                return Ok(());
            }
            "points to an S3 object, which this source does not read; `bouncewatch store quarantine replay` reads it"
        }
        PointerTarget::Unknown => "points to an S3 object, but does not name its bucket and key",
    };
    Err(Rejection::new(QuarantineReason::ObjectNotification, detail))
}
