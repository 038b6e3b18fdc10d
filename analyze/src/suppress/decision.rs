//! Decides whether the bounces of an address suppress it. No I/O.
//!
//! Only failures of the recipient are evidence. A failure caused by the sender, the content, a policy or a rate is
//! never evidence, whatever its SMTP code. A single network failure is no evidence either; messages that expire on
//! several days without a delivery in between are.

use std::collections::BTreeSet;

use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::time::{DAY_MS, day_of};

/// Maximum difference between the clock of the receiving server and that of SES.
const CLOCK_SLACK_MS: i64 = 3_600_000;

/// Weight of one failure as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Suppresses if it is repeated.
    IfRepeated,
    /// Suppresses at once.
    AtOnce,
}

/// Kind of failure; only failures of the same family add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FailureFamily {
    /// The mailbox or the domain does not exist.
    Invalid,
    /// The mailbox is full.
    Full,
    /// The server does not accept mail for the domain.
    Relay,
    /// The message expired after hours of attempts.
    Expired,
}

/// Returns family and weight of a bounce as evidence; `None` if it is none. A cause that is not about the recipient is
/// never evidence, whatever action a rule recommends.
pub(super) fn weight(cause: Cause, action: Action) -> Option<(FailureFamily, Weight)> {
    let weight = match action {
        Action::Suppress => Weight::AtOnce,
        Action::SuppressIfRepeated => Weight::IfRepeated,
        _ => return None,
    };
    match cause {
        Cause::MailboxUnknown
        | Cause::MailboxDisabled
        | Cause::DomainInvalid
        | Cause::AddressSyntax => Some((FailureFamily::Invalid, weight)),
        Cause::MailboxFull => Some((FailureFamily::Full, weight)),
        // never at once: it can be temporary
        Cause::RelayDenied => Some((FailureFamily::Relay, Weight::IfRepeated)),
        Cause::NetworkTimeout => Some((FailureFamily::Expired, Weight::IfRepeated)),
        Cause::RecipientRestricted
        | Cause::AutoReply
        | Cause::Suppressed
        | Cause::SenderAuth
        | Cause::SenderDns
        | Cause::TlsRequired
        | Cause::IpBlocklisted
        | Cause::DomainBlocklisted
        | Cause::ReputationLow
        | Cause::ContentSpam
        | Cause::ContentMalware
        | Cause::MessageTooLarge
        | Cause::MessageMalformed
        | Cause::RateLimited
        | Cause::Greylisted
        | Cause::PolicyRejected
        | Cause::ServerError
        | Cause::Unknown => None,
    }
}

/// One bounce that is evidence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BounceEvidence {
    pub(super) at: i64,
    pub(super) message: u64,
    pub(super) family: FailureFamily,
    pub(super) weight: Weight,
    pub(super) cause: Cause,
    /// Reply of the server.
    pub(super) text: Option<Box<str>>,
}

/// Number of soft failures that suppress an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftLimit {
    /// Number of soft failures.
    pub count: usize,
    /// Period in days.
    pub days: i64,
}

/// 3 failures in 30 days.
impl Default for SoftLimit {
    fn default() -> Self {
        Self { count: 3, days: 30 }
    }
}

/// Decision to suppress an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SuppressDecision<'b> {
    pub(super) weight: Weight,
    /// Last bounce that is evidence.
    pub(super) last: &'b BounceEvidence,
    pub(super) first_at: i64,
    pub(super) count: u64,
    /// When the suppression ends without further failures.
    pub(super) expires_at: Option<i64>,
}

/// Decides on the bounces of an address; `None` if they do not suppress it. `delivered_at` is the time of the last
/// delivery of other mail.
pub(super) fn decide(
    bounces: &[BounceEvidence],
    delivered_at: Option<i64>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'_>> {
    at_once(bounces, delivered_at, soft, now).or_else(|| repeated(bounces, delivered_at, soft, now))
}

fn at_once(
    bounces: &[BounceEvidence],
    delivered_at: Option<i64>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'_>> {
    let begin = now.saturating_sub(soft.days.saturating_mul(DAY_MS));
    let is_valid = |bounce: &&BounceEvidence| {
        // a delivery shortly after the bounce can be before it by another clock
        let is_later = delivered_at.is_none_or(|at| bounce.at.saturating_add(CLOCK_SLACK_MS) >= at);
        // a full mailbox can be emptied: the suppression expires
        let is_recent = bounce.family != FailureFamily::Full || bounce.at > begin;
        bounce.weight == Weight::AtOnce && is_later && is_recent
    };
    let valid: Vec<&BounceEvidence> = bounces.iter().filter(is_valid).collect();
    let last = valid.iter().max()?;
    let expires_at = (last.family == FailureFamily::Full)
        .then(|| last.at.saturating_add(soft.days.saturating_mul(DAY_MS)));
    Some(SuppressDecision {
        weight: Weight::AtOnce,
        last,
        first_at: valid.iter().map(|bounce| bounce.at).min()?,
        count: valid.len() as u64,
        expires_at,
    })
}

fn repeated(
    bounces: &[BounceEvidence],
    delivered_at: Option<i64>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'_>> {
    let lasts_ms = soft.days.saturating_mul(DAY_MS);
    let begin = now.saturating_sub(lasts_ms).max(delivered_at.unwrap_or(i64::MIN));
    let families =
        [FailureFamily::Invalid, FailureFamily::Full, FailureFamily::Relay, FailureFamily::Expired];
    let found = families.into_iter().filter_map(|family| {
        let mut own: Vec<&BounceEvidence> =
            bounces.iter().filter(|bounce| bounce.family == family && bounce.at > begin).collect();
        own.sort();
        // messages sent together fail together: a server that is down for a day counts as one failure
        let mut counted = BTreeSet::new();
        let is_new = |bounce: &&&BounceEvidence| match family {
            FailureFamily::Invalid | FailureFamily::Full => counted.insert((0, bounce.message)),
            FailureFamily::Relay | FailureFamily::Expired => counted.insert((day_of(bounce.at), 0)),
        };
        let times: Vec<i64> = own.iter().rev().filter(is_new).map(|bounce| bounce.at).collect();
        // the suppression ends when the earliest failure that is needed leaves the period
        let decisive = times.get(soft.count.checked_sub(1)?)?;
        Some(SuppressDecision {
            weight: Weight::IfRepeated,
            last: own.last()?,
            first_at: own.first()?.at,
            count: own.len() as u64,
            expires_at: Some(decisive.saturating_add(lasts_ms)),
        })
    });
    found.max_by_key(|decision| (decision.expires_at, decision.last.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MS;

    fn bounced(day: i64, message: u64, cause: Cause, action: Action) -> BounceEvidence {
        let (family, weight) = weight(cause, action).unwrap();
        BounceEvidence { at: day * DAY, message, family, weight, cause, text: None }
    }

    /// Number of bounces and expiry (in days) of the decision at day 40.
    fn check(bounces: &[BounceEvidence], delivered: Option<i64>) -> Option<(u64, Option<i64>)> {
        let delivered = delivered.map(|day| day * DAY);
        let found = decide(bounces, delivered, SoftLimit::default(), 40 * DAY)?;
        Some((found.count, found.expires_at.map(|at| at / DAY)))
    }

    #[test]
    fn only_failures_of_the_recipient_are_evidence() {
        use bouncewatch_schemas::cause::Fault;

        for cause in Cause::ALL {
            for action in Action::ALL {
                let found = weight(*cause, *action);
                let is_about_recipient =
                    matches!(cause.fault(), Fault::RecipientAddress | Fault::RecipientMailbox);
                let at_once = found.is_some_and(|(_, weight)| weight == Weight::AtOnce);
                assert_eq!(
                    at_once,
                    is_about_recipient && *action == Action::Suppress,
                    "{cause:?} {action:?}"
                );
                let may_repeat = is_about_recipient
                    || matches!(cause, Cause::NetworkTimeout | Cause::RelayDenied);
                let suppresses = matches!(action, Action::Suppress | Action::SuppressIfRepeated);
                assert_eq!(found.is_some(), may_repeat && suppresses, "{cause:?} {action:?}");
            }
        }
    }

    #[test]
    fn invalid_address_is_suppressed_until_a_later_delivery() {
        let invalid = |day| bounced(day, 1, Cause::MailboxUnknown, Action::Suppress);
        assert_eq!(check(&[invalid(1)], None), Some((1, None)));
        assert_eq!(check(&[invalid(1), invalid(5)], None), Some((2, None)));
        assert_eq!(check(&[invalid(1)], Some(2)), None);
        assert_eq!(check(&[invalid(1), invalid(5)], Some(2)), Some((1, None)));
        let slack = BounceEvidence { at: DAY, ..invalid(1) };
        for (after, expected) in [(0, true), (CLOCK_SLACK_MS, true), (CLOCK_SLACK_MS + 1, false)] {
            let bounces = [slack.clone()];
            let found = decide(&bounces, Some(DAY + after), SoftLimit::default(), 40 * DAY);
            assert_eq!(found.is_some(), expected, "{after}");
        }
    }

    #[test]
    fn soft_failures_of_one_family_add_up_within_the_period() {
        let full =
            |day, message| bounced(day, message, Cause::MailboxFull, Action::SuppressIfRepeated);
        let expired =
            |day, message| bounced(day, message, Cause::NetworkTimeout, Action::SuppressIfRepeated);
        for (bounces, delivered, expected) in [
            (vec![full(20, 1), full(25, 2)], None, None),
            (vec![full(20, 1), full(25, 2), full(30, 3)], None, Some((3, Some(50)))),
            (vec![full(20, 1), full(25, 2), full(30, 3), full(31, 4)], None, Some((4, Some(55)))),
            // too old: the period excludes its start
            (vec![full(10, 1), full(25, 2), full(30, 3)], None, None),
            (vec![full(11, 1), full(25, 2), full(30, 3)], None, Some((3, Some(41)))),
            // a delivery in between
            (vec![full(20, 1), full(25, 2), full(30, 3)], Some(22), None),
            (vec![full(20, 1), full(25, 2), full(30, 3)], Some(19), Some((3, Some(50)))),
            // two bounces of one message
            (vec![full(20, 1), full(25, 2), full(30, 2)], None, None),
            // different families
            (vec![full(20, 1), full(25, 2), expired(30, 3)], None, None),
            (vec![expired(20, 1), expired(25, 2), expired(30, 3)], None, Some((3, Some(50)))),
            // one day
            (vec![expired(30, 1), expired(30, 2), expired(30, 3)], None, None),
        ] {
            assert_eq!(check(&bounces, delivered), expected, "{bounces:?} {delivered:?}");
        }
    }

    #[test]
    fn permanently_full_mailbox_is_suppressed_at_once_and_expires() {
        let full = |day| bounced(day, 1, Cause::MailboxFull, Action::Suppress);
        assert_eq!(check(&[full(30)], None), Some((1, Some(60))));
        assert_eq!(check(&[full(10)], None), None);
    }

    #[test]
    fn decision_does_not_depend_on_the_order_of_bounces() {
        let all: Vec<BounceEvidence> = (0..4)
            .map(|day| bounced(20 + day, 1, Cause::MailboxUnknown, Action::Suppress))
            .collect();
        let reversed: Vec<BounceEvidence> = all.iter().rev().cloned().collect();
        let summary = |bounces: &[BounceEvidence]| {
            let found = decide(bounces, None, SoftLimit::default(), 40 * DAY).unwrap();
            (found.last.clone(), found.first_at, found.count)
        };
        assert_eq!(summary(&all), summary(&reversed));
    }
}
