//! The usable recipients of an event.

use std::borrow::Cow;
use std::collections::HashMap;

use bouncewatch_schemas::address;
use bouncewatch_schemas::wire::ses::{Recipient, RecipientObject};

/// Recipients that one event may have; SES sends to 50 at a time, WorkMail to 500.
pub(super) const RECIPIENTS_MAX: usize = 1_000;

/// A recipient with its address in normal form.
pub(super) struct Addressed<'a> {
    pub(super) address: Cow<'a, str>,
    pub(super) wire: &'a RecipientObject<'a>,
}

/// The usable recipients of a list, each once, and whether every entry was usable.
///
/// Of two entries for one address the one that failed wins: `delayed`, then `failed` is a failure.
pub(super) fn usable<'a>(recipients: &'a [Recipient<'a>]) -> (Vec<Addressed<'a>>, bool) {
    let mut out: Vec<Addressed<'a>> = Vec::with_capacity(recipients.len());
    let mut seen: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut all_usable = true;
    for Recipient(wire) in recipients {
        let text = wire.email_address.get().unwrap_or_default();
        let Some(address) = address::normalise(Cow::Borrowed(text)) else {
            all_usable = false;
            continue;
        };
        // most events have one recipient: the map is only asked where there are more
        if recipients.len() > 1 {
            if let Some(at) = seen.get(&address) {
                let known = &mut out[*at];
                if action(known.wire) != Action::Failed && action(wire) == Action::Failed {
                    known.wire = wire;
                }
                continue;
            }
            seen.insert(address.clone(), out.len());
        }
        out.push(Addressed { address, wire });
    }
    (out, all_usable)
}

/// What a delivery report says happened to one recipient (RFC 3464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Given up, or nothing said.
    Failed,
    /// Still trying.
    Delayed,
    /// Reached the recipient, or was passed on.
    Delivered,
}

pub(super) fn action(recipient: &RecipientObject<'_>) -> Action {
    let is = |word: &str| recipient.action.is(word);
    if is("delayed") {
        return Action::Delayed;
    }
    if is("delivered") || is("relayed") || is("expanded") {
        return Action::Delivered;
    }
    Action::Failed
}
