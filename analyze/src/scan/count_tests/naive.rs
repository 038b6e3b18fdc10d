//! Naive counts over rows: merges copies, then visits every event.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::event::{Channel, EventKind, Service};
use bouncewatch_schemas::time::day_of;

use crate::scan::TAG_SEPARATOR;
use crate::scan::failure::FailureQuery;
use crate::scan::test_store::TestRow;
use crate::timeline::{Basis, EXCLUSION_REASON, Grouping, NO_FEEDBACK, Outcome, ScopeValues};

/// Code of attempted pairs.
pub(super) const PAIRS: i32 = -1;

/// An event in one of its scopes.
type ScopedEvent<'e> = (&'e Event, ScopeValues);

/// Times by scope and code of an outcome.
pub(super) type TimesByScope = BTreeMap<(ScopeValues, i32), Vec<i64>>;

/// Message, time, outcome, recipient, SMTP code, and values of the dimensions.
pub(super) type NaiveFailure =
    (u64, i64, Outcome, Option<String>, Option<u16>, Vec<Option<String>>);

/// An event, its copies merged.
#[derive(Debug, Clone)]
struct Event {
    message: u64,
    kind: EventKind,
    outcome: Outcome,
    at: i64,
    sent_at: Option<i64>,
    recipient: &'static str,
    domain: &'static str,
    feedback_id: Option<&'static str>,
    is_published: bool,
    has_no_feedback: bool,
    provider: Option<&'static str>,
    identity: Option<&'static str>,
    campaign: Option<String>,
    smtp_code: Option<i32>,
}

/// The events of a service.
pub(super) struct Naive {
    service: Service,
    to: i64,
    events: Vec<Event>,
    providers: BTreeMap<&'static str, &'static str>,
}

impl Naive {
    /// Returns the events in rows up to the day after `to`: the time of a copy can be on the next day.
    pub(super) fn new(rows: &[TestRow], service: Service, to: i64) -> Self {
        let of_service = || rows.iter().filter(|row| row.service == Some(service));
        let mut providers = BTreeMap::new();
        for row in of_service() {
            if let Some(provider) = row.provider.filter(|one| *one != "other") {
                let known = providers.entry(row.recipient_domain().unwrap()).or_insert(provider);
                *known = provider.max(known);
            }
        }
        let mut events: BTreeMap<(u64, u64, Option<&str>), Event> = BTreeMap::new();
        for row in of_service().filter(|row| day_of(row.at) <= day_of(to) + 1) {
            let copy = event(row, service);
            events
                .entry((row.message, row.key, row.feedback_id))
                .and_modify(|known| merge(known, &copy))
                .or_insert(copy);
        }
        Self { service, to, events: events.into_values().collect(), providers }
    }

    /// Returns the times of the events of a grouping.
    pub(super) fn times(&self, grouping: &Grouping, basis: Basis) -> TimesByScope {
        let has_excluded = grouping.0.iter().any(|one| one.name() == EXCLUSION_REASON);
        let is_wanted =
            |event: &&Event| event.at <= self.to && (has_excluded || exclusion(event).is_none());
        let time = |event: &Event| match basis {
            Basis::Event => event.at,
            Basis::Send => event.sent_at.unwrap_or(event.at),
        };
        let mut times = TimesByScope::new();
        // a report and a pair count once, even if their rows name different providers
        let provider = grouping.0.iter().position(|one| one.name() == "provider");
        let other_values = |scope: &ScopeValues| {
            let other = |(at, value): (usize, &Option<String>)| {
                (Some(at) != provider).then(|| value.clone())
            };
            scope.iter().enumerate().filter_map(other).collect::<ScopeValues>()
        };
        let mut reports: BTreeMap<(ScopeValues, u64), Vec<ScopedEvent<'_>>> = BTreeMap::new();
        let mut pairs: BTreeMap<(ScopeValues, u64, &str), Vec<ScopedEvent<'_>>> = BTreeMap::new();
        let is_attempt = |outcome| {
            Outcome::FINAL_BOUNCES.contains(&outcome)
                || outcome
                    == match self.service {
                        Service::Ses => Outcome::Delivery,
                        Service::WorkMail => Outcome::Send,
                    }
        };
        for event in self.events.iter().filter(is_wanted) {
            for scope in self.scopes(grouping, event) {
                if is_attempt(event.outcome) {
                    let pair = (other_values(&scope), event.message, event.recipient);
                    pairs.entry(pair).or_default().push((event, scope.clone()));
                }
                match event.outcome {
                    Outcome::Other => {}
                    Outcome::Complaint => {
                        let of_message = (other_values(&scope), event.message);
                        reports.entry(of_message).or_default().push((event, scope));
                    }
                    other => times.entry((scope, other.code())).or_default().push(time(event)),
                }
            }
        }
        let of_reports = reports.values().flat_map(|complaints| of_same_reports(complaints));
        let of_reports = of_reports.map(|events| (Outcome::Complaint.code(), events));
        for (code, events) in of_reports.chain(pairs.into_values().map(|pair| (PAIRS, pair))) {
            let first = events.iter().map(|(event, _)| time(event)).min().unwrap();
            let last = events.into_iter().max_by_key(|(event, _)| (event.provider, event.domain));
            times.entry((last.unwrap().1, code)).or_default().push(first);
        }
        times
    }

    /// Returns the failures of a query, sorted.
    pub(super) fn failures(&self, query: &FailureQuery<'_>) -> Vec<NaiveFailure> {
        let is_wanted = |event: &&Event| {
            query.kinds.contains(&event.kind)
                && event.at <= self.to
                && query.after.is_none_or(|after| event.at > after)
                && exclusion(event).is_none()
                && query.recipients.is_none_or(|all| {
                    all.contains(event.recipient) || event.kind == EventKind::Complaint
                })
        };
        let failure = |event: &Event| {
            let name = |at: usize| query.dimensions[at].name();
            let values = (0..query.dimensions.len()).map(|at| self.value(&name(at), event));
            let code = event.smtp_code.map(|code| u16::try_from(code).unwrap());
            let recipient = Some(event.recipient.to_owned());
            (event.message, event.at, event.outcome, recipient, code, values.collect())
        };
        let mut all: Vec<NaiveFailure> =
            self.events.iter().filter(is_wanted).map(failure).collect();
        all.sort();
        all
    }

    /// Returns recipient, message and time of the deliveries to some recipients from `from` on.
    pub(super) fn deliveries(
        &self,
        recipients: &[&str],
        from: i64,
    ) -> BTreeSet<(String, u64, i64)> {
        let is_wanted = |event: &&Event| {
            event.kind == EventKind::Delivery
                && event.at >= from
                && event.at <= self.to
                && recipients.contains(&event.recipient)
        };
        let delivery = |event: &Event| (event.recipient.to_owned(), event.message, event.at);
        self.events.iter().filter(is_wanted).map(delivery).collect()
    }

    /// Returns the scopes of an event: one for each value of its tag.
    fn scopes(&self, grouping: &Grouping, event: &Event) -> Vec<ScopeValues> {
        let mut scopes = vec![ScopeValues::new()];
        for dimension in &grouping.0 {
            let value = self.value(&dimension.name(), event);
            let values: Vec<Option<String>> = match &value {
                Some(text) => text.split(TAG_SEPARATOR).map(|one| Some(one.to_owned())).collect(),
                None => vec![None],
            };
            scopes = scopes
                .iter()
                .flat_map(|scope| {
                    values.iter().map(|value| [&scope[..], std::slice::from_ref(value)].concat())
                })
                .collect();
        }
        scopes
    }

    fn value(&self, dimension: &str, event: &Event) -> Option<String> {
        let of_message = |value: fn(&Event) -> Option<&str>| {
            let same = self
                .events
                .iter()
                .filter(|one| one.message == event.message && exclusion(one).is_none());
            value(event).or_else(|| same.filter_map(value).max()).map(str::to_owned)
        };
        match dimension {
            "identity" => of_message(|one| one.identity),
            "tag:campaign" => of_message(|one| one.campaign.as_deref()),
            "recipient_domain" => Some(event.domain.to_owned()),
            "provider" => {
                let of_domain = || self.providers.get(event.domain).copied();
                Some(event.provider.or_else(of_domain).unwrap_or("other").to_owned())
            }
            NO_FEEDBACK => event.has_no_feedback.then(|| NO_FEEDBACK.to_owned()),
            EXCLUSION_REASON => exclusion(event).map(str::to_owned),
            _ => None,
        }
    }
}

/// Why SES does not count the mail of an event, if `Own.example` is an own domain.
fn exclusion(event: &Event) -> Option<&'static str> {
    match event.domain {
        _ if event.kind == EventKind::IncomingBounce => None,
        "simulator.amazonses.com" => Some("simulator"),
        "own.example" | "sub.own.example" => Some("own_domain"),
        _ => None,
    }
}

/// Returns the complaints of each report about a message. A report can list several recipients. A report from
/// identity feedback is the same as one from event publishing about the same recipient up to a minute apart.
fn of_same_reports<'e>(complaints: &[ScopedEvent<'e>]) -> Vec<Vec<ScopedEvent<'e>>> {
    let mut reports: BTreeMap<(Option<&str>, i64), Vec<ScopedEvent<'_>>> = BTreeMap::new();
    for (one, scope) in complaints {
        let is_same = |(other, _): &ScopedEvent<'_>| {
            other.is_published
                && other.recipient == one.recipient
                && (other.at - one.at).abs() <= 60_000
        };
        if !one.is_published && complaints.iter().any(is_same) {
            continue;
        }
        let at = if one.feedback_id.is_some() { 0 } else { one.at };
        reports.entry((one.feedback_id, at)).or_default().push((one, scope.clone()));
    }
    reports.into_values().collect()
}

fn event(row: &TestRow, service: Service) -> Event {
    let mut values: Vec<&str> =
        row.tags.iter().filter(|tag| tag.0 == "campaign").map(|tag| tag.1).collect();
    values.sort_unstable();
    values.dedup();
    let campaign = Some(values.join(TAG_SEPARATOR)).filter(|text| !text.is_empty());
    Event {
        message: row.message,
        kind: EventKind::parse(row.kind.unwrap()).unwrap(),
        outcome: outcome(row, service),
        at: row.at,
        sent_at: row.sent_at,
        recipient: row.recipient.unwrap(),
        domain: row.recipient_domain().unwrap(),
        feedback_id: row.feedback_id,
        is_published: row.channel == Some(Channel::EventPublishing),
        has_no_feedback: row.provider == Some("gmail"),
        provider: row.provider.filter(|provider| *provider != "other"),
        identity: row.identity,
        campaign,
        smtp_code: row.smtp_code,
    }
}

/// Merges a copy into an event: keeps the earliest times and the greatest known values.
fn merge(known: &mut Event, copy: &Event) {
    known.at = known.at.min(copy.at);
    known.sent_at = [known.sent_at, copy.sent_at].into_iter().flatten().min();
    known.outcome = known.outcome.max(copy.outcome);
    known.is_published |= copy.is_published;
    known.has_no_feedback |= copy.has_no_feedback;
    known.provider = known.provider.max(copy.provider);
    known.identity = known.identity.max(copy.identity);
    known.campaign = known.campaign.clone().max(copy.campaign.clone());
    known.smtp_code = known.smtp_code.max(copy.smtp_code);
}

fn outcome(row: &TestRow, service: Service) -> Outcome {
    let counts = row.counts == Some(true) || service == Service::WorkMail;
    match row.kind.unwrap() {
        "send" => Outcome::Send,
        "delivery" => Outcome::Delivery,
        "delivery_delay" => Outcome::Delay,
        "reject" => Outcome::Reject,
        "incoming_bounce" => Outcome::IncomingBounce,
        "complaint" => match (row.complaint_type, row.complaint_subtype) {
            (Some("not-spam" | "Not-Spam"), _) | (_, Some(_)) => Outcome::ComplaintNotCounted,
            _ => Outcome::Complaint,
        },
        "bounce" => match row.class {
            Some("hard") if counts => Outcome::Hard,
            Some("suppressed") if counts => Outcome::SuppressedCounted,
            Some("suppressed") => Outcome::Suppressed,
            Some("undetermined") => Outcome::Undetermined,
            Some("soft") => Outcome::Soft,
            Some("auto_reply") => Outcome::AutoReply,
            _ => Outcome::BounceOther,
        },
        _ => Outcome::Other,
    }
}
