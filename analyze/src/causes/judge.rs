//! Why an event failed, by the rules of now: what ingest stored of its cause is not looked at, so that better rules and
//! rules of the user's hold for old events too. What was said before is not classified again.

use std::collections::HashMap;
use std::hash::Hasher;

use bouncewatch_classify::{Classifier, Input, Scratch};
use bouncewatch_schemas::bounce::BounceClass;
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::event::{Channel, EventRow, Service};
use xxhash_rust::xxh3::Xxh3;

use crate::scan::Failure;
use crate::timeline::model::Outcome;

/// Texts that are remembered at most.
const KNOWN_MAX: usize = 1_000_000;

/// Judges events, each distinct one once.
pub(crate) struct Judge<'c> {
    classifier: &'c Classifier,
    scratch: Scratch,
    known: HashMap<u128, Judged>,
}

/// What the rules say of an event.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) cause: Cause,
    pub(crate) action: Action,
    /// Whether some rule knows the text.
    pub(crate) is_known: bool,
    /// The block list that the text names.
    pub(crate) block_list: Option<Box<str>>,
    /// Whether SES's own type says the same.
    pub(crate) agrees_with_ses: Option<bool>,
}

impl<'c> Judge<'c> {
    pub(crate) fn new(classifier: &'c Classifier) -> Self {
        Self { classifier, scratch: Scratch::default(), known: HashMap::new() }
    }

    /// Why it failed.
    pub(crate) fn judge(&mut self, failure: &Failure<'_>) -> Judged {
        let said = said(failure);
        if let Some(judged) = self.known.get(&said) {
            return judged.clone();
        }
        let found = self.classifier.classify(&Input::of_row(&row(failure)), &mut self.scratch);
        let judged = Judged {
            cause: found.cause,
            action: found.action,
            is_known: found.rule.is_some(),
            block_list: found.block_list.map(Box::from),
            agrees_with_ses: found.agrees_with_ses,
        };
        if self.known.len() < KNOWN_MAX {
            self.known.insert(said, judged.clone());
        }
        judged
    }
}

/// Everything that the classifier looks at, as a number.
fn said(failure: &Failure<'_>) -> u128 {
    let mut hash = Xxh3::new();
    for text in [
        failure.bounce_type,
        failure.bounce_subtype,
        failure.delay_type,
        failure.enhanced_status,
        failure.diagnostic,
        failure.remote_mta,
        failure.recipient_domain,
    ] {
        // nothing is not the same as an empty text
        hash.write_u64(text.map_or(u64::MAX, |text| text.len() as u64));
        hash.write(text.unwrap_or_default().as_bytes());
    }
    hash.write_u16(failure.smtp_code.unwrap_or_default());
    hash.write_i32(failure.outcome.code());
    hash.digest128()
}

/// The class that an outcome was made of.
fn class(outcome: Outcome) -> Option<BounceClass> {
    match outcome {
        Outcome::AutoReply => Some(BounceClass::AutoReply),
        Outcome::Suppressed | Outcome::SuppressedCounted => Some(BounceClass::Suppressed),
        Outcome::Soft => Some(BounceClass::Soft),
        Outcome::Undetermined => Some(BounceClass::Undetermined),
        Outcome::Hard => Some(BounceClass::Hard),
        _ => None,
    }
}

/// A row as ingest had it before it, for what the classifier reads of it.
fn row<'r>(failure: &Failure<'r>) -> EventRow<'r> {
    EventRow {
        kind: failure.kind,
        service: Service::Ses,
        channel: Channel::EventPublishing,
        event_at: failure.at,
        sent_at: None,
        published_at: None,
        received_at: failure.at,
        message_id: "",
        feedback_id: None,
        recipient: failure.recipient,
        recipient_domain: failure.recipient_domain,
        provider: None,
        source: None,
        source_domain: None,
        identity: None,
        configuration_set: None,
        account: None,
        region: None,
        tenant: None,
        tags: &[],
        source_ip: None,
        outgoing_ip: None,
        remote_mta: failure.remote_mta,
        reporting_mta: None,
        bounce_type: failure.bounce_type,
        bounce_subtype: failure.bounce_subtype,
        complaint_type: failure.complaint_type,
        complaint_subtype: None,
        delay_type: failure.delay_type,
        class: class(failure.outcome),
        counts: false,
        smtp_code: failure.smtp_code,
        enhanced_status: failure.enhanced_status,
        diagnostic: failure.diagnostic,
        cause: None,
        cause_rule: None,
        processing_ms: None,
        expires_at: None,
        link: None,
        origin: "",
    }
}

/// An event of these words, for tests.
#[cfg(test)]
pub(crate) fn bounce<'r>(bounce_type: &'r str, subtype: &'r str, text: &'r str) -> Failure<'r> {
    use bouncewatch_schemas::event::Kind;

    Failure {
        kind: Kind::Bounce,
        outcome: if bounce_type == "Permanent" { Outcome::Hard } else { Outcome::Soft },
        at: 0,
        message: 0,
        bounce_type: Some(bounce_type),
        bounce_subtype: Some(subtype),
        delay_type: None,
        complaint_type: None,
        smtp_code: text.get(..3).and_then(|code| code.parse().ok()),
        enhanced_status: None,
        diagnostic: (!text.is_empty()).then_some(text),
        remote_mta: None,
        recipient: Some("anna@example.org"),
        recipient_domain: Some("example.org"),
        words: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_said_makes_a_difference() {
        let mut judge = Judge::new(Classifier::builtin());
        let full = bounce("Transient", "MailboxFull", "");
        let reply = Failure { outcome: Outcome::AutoReply, ..bounce("Transient", "General", "") };
        let reported = bounce("Transient", "General", "");
        let other = Failure { smtp_code: Some(421), ..bounce("Transient", "MailboxFull", "") };
        let all = [&full, &reply, &reported, &other];
        let causes = all.map(|failure| judge.judge(failure).cause);
        assert_eq!(causes[..3], [Cause::MailboxFull, Cause::AutoReply, Cause::Unknown]);
        assert_eq!(judge.known.len(), all.len());
        // what is remembered is what was said
        assert_eq!(all.map(|failure| judge.judge(failure).cause), causes);
        assert_eq!(judge.known.len(), all.len());
    }
}
