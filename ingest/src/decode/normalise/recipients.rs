//! The usable recipients of an event.

use std::borrow::Cow;
use std::collections::HashMap;

use bouncewatch_schemas::address;
use bouncewatch_schemas::wire::lenient::Text;
use bouncewatch_schemas::wire::ses::{Recipient, RecipientObject};

use crate::decode::limits::NAME_BYTES_MAX;

/// Maximum number of recipients of one event. A SES message has at most 50, a WorkMail message 500.
pub(super) const RECIPIENTS_MAX: usize = 1_000;

/// A recipient with a usable address.
pub(super) struct UsableRecipient<'a> {
    /// Normalised address.
    pub(super) address: Cow<'a, str>,
    /// Normalised address in the report, if it differs from `address`.
    pub(super) reported: Option<Cow<'a, str>>,
    pub(super) wire: &'a RecipientObject<'a>,
}

/// The normalised address of a recipient; `None` if it is missing or too long.
fn address_of<'a>(wire: &'a RecipientObject<'a>) -> Option<Cow<'a, str>> {
    let text = wire.email_address.get().filter(|text| text.len() <= NAME_BYTES_MAX)?;
    address::normalise(Cow::Borrowed(text))
}

/// The distinct usable recipients of a list, and whether every entry is usable.
///
/// If an address has several entries, a failed entry takes precedence: `delayed`, then `failed` is
/// a failure.
pub(super) fn usable_recipients<'a>(
    recipients: &'a [Recipient<'a>],
) -> (Vec<UsableRecipient<'a>>, bool) {
    let mut out: Vec<UsableRecipient<'a>> = Vec::with_capacity(recipients.len());
    let mut index_by_address: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut all_usable = true;
    for Recipient(wire) in recipients {
        let Some(address) = address_of(wire) else {
            all_usable = false;
            continue;
        };
        // most events have one recipient and need no map
        if recipients.len() > 1 {
            if let Some(at) = index_by_address.get(&address) {
                let existing = &mut out[*at];
                if dsn_action(existing.wire) != DsnAction::Failed
                    && dsn_action(wire) == DsnAction::Failed
                {
                    existing.wire = wire;
                }
                continue;
            }
            index_by_address.insert(address.clone(), out.len());
        }
        out.push(UsableRecipient { address, reported: None, wire });
    }
    (out, all_usable)
}

/// The destinations of a mail, if one is a text with several addresses, as exports write a list.
pub(super) fn split_destinations<'a>(listed: &'a [Recipient<'a>]) -> Option<Vec<Recipient<'a>>> {
    let text = |Recipient(wire): &'a Recipient<'a>| wire.email_address.get().unwrap_or_default();
    if !listed.iter().any(|one| text(one).contains([',', ';'])) {
        return None;
    }
    let recipient = |address: &'a str| {
        let email_address = Text(Some(Cow::Borrowed(address)));
        Recipient(RecipientObject { email_address, ..RecipientObject::default() })
    };
    Some(listed.iter().flat_map(|one| addresses_in(text(one))).map(recipient).collect())
}

/// The addresses in a text that separates them by commas or semicolons, outside of quotes.
fn addresses_in(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let is_separator = |c: char| {
        is_quoted ^= c == '"';
        !is_quoted && matches!(c, ',' | ';')
    };
    let parts: Vec<&str> = text.split(is_separator).map(str::trim).collect();
    if parts.iter().all(|part| part.contains('@')) { parts } else { vec![text] }
}

/// The recipient of an event for a mail with one destination: the destination with the details of
/// the report; `None` if the destination is unusable, or no address although a reported one is.
///
/// A report can name a different address than the destination: a forwarding target, or another
/// spelling. If a report has several entries, a failed entry takes precedence.
pub(super) fn only_destination<'a>(
    destination: &'a Recipient<'a>,
    reported: &'a [Recipient<'a>],
) -> Option<UsableRecipient<'a>> {
    let address = address_of(&destination.0)?;
    let mut recipient = UsableRecipient { address, reported: None, wire: &destination.0 };
    let is_failed = |entry: &&Recipient<'_>| dsn_action(&entry.0) == DsnAction::Failed;
    if let Some(Recipient(wire)) = reported.iter().find(is_failed).or(reported.first()) {
        recipient.wire = wire;
        recipient.reported = address_of(wire).filter(|reported| *reported != recipient.address);
    }
    let is_address = |address: &Cow<'_, str>| address::is_address(address);
    match &recipient.reported {
        Some(reported) if is_address(reported) && !is_address(&recipient.address) => None,
        _ => Some(recipient),
    }
}

/// The `Action` field of a delivery status notification for one recipient (RFC 3464, section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DsnAction {
    /// Failed, missing or unknown.
    Failed,
    /// Delayed: the server retries.
    Delayed,
    /// Delivered, relayed or expanded.
    Delivered,
}

/// The DSN action of a recipient.
pub(super) fn dsn_action(recipient: &RecipientObject<'_>) -> DsnAction {
    let is = |action: &str| recipient.action.is(action);
    if is("delayed") {
        return DsnAction::Delayed;
    }
    if is("delivered") || is("relayed") || is("expanded") {
        return DsnAction::Delivered;
    }
    DsnAction::Failed
}
