//! Maximum sizes of the fields that all rows of an event share, and of the rows of one document.
//!
//! Each recipient has a row with all fields of the event, so a short document can become gigabytes
//! of rows. An event with a field that is too long is quarantined. The field is not truncated: that
//! would change the identity of the event, or the group in which it counts.

use bouncewatch_schemas::event::EventRow;

use crate::decode::context::Sink;
use crate::decode::outcome::{QuarantineReason, Rejection};

/// Maximum length of an ID, an address or a host name, bytes. SES uses at most 320.
pub(super) const NAME_BYTES_MAX: usize = 1024;
/// Maximum length of a short text, such as a bounce type or the name or value of a message tag,
/// bytes. SES allows 256 in a tag.
const SHORT_TEXT_BYTES_MAX: usize = 256;
/// Maximum length of a clicked link, bytes.
const LINK_BYTES_MAX: usize = 16 * 1024;
/// Maximum total length of all message tags, bytes. SES allows 50 tags.
const TAGS_BYTES_MAX: usize = 32 * 1024;

/// Maximum number of rows of one document.
pub(crate) const ROWS_MAX: usize = 256 * 1024;
/// Maximum number of bytes in the rows of one document.
pub(crate) const ROW_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Maximum number of event days of one document. Each has its own column builders.
pub(crate) const DAYS_MAX: usize = 4 * 1024;

/// Rejects an event if a field that its rows share is too long, or if its document already has too
/// many rows.
///
/// # Errors
/// The reason is [`QuarantineReason::TooLarge`].
pub(super) fn check(row: &EventRow<'_>, sink: &impl Sink) -> Result<(), Rejection> {
    if sink.is_full() {
        return Err(too_large("the document has too many rows or days".to_owned()));
    }
    let names = [
        ("the message id", Some(row.message_id)),
        ("the feedback id", row.feedback_id),
        ("the sender", row.source),
        ("the identity", row.identity),
        ("the remote server", row.remote_mta),
        ("the reporting server", row.reporting_mta),
    ];
    let short_texts = [
        ("the account", row.account),
        ("the region", row.region),
        ("the configuration set", row.configuration_set),
        ("the tenant", row.tenant),
        ("an IP address", row.source_ip),
        ("an IP address", row.outgoing_ip),
        ("the bounce type", row.bounce_type),
        ("the bounce subtype", row.bounce_subtype),
        ("the complaint type", row.complaint_type),
        ("the complaint subtype", row.complaint_subtype),
        ("the delay type", row.delay_type),
    ];
    check_lengths(&names, NAME_BYTES_MAX)?;
    check_lengths(&short_texts, SHORT_TEXT_BYTES_MAX)?;
    check_lengths(&[("the link or rule name", row.link)], LINK_BYTES_MAX)?;
    let mut tag_bytes = 0;
    for (name, value) in row.tags {
        tag_bytes += name.len() + value.len();
        check_lengths(
            &[("a tag name", Some(name)), ("a tag value", Some(value))],
            SHORT_TEXT_BYTES_MAX,
        )?;
    }
    if tag_bytes > TAGS_BYTES_MAX {
        return Err(too_large(format!("{tag_bytes} bytes of message tags")));
    }
    Ok(())
}

fn check_lengths(fields: &[(&str, Option<&str>)], max: usize) -> Result<(), Rejection> {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    match fields.iter().find(|(_, text)| length(*text) > max) {
        None => Ok(()),
        Some((name, text)) => {
            Err(too_large(format!("{name} has {} bytes, more than {max}", length(*text))))
        }
    }
}

fn too_large(detail: String) -> Rejection {
    Rejection::new(QuarantineReason::TooLarge, detail)
}

#[cfg(test)]
mod tests {
    use bouncewatch_schemas::event::EventKind;

    use super::*;
    use crate::decode::outcome::IgnoreReason;

    struct FullSink(bool);

    impl Sink for FullSink {
        fn event(&mut self) {}
        fn row(&mut self, _: &EventRow<'_>) {}
        fn ignored(&mut self, _: IgnoreReason) {}
        fn is_full(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn event_after_the_last_row_of_a_document_is_too_large() {
        let row = EventRow::of_kind(EventKind::Send);
        assert_eq!(check(&row, &FullSink(false)), Ok(()));
        let rejection = check(&row, &FullSink(true)).unwrap_err();
        assert_eq!(rejection.reason, QuarantineReason::TooLarge);
    }
}
