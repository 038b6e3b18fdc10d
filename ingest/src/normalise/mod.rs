//! A wire event -> rows of the event table. Pure.
//!
//! `ses` holds the rules for SES's ten event types, `workmail` those for the mail event log of WorkMail.

mod ses;
mod workmail;

use std::borrow::Cow;
use std::collections::HashMap;

use bouncewatch_schemas::address;
use bouncewatch_schemas::wire::ses::{Recipient, RecipientObject};

pub(crate) use ses::ses;
pub(crate) use workmail::workmail;

/// Recipients that one event may have; SES sends to 50 at a time, WorkMail to 500.
const RECIPIENTS_MAX: usize = 1_000;

/// Region, account and resource of an ARN: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
pub(crate) fn arn_parts(arn: &str) -> [Option<&str>; 3] {
    let mut colons = memchr::memchr_iter(b':', arn.as_bytes()).skip(2);
    let starts = [colons.next(), colons.next(), colons.next()];
    let part = |start: Option<usize>, end: Option<usize>| {
        arn.get(start? + 1..end.unwrap_or(arn.len())).filter(|part| !part.is_empty())
    };
    [part(starts[0], starts[1]), part(starts[1], starts[2]), part(starts[2], None)]
}

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
