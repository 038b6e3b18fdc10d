//! What follows from the rule that won: how sure it is, what to do, whether SES says the same.

use crate::classification::{Classification, Confidence, Input};
use crate::rule::{Kind, Rule};
use bouncewatch_schemas::cause::{Action, Cause};

pub(super) fn confidence(rule: &Rule) -> Confidence {
    match (rule.kind, rule.weight) {
        (Kind::Token, _) | (_, 7..) => Confidence::High,
        (Kind::Phrase | Kind::Status, 5..) => Confidence::Medium,
        _ => Confidence::Low,
    }
}

/// What the cause says, softer where the failure may pass or the cause is a guess.
pub(super) fn action(rule: &Rule, input: &Input<'_>, confidence: Confidence) -> Action {
    let action = rule.action.unwrap_or_else(|| rule.cause.action());
    let class = input.enhanced_status.and_then(|status| status.bytes().next());
    let passes = match (input.smtp_code, class) {
        (Some(code), _) => code < 500,
        (None, Some(class)) => class == b'4',
        (None, None) => is(input.bounce_type, "Transient") || input.delay_type.is_some(),
    };
    if action == Action::Suppress && (passes || confidence <= Confidence::Low) {
        return Action::SuppressIfRepeated;
    }
    action
}

fn is(word: Option<&str>, other: &str) -> bool {
    word.is_some_and(|word| word.eq_ignore_ascii_case(other))
}

/// Whether SES's type fits the cause.
pub(super) fn agrees(cause: Cause, input: &Input<'_>) -> Option<bool> {
    let bounce_type = input.bounce_type?;
    let is_type = |word| is(Some(bounce_type), word);
    if cause == Cause::Unknown || is_type("Undetermined") {
        return None;
    }
    if is(input.bounce_subtype, "MailboxFull") {
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
        // SES calls these either, as the server's code is
        _ => true,
    })
}

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
