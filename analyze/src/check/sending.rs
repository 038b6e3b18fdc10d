//! What AWS reported about the account itself: whether it may send, and problems that harm its reputation.

use std::collections::BTreeMap;

use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::check::level::AlertLevel;
use crate::error::AnalyzeError;
use crate::scan::{AccountEvent, StoreScan};
use crate::timeline::Scope;

/// Maximum age of an event that counts. EventBridge may lose events, so an older status may be
/// outdated.
const MAX_AGE_MS: i64 = 30 * DAY_MS;

/// Value of `changed_by` if the owner of the account changed the status.
const CUSTOMER: &str = "CUSTOMER_MANAGED";

/// Whether a part of the account may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SendingState {
    /// It may send.
    Enabled,
    /// It may not send.
    Disabled,
}

/// The last reported status of the account, or of a tenant, configuration set or identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct SendingStatus {
    pub scope: Scope,
    pub status: SendingState,
    /// Time of the event, RFC 3339.
    pub since: String,
    /// `AWS_MANAGED` or `CUSTOMER_MANAGED`.
    pub changed_by: Option<String>,
    pub reason: Option<String>,
}

impl SendingStatus {
    /// The party that changed the status, as text.
    pub(crate) fn changed_by_text(&self) -> Option<&str> {
        self.changed_by.as_deref().map(|party| match party {
            "AWS_MANAGED" => "AWS",
            CUSTOMER => "the account owner",
            other => other,
        })
    }

    /// Returns the recommended action if this part may not send.
    pub fn remedy(&self) -> &'static str {
        if self.changed_by.as_deref() == Some(CUSTOMER) {
            "find out why sending was stopped (`bouncewatch doctor`), then enable it again"
        } else {
            "run `bouncewatch doctor`, answer the case in the AWS Support Center, and stop the mail that caused it"
        }
    }
}

/// A problem that AWS found and that is not resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/numbers.md")]
pub struct SendingFinding {
    pub scope: Scope,
    /// `BOUNCE`, `COMPLAINT`, ...
    #[serde(rename = "type")]
    pub finding_type: Option<String>,
    /// `LOW` or `HIGH`.
    pub impact: Option<String>,
    /// Time of the event, RFC 3339.
    pub since: String,
    pub text: Option<String>,
}

/// What AWS reported about the account in the last 30 days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SendingReport {
    /// The last status of each part of the account with an event.
    pub statuses: Vec<SendingStatus>,
    /// Open findings.
    pub findings: Vec<SendingFinding>,
}

impl SendingReport {
    /// Whether AWS reported nothing.
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty() && self.findings.is_empty()
    }

    /// The parts of the account that may not send.
    pub fn disabled(&self) -> impl Iterator<Item = &SendingStatus> {
        self.statuses.iter().filter(|one| one.status == SendingState::Disabled)
    }

    /// Critical if a part of the account may not send.
    pub(crate) fn level(&self) -> AlertLevel {
        if self.disabled().next().is_some() { AlertLevel::Critical } else { AlertLevel::Ok }
    }

    /// Returns the report of the scopes that `is_included` accepts.
    pub(crate) fn of_scopes(&self, is_included: impl Fn(&Scope) -> bool) -> Self {
        Self {
            statuses: self.statuses.iter().filter(|one| is_included(&one.scope)).cloned().collect(),
            findings: self.findings.iter().filter(|one| is_included(&one.scope)).cloned().collect(),
        }
    }
}

/// Returns what AWS reported about the account up to `at`.
pub(super) fn sending_report(scan: &StoreScan, at: i64) -> Result<SendingReport, AnalyzeError> {
    if scan.service() != Service::Ses {
        return Ok(SendingReport::default());
    }
    Ok(report(&scan.account_events(at.saturating_sub(MAX_AGE_MS), at)?))
}

/// Builds the report from events in the order of time.
fn report(events: &[AccountEvent]) -> SendingReport {
    let mut statuses: BTreeMap<&Scope, SendingStatus> = BTreeMap::new();
    let mut findings: BTreeMap<(&Scope, Option<&str>), SendingFinding> = BTreeMap::new();
    for event in events {
        let (scope, since) = (&event.scope, format_ms(event.at));
        let finding_key = (scope, event.finding_type.as_deref());
        let status = match event.kind {
            EventKind::SendingDisabled => SendingState::Disabled,
            EventKind::SendingEnabled => SendingState::Enabled,
            EventKind::SendingFindingOpen => {
                let finding = SendingFinding {
                    scope: scope.clone(),
                    finding_type: event.finding_type.clone(),
                    impact: event.impact.clone(),
                    since,
                    text: event.text.clone(),
                };
                findings.insert(finding_key, finding);
                continue;
            }
            EventKind::SendingFindingResolved => {
                findings.remove(&finding_key);
                continue;
            }
            _ => continue,
        };
        let known = statuses.get(scope);
        // times have no milliseconds: of two events in a second the one that stops sending counts
        if known.is_some_and(|known| known.since == since && status == SendingState::Enabled) {
            continue;
        }
        let status = SendingStatus {
            scope: scope.clone(),
            status,
            since,
            changed_by: event.origin.clone(),
            reason: event.text.clone(),
        };
        statuses.insert(scope, status);
    }
    SendingReport {
        statuses: statuses.into_values().collect(),
        findings: findings.into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, seconds: i64, tenant: Option<&str>) -> AccountEvent {
        let text = |text: &str| Some(text.to_owned());
        let mut scope = vec![("account".to_owned(), text("1")), ("region".to_owned(), text("r"))];
        scope.extend(tenant.map(|tenant| ("tenant".to_owned(), text(tenant))));
        AccountEvent {
            kind,
            at: seconds * 1_000,
            scope: Scope(scope),
            origin: None,
            impact: None,
            finding_type: text("BOUNCE"),
            text: None,
        }
    }

    /// Scopes that may not send, and open findings.
    fn counts(events: &[AccountEvent]) -> (usize, usize) {
        let report = report(events);
        (report.disabled().count(), report.findings.len())
    }

    #[test]
    fn newest_status_of_each_account_and_tenant_counts() {
        use EventKind::{SendingDisabled, SendingEnabled};

        let (stopped, allowed) = (event(SendingDisabled, 1, None), event(SendingEnabled, 2, None));
        let tenant = event(SendingDisabled, 1, Some("a"));
        assert_eq!(counts(&[]), (0, 0));
        assert_eq!(counts(std::slice::from_ref(&stopped)), (1, 0));
        assert_eq!(counts(&[stopped.clone(), stopped.clone(), allowed.clone()]), (0, 0));
        assert_eq!(counts(&[stopped.clone(), tenant.clone(), allowed]), (1, 0));
        let same_second = event(SendingEnabled, 1, None);
        assert_eq!(counts(&[stopped.clone(), same_second.clone()]), (1, 0));
        assert_eq!(counts(&[same_second, stopped, tenant]), (2, 0));
    }

    #[test]
    fn finding_is_open_until_one_of_its_type_is_resolved() {
        use EventKind::{SendingFindingOpen, SendingFindingResolved};

        let open = event(SendingFindingOpen, 1, Some("a"));
        let resolved = event(SendingFindingResolved, 2, Some("a"));
        assert_eq!(counts(&[open.clone(), open.clone()]), (0, 1));
        assert_eq!(counts(&[open.clone(), resolved.clone()]), (0, 0));
        assert_eq!(counts(&[open.clone(), event(SendingFindingResolved, 2, Some("b"))]), (0, 1));
        let other_type = AccountEvent { finding_type: None, ..resolved.clone() };
        assert_eq!(counts(&[open.clone(), other_type]), (0, 1));
        assert_eq!(counts(&[resolved, open]), (0, 1));
    }
}
