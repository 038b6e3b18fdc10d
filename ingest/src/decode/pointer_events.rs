//! Handles S3 notifications: sends the pointer to the object to the sink.

use bouncewatch_schemas::wire::envelope::{Envelope, ObjectPointer, Record};

use crate::decode::context::{DecodeContext, Sink};
use crate::decode::outcome::{IgnoreReason, QuarantineReason, Rejection};
use crate::decode::pointers::{KeyEncoding, PointerTarget};

/// Prefix of the S3 event names for new objects.
const CREATED: &str = "ObjectCreated";

/// Sends the pointer in an S3 record to the sink.
pub(super) fn unwrap_record_pointer(
    record: &Record<'_>,
    wire: &ObjectPointer<'_>,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let name = record.event_name.get().unwrap_or(CREATED);
    let is_created = name.strip_prefix("s3:").unwrap_or(name).starts_with(CREATED);
    let wire = is_created.then_some(wire);
    unwrap_pointer(wire, KeyEncoding::Url, record.region.get(), context, sink)
}

/// Sends the pointer in an EventBridge event of S3 to the sink.
pub(super) fn unwrap_eventbridge_pointer(
    envelope: &Envelope<'_>,
    detail: &str,
    detail_type: &str,
    context: DecodeContext<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejection> {
    let is_created = detail_type.starts_with("Object Created");
    let wire = is_created.then(|| serde_json::from_str(detail).unwrap_or_default());
    unwrap_pointer(wire.as_ref(), KeyEncoding::Plain, envelope.region.get(), context, sink)
}

/// Sends a pointer to an S3 object to the sink. `wire` is `None` if the notification does not
/// report a new object.
fn unwrap_pointer(
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
