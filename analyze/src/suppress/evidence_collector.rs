//! Collects the bounces and complaints of all addresses as evidence.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::address;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_store::addresses::is_dropped;

use crate::causes::anonymise::anonymise;
use crate::causes::cached_classifier::{CachedClassifier, ClassifiedFailure};
use crate::error::AnalyzeError;
use crate::incidents::detection::slot_of;
use crate::scan::{Failure, FailureQuery, OutcomeCounts, StoreScan, StringInterner};
use crate::suppress::address_evidence::{ByAddress, ComplaintEvidence, FailureEvidence, Replies};
use crate::suppress::affected_slots::AffectedSlots;
use crate::suppress::decision::{BounceEvidence, Weight, weight};
use crate::timeline::{Dimension, Outcome};

/// Bounce subtype of mail to an address on the account-level suppression list of SES.
const ON_ACCOUNT_LIST: &str = "OnAccountSuppressionList";

/// Returns the query for the bounces and complaints after `after` (`None` for all), up to `to`. If `recipients` is set,
/// other recipients are omitted.
pub(super) fn query(
    recipients: Option<&BTreeSet<String>>,
    after: Option<i64>,
    to: i64,
) -> FailureQuery<'_> {
    let kinds = &[EventKind::Bounce, EventKind::Complaint];
    FailureQuery { kinds, recipients, dimensions: &[Dimension::Column(table::PROVIDER)], after, to }
}

/// Finds the slots of groups in which hard bounces after `after`, up to `to`, can belong to an incident.
pub(crate) fn affected_slots(
    scan: &StoreScan,
    classifier: &mut CachedClassifier<'_>,
    outcomes: &OutcomeCounts,
    minimum: usize,
    (after, to): (Option<i64>, i64),
) -> Result<AffectedSlots, AnalyzeError> {
    let (mut groups, mut bounced) = (StringInterner::default(), BTreeMap::new());
    let query = FailureQuery { kinds: &[EventKind::Bounce], ..query(None, after, to) };
    scan.failures(&query, |failure| {
        let is_listable = |one: &&str| address::is_address(one) && !is_dropped(one);
        let Some(recipient) = failure.recipient.filter(is_listable) else { return };
        let classified = classifier.classify(failure);
        if let Some((_, Weight::AtOnce)) = weight(classified.cause, classified.action) {
            let group = groups.intern(group_of(failure, recipient));
            *bounced.entry((group, slot_of(failure.at))).or_default() += 1;
        }
    })?;
    Ok(AffectedSlots::of_counts(&bounced, &groups, outcomes, minimum))
}

/// Failures of all addresses, while they are added. Addresses are numbered by their ID.
#[derive(Debug)]
pub(crate) struct EvidenceCollector {
    evidence: FailureEvidence,
    bounces: Vec<(u32, BounceEvidence)>,
    complaints: Vec<(u32, ComplaintEvidence)>,
    bounced_messages: Vec<(u32, u64)>,
}

impl EvidenceCollector {
    /// Collects the failures after `after` (`None` for all), up to `to`. If `recipients` or `affected` is set, other
    /// recipients, or failures outside these slots, are omitted.
    pub(crate) fn collect(
        scan: &StoreScan,
        classifier: &mut CachedClassifier<'_>,
        recipients: Option<&BTreeSet<String>>,
        (after, to): (Option<i64>, i64),
        affected: Option<&AffectedSlots>,
        replies: Replies,
    ) -> Result<FailureEvidence, AnalyzeError> {
        let mut collector = Self {
            evidence: FailureEvidence::new(replies),
            bounces: Vec::new(),
            complaints: Vec::new(),
            bounced_messages: Vec::new(),
        };
        let query = query(recipients, after, to);
        scan.failures(&query, |failure| collector.add(failure, classifier, affected))?;
        Ok(collector.finish())
    }

    fn add(
        &mut self,
        failure: &Failure<'_>,
        classifier: &mut CachedClassifier<'_>,
        affected: Option<&AffectedSlots>,
    ) {
        let Some(recipient) = failure.recipient else { return };
        let is_outside = |affected: &AffectedSlots| {
            !affected.contains(group_of(failure, recipient).unwrap_or_default(), failure.at)
        };
        if affected.is_some_and(is_outside) {
            return;
        }
        if !address::is_address(recipient) {
            self.evidence.not_addresses.insert(recipient.to_owned());
        } else if failure.kind == EventKind::Complaint {
            self.add_complaint(failure, recipient);
        } else {
            self.add_bounce(failure, recipient, &classifier.classify(failure));
        }
    }

    fn add_bounce(
        &mut self,
        failure: &Failure<'_>,
        recipient: &str,
        classified: &ClassifiedFailure,
    ) {
        let evidence = weight(classified.cause, classified.action);
        if is_dropped(recipient) {
            self.evidence.dropped += u64::from(matches!(evidence, Some((_, Weight::AtOnce))));
            return;
        }
        if classified.cause == Cause::AutoReply {
            return;
        }
        let (address, known) = self.evidence.facts_of(recipient);
        known.is_on_list |= classified.cause == Cause::Suppressed;
        known.is_on_global_list |= failure.outcome == Outcome::SuppressedCounted;
        if failure.bounce_subtype == Some(ON_ACCOUNT_LIST) {
            known.on_account_list_at = known.on_account_list_at.max(Some(failure.at));
        }
        known.has_unknown_text |= !classified.has_rule && failure.outcome == Outcome::Hard;
        self.evidence.add_group(address, group_of(failure, recipient));
        self.bounced_messages.push((address, failure.message));
        if let Some((family, weight)) = evidence {
            let text = failure.diagnostic;
            let texts = &mut self.evidence.texts;
            let text = match self.evidence.replies {
                Replies::Full => texts.intern(text),
                Replies::Masked if weight == Weight::AtOnce => {
                    texts.intern(text.map(|text| anonymise(text, Some(recipient))).as_deref())
                }
                Replies::Masked => texts.intern(None),
            };
            let (at, message, cause) = (failure.at, failure.message, classified.cause);
            let bounce =
                BounceEvidence { at, message, family, weight, cause, text, incident_end: None };
            self.bounces.push((address, bounce));
        }
    }

    fn add_complaint(&mut self, failure: &Failure<'_>, recipient: &str) {
        if failure.outcome != Outcome::Complaint {
            let is_not_spam =
                failure.complaint_type.is_some_and(|kind| kind.eq_ignore_ascii_case("not-spam"));
            if !is_not_spam && !is_dropped(recipient) {
                let (_, known) = self.evidence.facts_of(recipient);
                known.other_complaint_at = known.other_complaint_at.max(Some(failure.at));
            }
            return;
        }
        let (at, message) = (failure.at, failure.message);
        *self.evidence.candidates.entry((message, at)).or_default() += 1;
        if is_dropped(recipient) {
            self.evidence.dropped += 1;
            return;
        }
        let complaint_type = failure.complaint_type.map(Box::from);
        let (address, _) = self.evidence.facts_of(recipient);
        self.complaints.push((address, ComplaintEvidence { at, message, complaint_type }));
    }

    /// Sorts the failures, which were added in arbitrary order.
    fn finish(self) -> FailureEvidence {
        let Self { mut evidence, mut bounces, mut complaints, mut bounced_messages } = self;
        let texts = &evidence.texts;
        bounces.sort_unstable_by(|(address, one), (other_address, other)| {
            let key = (address, one.key(), texts.get(one.text));
            key.cmp(&(other_address, other.key(), texts.get(other.text)))
        });
        complaints.sort_unstable();
        bounced_messages.sort_unstable();
        let addresses = evidence.facts.len();
        evidence.bounces = ByAddress::new(bounces, addresses);
        evidence.complaints = ByAddress::new(complaints, addresses);
        evidence.bounced_messages = ByAddress::new(bounced_messages, addresses);
        evidence.sort_addresses();
        evidence
    }
}

/// The provider of a failure, or the domain of its recipient if the provider is unknown.
fn group_of<'f>(failure: &Failure<'f>, recipient: &'f str) -> Option<&'f str> {
    let provider = failure.values.first().copied().flatten();
    provider.filter(|name| *name != provider::OTHER).or(address::domain(recipient))
}
