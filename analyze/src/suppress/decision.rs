//! Decides whether the bounces of an address suppress it. No I/O.
//!
//! Only failures of the recipient are evidence. A failure caused by the sender, the content, a
//! policy or a rate is never evidence, whatever its SMTP code. A single network failure is not
//! evidence, but messages that expire on several days without a delivery in between are.
//!
//! The first hard bounce of an established address, or of any address in a provider incident, puts
//! the address on hold. If it bounces again later, it is suppressed.

use std::collections::BTreeSet;

use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::time::{DAY_MS, day_of};

use crate::incidents::detection::HOLD_MS;
use crate::suppress::model::SuppressReason;

/// Maximum difference between the clock of the receiving server and that of SES.
pub(super) const CLOCK_SLACK_MS: i64 = 3_600_000;
/// Minimum number of days with deliveries to an established address. One or two are not enough: a
/// server can accept mail and drop it.
const ESTABLISHED_DAYS: usize = 3;
/// Period before the bounce that contains these days: enough for mail that is sent every two weeks.
pub(crate) const ESTABLISHED_MS: i64 = 60 * DAY_MS;
/// Minimum time between the bounce that starts a hold and a bounce that turns it into a
/// suppression. The latter must also be on a later day. Bounces at a shorter distance belong to the
/// same outage.
const REPEAT_AFTER_MS: i64 = 6 * 3_600_000;

/// Weight of one failure as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Suppresses if it is repeated.
    IfRepeated,
    /// Suppresses at once.
    AtOnce,
}

/// Kind of failure; failures of different families are counted separately.
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

/// Returns family and weight of a bounce; `None` if it is not evidence. A cause that is not about
/// the recipient is never evidence, whatever action a rule recommends.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BounceEvidence {
    pub(super) at: i64,
    pub(super) message: u64,
    pub(super) family: FailureFamily,
    pub(super) weight: Weight,
    pub(super) cause: Cause,
    /// ID of the reply of the server.
    pub(super) text: u32,
    /// End of the provider incident that it belongs to.
    pub(super) incident_end: Option<i64>,
}

impl BounceEvidence {
    /// Whether it suppresses at once.
    pub(super) fn is_hard(&self) -> bool {
        self.weight == Weight::AtOnce
    }

    /// Key by which bounces of an address are sorted, before their texts.
    pub(super) fn key(&self) -> (i64, u64, FailureFamily, Weight, Cause) {
        (self.at, self.message, self.family, self.weight, self.cause)
    }
}

/// Deliveries to one address, of messages that did not bounce later.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delivered<'d> {
    /// Time of the last delivery.
    pub(super) last: Option<i64>,
    /// Times of all deliveries, sorted; empty for an address without hard bounces.
    pub(super) times: &'d [i64],
}

/// Number of soft failures in a period that suppress an address.
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

/// Decision on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SuppressDecision<'b> {
    /// Never a complaint.
    pub(super) reason: SuppressReason,
    /// Last bounce that is evidence.
    pub(super) last: &'b BounceEvidence,
    pub(super) first_at: i64,
    pub(super) count: u64,
    /// When the suppression ends without further failures. The end of a hold can be in the past.
    pub(super) expires_at: Option<i64>,
}

/// Decides on the bounces of an address; `None` if they neither suppress it nor put it on hold.
pub(super) fn decide<'b>(
    bounces: &'b [BounceEvidence],
    delivered: Delivered<'_>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'b>> {
    let is_valid = |bounce: &&BounceEvidence| {
        // clocks differ: a delivery shortly after the bounce may be earlier than the bounce
        let is_later =
            delivered.last.is_none_or(|at| bounce.at.saturating_add(CLOCK_SLACK_MS) >= at);
        bounce.is_hard() && is_later
    };
    let mut valid: Vec<&BounceEvidence> = bounces.iter().filter(is_valid).collect();
    valid.sort_by_key(|bounce| bounce.key());
    let hold = hold(&valid, delivered.times);
    let hard = || if hold.is_none() { at_once(valid, soft, now) } else { None };
    hard().or_else(|| repeated(bounces, delivered.last, soft, now)).or(hold)
}

/// Returns the hold by sorted hard bounces without a later delivery; `None` if there are none, or
/// if they suppress the address.
fn hold<'b>(valid: &[&'b BounceEvidence], delivered: &[i64]) -> Option<SuppressDecision<'b>> {
    let (first, last) = (*valid.first()?, *valid.last()?);
    if first.incident_end.is_none() && !is_established(delivered, first.at) {
        return None;
    }
    let since = first.incident_end.unwrap_or(first.at);
    // a bounce in an incident is the fault of the provider, even if it is repeated
    let is_repeated = |bounce: &&BounceEvidence| {
        bounce.incident_end.is_none()
            && day_of(bounce.at) > day_of(since)
            && bounce.at.saturating_sub(since) >= REPEAT_AFTER_MS
    };
    if valid.iter().any(is_repeated) {
        return None;
    }
    let incident_end = valid.iter().filter_map(|bounce| bounce.incident_end).max();
    let reason = match incident_end {
        Some(_) => SuppressReason::ProviderIncident,
        None => SuppressReason::OnHold,
    };
    Some(SuppressDecision {
        reason,
        last,
        first_at: first.at,
        count: valid.len() as u64,
        expires_at: Some(incident_end.unwrap_or(first.at).saturating_add(HOLD_MS)),
    })
}

/// Whether an address received mail on enough days before a bounce.
fn is_established(delivered: &[i64], bounced_at: i64) -> bool {
    let period_start = bounced_at.saturating_sub(ESTABLISHED_MS);
    let days: BTreeSet<i64> = delivered
        .iter()
        .filter(|at| (period_start..bounced_at).contains(at))
        .map(|at| day_of(*at))
        .collect();
    days.len() >= ESTABLISHED_DAYS
}

/// Returns the suppression by sorted hard bounces, if [`hold`] returns `None`.
fn at_once(
    mut valid: Vec<&BounceEvidence>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'_>> {
    // a full mailbox can be emptied: the suppression expires
    let period_start = now.saturating_sub(soft.days.saturating_mul(DAY_MS));
    valid.retain(|bounce| bounce.family != FailureFamily::Full || bounce.at > period_start);
    let last = *valid.last()?;
    let expires_at = (last.family == FailureFamily::Full)
        .then(|| last.at.saturating_add(soft.days.saturating_mul(DAY_MS)));
    Some(SuppressDecision {
        reason: SuppressReason::HardBounce,
        last,
        first_at: valid.first()?.at,
        count: valid.len() as u64,
        expires_at,
    })
}

/// Returns the suppression by repeated soft failures.
fn repeated(
    bounces: &[BounceEvidence],
    delivered_at: Option<i64>,
    soft: SoftLimit,
    now: i64,
) -> Option<SuppressDecision<'_>> {
    let period_ms = soft.days.saturating_mul(DAY_MS);
    let period_start = now.saturating_sub(period_ms).max(delivered_at.unwrap_or(i64::MIN));
    let families =
        [FailureFamily::Invalid, FailureFamily::Full, FailureFamily::Relay, FailureFamily::Expired];
    let found = families.into_iter().filter_map(|family| {
        // `hold` and `at_once` decide on hard bounces
        let is_own = |bounce: &&BounceEvidence| {
            bounce.family == family && bounce.at > period_start && !bounce.is_hard()
        };
        let mut own: Vec<&BounceEvidence> = bounces.iter().filter(is_own).collect();
        own.sort_by_key(|bounce| bounce.key());
        // messages sent together fail together: a server that is down for a day counts as one failure
        let mut counted = BTreeSet::new();
        let is_new = |bounce: &&&BounceEvidence| match family {
            FailureFamily::Invalid | FailureFamily::Full => counted.insert((0, bounce.message)),
            FailureFamily::Relay | FailureFamily::Expired => counted.insert((day_of(bounce.at), 0)),
        };
        let times: Vec<i64> = own.iter().rev().filter(is_new).map(|bounce| bounce.at).collect();
        // the suppression ends when fewer than `soft.count` failures are left in the period
        let decisive = times.get(soft.count.checked_sub(1)?)?;
        Some(SuppressDecision {
            reason: SuppressReason::RepeatedFailure,
            last: own.last()?,
            first_at: own.first()?.at,
            count: own.len() as u64,
            expires_at: Some(decisive.saturating_add(period_ms)),
        })
    });
    found.max_by_key(|decision| (decision.expires_at, decision.last.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MS;
    const HOUR: i64 = 3_600_000;

    fn bounced(day: i64, message: u64, cause: Cause, action: Action) -> BounceEvidence {
        let (family, weight) = weight(cause, action).unwrap();
        BounceEvidence {
            at: day * DAY,
            message,
            family,
            weight,
            cause,
            text: 0,
            incident_end: None,
        }
    }

    /// Number of bounces and expiry (in days) of the decision at day 40.
    fn check(bounces: &[BounceEvidence], delivered: Option<i64>) -> Option<(u64, Option<i64>)> {
        let delivered = Delivered { last: delivered.map(|day| day * DAY), times: &[] };
        let found = decide(bounces, delivered, SoftLimit::default(), 40 * DAY)?;
        assert!(!found.reason.is_hold());
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
            let delivered = Delivered { last: Some(DAY + after), times: &[] };
            let found = decide(&bounces, delivered, SoftLimit::default(), 40 * DAY);
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
            // two families: the one that suppresses longer
            (
                vec![
                    full(25, 1),
                    full(26, 2),
                    full(27, 3),
                    expired(20, 4),
                    expired(22, 4),
                    expired(33, 4),
                ],
                None,
                Some((3, Some(55))),
            ),
            (
                vec![
                    full(20, 1),
                    full(25, 2),
                    full(30, 3),
                    expired(22, 4),
                    expired(27, 4),
                    expired(33, 4),
                ],
                None,
                Some((3, Some(52))),
            ),
            // a hard bounce has priority over repeated failures
            (
                vec![
                    full(20, 1),
                    full(25, 2),
                    full(28, 3),
                    bounced(30, 4, Cause::MailboxUnknown, Action::Suppress),
                ],
                None,
                Some((1, None)),
            ),
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

    /// A hard bounce at an hour; `incident` is the last hour of its incident.
    fn dead(hour: i64, incident: Option<i64>) -> BounceEvidence {
        let bounce = bounced(0, hour.unsigned_abs(), Cause::MailboxUnknown, Action::Suppress);
        BounceEvidence { at: hour * HOUR, incident_end: incident.map(|hour| hour * HOUR), ..bounce }
    }

    /// `suppress`, or whether an incident is the reason of the hold and its end in hours, with the number of bounces.
    fn held(
        bounces: &[BounceEvidence],
        delivered: &[i64],
    ) -> Result<(bool, i64, u64), &'static str> {
        let times: Vec<i64> = delivered.iter().map(|hour| hour * HOUR).collect();
        let delivered = Delivered { last: times.last().copied(), times: &times };
        match decide(bounces, delivered, SoftLimit::default(), 2_000 * HOUR) {
            Some(found) if found.reason.is_hold() => {
                let is_incident = found.reason == SuppressReason::ProviderIncident;
                Ok((is_incident, found.expires_at.unwrap() / HOUR, found.count))
            }
            Some(_) => Err("suppress"),
            None => Err("none"),
        }
    }

    #[test]
    fn first_hard_bounce_of_an_established_address_is_a_hold() {
        let established = [1_200, 1_300, 1_400];
        let noon = 1_500;
        let midnight = 1_512;
        for (bounces, delivered, expected) in [
            (vec![dead(noon, None)], established.to_vec(), Ok((false, noon + 72, 1))),
            // two days, three deliveries of one day, deliveries that are too old
            (vec![dead(noon, None)], vec![1_200, 1_300], Err("suppress")),
            (vec![dead(noon, None)], vec![1_200, 1_201, 1_202], Err("suppress")),
            (vec![dead(noon, None)], vec![59, 1_300, 1_400], Err("suppress")),
            (vec![dead(noon, None)], vec![60, 1_300, 1_400], Ok((false, noon + 72, 1))),
            // a delivery on a third day, after the bounce
            (vec![dead(midnight - 1, None)], vec![1_200, 1_300, midnight], Err("suppress")),
            // the same day; a later day, but the same night; a later day
            (
                vec![dead(noon, None), dead(noon + 11, None)],
                established.to_vec(),
                Ok((false, noon + 72, 2)),
            ),
            (
                vec![dead(midnight - 3, None), dead(midnight + 2, None)],
                established.to_vec(),
                Ok((false, midnight + 69, 2)),
            ),
            (
                vec![dead(midnight - 3, None), dead(midnight + 3, None)],
                established.to_vec(),
                Err("suppress"),
            ),
            (vec![dead(noon, None), dead(noon + 200, None)], established.to_vec(), Err("suppress")),
            // delivered later
            (vec![dead(noon, None)], [established.as_slice(), &[1_502]].concat(), Err("none")),
        ] {
            assert_eq!(held(&bounces, &delivered), expected, "{bounces:?} {delivered:?}");
        }
    }

    #[test]
    fn permanently_full_mailbox_is_held_first_and_listed_until_it_expires() {
        let full = |day| bounced(day, 1, Cause::MailboxFull, Action::Suppress);
        let times = [1, 2, 3].map(|day| day * DAY);
        let delivered = Delivered { last: Some(3 * DAY), times: &times };
        let decision = |bounces: &[BounceEvidence], now: i64| {
            let found = decide(bounces, delivered, SoftLimit::default(), now * DAY)?;
            Some((found.reason, found.expires_at.map(|at| at / DAY)))
        };
        assert_eq!(decision(&[full(5)], 6), Some((SuppressReason::OnHold, Some(8))));
        let listed = Some((SuppressReason::HardBounce, Some(50)));
        assert_eq!(decision(&[full(5), full(20)], 21), listed);
        // the first one is more than 30 days old
        assert_eq!(decision(&[full(5), full(20)], 49), listed);
        assert_eq!(decision(&[full(5), full(20)], 50), None);
    }

    #[test]
    fn bounces_in_an_incident_are_a_hold_until_a_later_bounce() {
        let incident = |hour| dead(hour, Some(1_502));
        let again = |hour| dead(hour, Some(1_552));
        for (bounces, expected) in [
            (vec![incident(1_500)], Ok((true, 1_574, 1))),
            (vec![incident(1_500), incident(1_501)], Ok((true, 1_574, 2))),
            // the provider fails for two days
            (vec![incident(1_500), again(1_550)], Ok((true, 1_624, 2))),
            (vec![incident(1_500), dead(1_507, None)], Ok((true, 1_574, 2))),
            (vec![incident(1_500), dead(1_530, None)], Err("suppress")),
            // on the next day, seven hours after the bounce but five hours after the incident
            (vec![dead(1_508, Some(1_510)), dead(1_515, None)], Ok((true, 1_582, 2))),
            // it was suppressed before the incident
            (vec![dead(1_400, None), incident(1_500)], Err("suppress")),
        ] {
            assert_eq!(held(&bounces, &[]), expected, "{bounces:?}");
        }
    }

    #[test]
    fn full_mailbox_on_hold_is_suppressed_by_its_own_rule() {
        let full = |hour, message| BounceEvidence {
            at: hour * HOUR,
            ..bounced(0, message, Cause::MailboxFull, Action::SuppressIfRepeated)
        };
        let all = [dead(1_950, Some(1_951)), full(1_900, 1), full(1_910, 2), full(1_920, 3)];
        assert_eq!(held(&all[..3], &[]), Ok((true, 2_023, 1)));
        assert_eq!(held(&all, &[]), Err("suppress"));
        // three hard bounces of an incident are not a repeated failure
        let incident = [1_950, 1_951, 1_952].map(|hour| dead(hour, Some(1_952)));
        assert_eq!(held(&incident, &[]), Ok((true, 2_024, 3)));
    }

    proptest::proptest! {
        #[test]
        fn decision_does_not_depend_on_the_order_of_bounces(
            hours in proptest::collection::vec((1_400_i64..1_900, proptest::option::of(0_i64..10)), 1..6),
            turn in 0_usize..6,
            is_established in proptest::bool::ANY,
        ) {
            let mut all: Vec<BounceEvidence> =
                hours.into_iter().map(|(hour, incident)| dead(hour, incident.map(|more| hour + more))).collect();
            let delivered: &[i64] = if is_established { &[1_200, 1_300, 1_390] } else { &[] };
            let expected = held(&all, delivered);
            let turn = turn % all.len();
            all.rotate_left(turn);
            proptest::prop_assert_eq!(held(&all, delivered), expected);
        }
    }
}
