//! A wire event -> rows of the event table. Pure.
//!
//! `ses` holds the rules for SES's ten event types, `workmail` those for the mail event log of WorkMail.

mod ses;
mod workmail;

use std::borrow::Cow;
use std::collections::HashSet;

use bouncewatch_schemas::address;
use bouncewatch_schemas::wire::ses::{Recipient, RecipientObject};

pub(crate) use ses::ses;
pub(crate) use workmail::workmail;

/// A recipient with its address in normal form.
struct Addressed<'a> {
    address: Cow<'a, str>,
    wire: &'a RecipientObject<'a>,
}

/// The usable recipients of a list, each once, and whether every entry was usable.
///
/// Of two entries for one address the one that failed wins: `delayed`, then `failed` is a failure.
fn usable<'a>(recipients: &'a [Recipient<'a>]) -> (Vec<Addressed<'a>>, bool) {
    let mut out: Vec<Addressed<'a>> = Vec::with_capacity(recipients.len());
    let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
    let mut all_usable = true;
    for Recipient(wire) in recipients {
        let text = wire.email_address.get().unwrap_or_default();
        let Some(address) = address::normalise(Cow::Borrowed(text)) else {
            all_usable = false;
            continue;
        };
        // most events have one recipient: the set is only asked from the second on
        if !out.is_empty() && (seen.contains(&address) || out[0].address == address) {
            if let Some(known) = out.iter_mut().find(|known| known.address == address)
                && action(known.wire) != Action::Failed
                && action(wire) == Action::Failed
            {
                known.wire = wire;
            }
            continue;
        }
        if recipients.len() > 1 {
            seen.insert(address.clone());
        }
        out.push(Addressed { address, wire });
    }
    (out, all_usable)
}

/// What a delivery report says happened to one recipient (RFC 3464).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// Given up, or nothing said.
    Failed,
    /// Still trying.
    Delayed,
    /// Reached the recipient, or was passed on.
    Delivered,
}

fn action(recipient: &RecipientObject<'_>) -> Action {
    let is = |word: &str| recipient.action.is(word);
    if is("delayed") {
        return Action::Delayed;
    }
    if is("delivered") || is("relayed") || is("expanded") {
        return Action::Delivered;
    }
    Action::Failed
}
