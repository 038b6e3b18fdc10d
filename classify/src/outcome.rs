//! Derives confidence, action and agreement with SES from the winning rule.

use bouncewatch_schemas::cause::{Action, Cause};

use crate::classification::{Classification, Confidence};
use crate::failure_facts::FailureFacts;
use crate::rule::{PatternKind, Rule};

pub(super) fn confidence(rule: &Rule) -> Confidence {
    match (rule.kind, rule.weight) {
        (PatternKind::Token, _) | (_, 7..) => Confidence::High,
        (PatternKind::Phrase | PatternKind::Status, 5..) => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// The action of the rule or its cause. A temporary failure or a cause of low confidence never suppresses at once.
pub(super) fn action(rule: &Rule, facts: &FailureFacts<'_>, confidence: Confidence) -> Action {
    let action = rule.action.unwrap_or_else(|| rule.cause.action());
    let class = facts.enhanced_status.and_then(|status| status.bytes().next());
    let is_temporary = match (facts.smtp_code, class) {
        (Some(code), _) => code < 500,
        (None, Some(class)) => class == b'4',
        (None, None) => is(facts.bounce_type, "Transient") || facts.delay_type.is_some(),
    };
    if action == Action::Suppress && (is_temporary || confidence <= Confidence::Low) {
        return Action::SuppressIfRepeated;
    }
    action
}

fn is(value: Option<&str>, other: &str) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case(other))
}

/// Whether the SES bounce type fits the cause; `None` if SES or the rules do not know.
pub(super) fn agrees(cause: Cause, facts: &FailureFacts<'_>) -> Option<bool> {
    let bounce_type = facts.bounce_type?;
    let is_type = |other| is(Some(bounce_type), other);
    if cause == Cause::Unknown || is_type("Undetermined") {
        return None;
    }
    if is(facts.bounce_subtype, "MailboxFull") {
        return Some(cause == Cause::MailboxFull);
    }
    Some(match cause {
        Cause::MailboxUnknown
        | Cause::MailboxDisabled
        | Cause::DomainInvalid
        | Cause::AddressSyntax
        | Cause::Suppressed => is_type("Permanent"),
        Cause::AutoReply
        | Cause::MailboxFull
        | Cause::RateLimited
        | Cause::Greylisted
        | Cause::ServerError
        | Cause::NetworkTimeout => is_type("Transient"),
        // for these SES follows the reply code of the server: both types are correct
        _ => true,
    })
}

/// The result if no rule matches.
pub(super) fn unknown(expired: bool) -> Classification<'static> {
    Classification {
        cause: Cause::Unknown,
        fault: Cause::Unknown.fault(),
        action: Cause::Unknown.action(),
        confidence: Confidence::None,
        rule: None,
        matched: None,
        runner_up: None,
        retry_after: None,
        block_list: None,
        expired,
        agrees_with_ses: None,
    }
}
