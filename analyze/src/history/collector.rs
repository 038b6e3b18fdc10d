//! Collects the events of a history.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bouncewatch_classify::Classifier;
use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::time::format_ms;

use crate::causes::cached_classifier::CachedClassifier;
use crate::history::model::{HistoryEvent, MailHistory};
use crate::scan::{AddressEvent, TAG_SEPARATOR};

/// Collects events, which are added in arbitrary order.
pub(super) struct HistoryCollector<'c> {
    /// Events at or before this time are not listed.
    from: Option<i64>,
    /// Maximum number of listed events.
    top: usize,
    classifier: CachedClassifier<'c>,
    messages: HashSet<u64>,
    total: u64,
    first: Option<i64>,
    /// Time of the last event by kind.
    last: BTreeMap<EventKind, i64>,
    events: Vec<HistoryEvent>,
    /// Recipients with a bounce or a complaint, also before `from`: only these can be suppressed.
    pub(super) failed: BTreeSet<String>,
}

impl<'c> HistoryCollector<'c> {
    pub(super) fn new(from: Option<i64>, top: usize, classifier: &'c Classifier) -> Self {
        Self {
            from,
            top,
            classifier: CachedClassifier::new(classifier),
            messages: HashSet::new(),
            total: 0,
            first: None,
            last: BTreeMap::new(),
            events: Vec::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: &AddressEvent<'_>) {
        let fields = &event.fields;
        let is_failure = matches!(fields.kind, EventKind::Bounce | EventKind::Complaint);
        if let Some(recipient) = fields.recipient
            && is_failure
            && event.service == Service::Ses
        {
            self.failed.insert(recipient.to_owned());
        }
        if self.from.is_some_and(|from| fields.at <= from) {
            return;
        }
        self.total += 1;
        self.messages.insert(fields.message);
        self.first = self.first.into_iter().chain([fields.at]).min();
        let last = self.last.entry(fields.kind).or_insert(fields.at);
        *last = fields.at.max(*last);
        let event = self.history_event(event);
        self.events.push(event);
        if self.events.len() >= self.top.saturating_mul(2) {
            self.keep_newest();
        }
    }

    fn history_event(&mut self, event: &AddressEvent<'_>) -> HistoryEvent {
        let fields = &event.fields;
        let is_classified = matches!(fields.kind, EventKind::Bounce | EventKind::DeliveryDelay);
        let classified = is_classified.then(|| self.classifier.classify(fields));
        let owned = |text: Option<&str>| text.map(str::to_owned);
        HistoryEvent {
            at: format_ms(fields.at),
            kind: fields.kind.as_str(),
            service: event.service.as_str(),
            message_id: event.message_id.to_owned(),
            recipient: owned(fields.recipient),
            reported_recipient: owned(event.reported_recipient),
            campaign: event.campaign.map(|values| values.replace(TAG_SEPARATOR, ", ")),
            configuration_set: owned(event.configuration_set),
            source: owned(event.source),
            class: owned(event.class),
            bounce_type: owned(fields.bounce_type),
            bounce_subtype: owned(fields.bounce_subtype),
            complaint_type: owned(fields.complaint_type),
            complaint_subtype: owned(event.complaint_subtype),
            delay_type: owned(fields.delay_type),
            cause: classified.as_ref().map(|classified| classified.cause.as_str()),
            action: classified.as_ref().map(|classified| classified.action.as_str()),
            smtp_code: fields.smtp_code,
            enhanced_status: owned(fields.enhanced_status),
            text: owned(fields.diagnostic),
            remote_mta: owned(fields.remote_mta),
            link: owned(event.link),
            expires_at: event.expires_at.map(format_ms),
        }
    }

    /// Sorts the events by time and removes the oldest ones beyond the maximum.
    fn keep_newest(&mut self) {
        self.events.sort_by(|one, other| order(one).cmp(&order(other)));
        self.events.drain(..self.events.len().saturating_sub(self.top));
    }

    /// Returns the history. The caller sets the fields that do not depend on events.
    pub(super) fn finish(mut self) -> MailHistory {
        // identity feedback has no tags: use the campaign of another event of the message
        let mut campaigns: HashMap<String, String> = HashMap::new();
        for event in &self.events {
            if let Some(campaign) = &event.campaign {
                campaigns.insert(event.message_id.clone(), campaign.clone());
            }
        }
        for event in &mut self.events {
            let of_message = || campaigns.get(&event.message_id).cloned();
            event.campaign = event.campaign.take().or_else(of_message);
        }
        self.keep_newest();
        let last = |kind: EventKind| self.last.get(&kind).copied().map(format_ms);
        MailHistory {
            version: 1,
            messages: self.messages.len() as u64,
            first_at: self.first.map(format_ms),
            last_sent_at: last(EventKind::Send),
            last_delivered_at: last(EventKind::Delivery),
            last_bounced_at: last(EventKind::Bounce),
            last_complained_at: last(EventKind::Complaint),
            events_total: self.total,
            events: self.events,
            ..MailHistory::default()
        }
    }
}

/// Returns the sort key of an event: time, then the usual order of the events of a message.
fn order(event: &HistoryEvent) -> (&str, &str, u8, &str, Option<&str>) {
    let step = match EventKind::parse(event.kind) {
        Some(EventKind::Submission | EventKind::Received) => 0,
        Some(EventKind::Send) => 1,
        Some(EventKind::DeliveryDelay) => 2,
        _ => 3,
    };
    (&event.at, &event.message_id, step, event.kind, event.recipient.as_deref())
}
