//! What speaks against mailing an address, and when it is enough. Pure.
//!
//! Only what is about the recipient speaks against an address. Whatever the code says, what is the fault of the sender,
//! the content, a policy or a rate never does. A failure of the network says nothing when it happens once; that mail to
//! an address expires again and again, on different days and with no delivery between, says that nobody is there.

use std::collections::BTreeSet;

use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::time::{DAY_MS, day_of};

/// By how much two clocks may disagree: that of the server that bounced, and that of SES.
pub(super) const CLOCK_SLACK_MS: i64 = 3_600_000;

/// How much one failure says about its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Enough if it happens repeatedly.
    IfRepeated,
    /// Enough at once.
    AtOnce,
}

/// What kind of failure adds up with which other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// No such mailbox, no such domain.
    Dead,
    /// No room.
    Full,
    /// No server that wants mail for the domain.
    Relay,
    /// Given up after hours of trying.
    Expired,
}

/// What a bounce of a cause says about its address; `None` where it says nothing, which is the case of everything that
/// is not about the recipient, whatever a rule wants to be done.
pub(super) fn weight(cause: Cause, action: Action) -> Option<(Family, Weight)> {
    let weight = match action {
        Action::Suppress => Weight::AtOnce,
        Action::SuppressIfRepeated => Weight::IfRepeated,
        _ => return None,
    };
    match cause {
        Cause::MailboxUnknown
        | Cause::MailboxDisabled
        | Cause::DomainInvalid
        | Cause::AddressSyntax => Some((Family::Dead, weight)),
        Cause::MailboxFull => Some((Family::Full, weight)),
        // never at once: such a thing may pass
        Cause::RelayDenied => Some((Family::Relay, Weight::IfRepeated)),
        Cause::NetworkTimeout => Some((Family::Expired, Weight::IfRepeated)),
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

/// One bounce that speaks against its address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bounced {
    pub(super) at: i64,
    pub(super) message: u64,
    pub(super) family: Family,
    pub(super) weight: Weight,
    pub(super) cause: Cause,
    /// What the server said.
    pub(super) text: Option<Box<str>>,
}

/// How often is too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Soft {
    /// So many soft failures are enough.
    pub count: usize,
    /// Within so many days.
    pub days: i64,
}

/// Three in thirty days, for full mailboxes as for mail that expired.
impl Default for Soft {
    fn default() -> Self {
        Self { count: 3, days: 30 }
    }
}

/// Why an address is not to be mailed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enough<'b> {
    pub(super) weight: Weight,
    /// The last bounce that speaks against it.
    pub(super) last: &'b Bounced,
    pub(super) first_at: i64,
    pub(super) count: u64,
    /// When it may be tried again, where time alone makes it better.
    pub(super) expires_at: Option<i64>,
}

/// Whether the bounces of an address are enough, at a moment; `delivered_at` is when other mail last reached it.
pub(super) fn enough(
    bounces: &[Bounced],
    delivered_at: Option<i64>,
    soft: Soft,
    now: i64,
) -> Option<Enough<'_>> {
    at_once(bounces, delivered_at, soft, now).or_else(|| repeated(bounces, delivered_at, soft, now))
}

fn at_once(
    bounces: &[Bounced],
    delivered_at: Option<i64>,
    soft: Soft,
    now: i64,
) -> Option<Enough<'_>> {
    let begin = now.saturating_sub(soft.days.saturating_mul(DAY_MS));
    let stands = |bounce: &&Bounced| {
        // a clock that is a little off makes a dead address no living one
        let is_later = delivered_at.is_none_or(|at| bounce.at.saturating_add(CLOCK_SLACK_MS) >= at);
        // a mailbox that is full for good may be tried again some day
        let lasts = bounce.family != Family::Full || bounce.at > begin;
        bounce.weight == Weight::AtOnce && is_later && lasts
    };
    let standing: Vec<&Bounced> = bounces.iter().filter(stands).collect();
    let last = standing.iter().max()?;
    let expires_at = (last.family == Family::Full)
        .then(|| last.at.saturating_add(soft.days.saturating_mul(DAY_MS)));
    Some(Enough {
        weight: Weight::AtOnce,
        last,
        first_at: standing.iter().map(|bounce| bounce.at).min()?,
        count: standing.len() as u64,
        expires_at,
    })
}

fn repeated(
    bounces: &[Bounced],
    delivered_at: Option<i64>,
    soft: Soft,
    now: i64,
) -> Option<Enough<'_>> {
    let lasts_ms = soft.days.saturating_mul(DAY_MS);
    let begin = now.saturating_sub(lasts_ms).max(delivered_at.unwrap_or(i64::MIN));
    let families = [Family::Dead, Family::Full, Family::Relay, Family::Expired];
    let found = families.into_iter().filter_map(|family| {
        let mut own: Vec<&Bounced> =
            bounces.iter().filter(|bounce| bounce.family == family && bounce.at > begin).collect();
        own.sort();
        // mail that is sent at a time fails at a time: a server that was away for a day was away once
        let mut seen = BTreeSet::new();
        let occasion = |bounce: &&&Bounced| match family {
            Family::Dead | Family::Full => seen.insert((0, bounce.message)),
            Family::Relay | Family::Expired => seen.insert((day_of(bounce.at), 0)),
        };
        let occasions: Vec<i64> =
            own.iter().rev().filter(occasion).map(|bounce| bounce.at).collect();
        // with one less it would not be enough: so it holds until the first of these is too old
        let decisive = occasions.get(soft.count.checked_sub(1)?)?;
        Some(Enough {
            weight: Weight::IfRepeated,
            last: own.last()?,
            first_at: own.first()?.at,
            count: own.len() as u64,
            expires_at: Some(decisive.saturating_add(lasts_ms)),
        })
    });
    found.max_by_key(|enough| (enough.expires_at, enough.last.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = DAY_MS;

    fn bounced(day: i64, message: u64, cause: Cause, action: Action) -> Bounced {
        let (family, weight) = weight(cause, action).unwrap();
        Bounced { at: day * DAY, message, family, weight, cause, text: None }
    }

    /// How many bounces are enough, and when that is over, in days; at day 40.
    fn check(bounces: &[Bounced], delivered: Option<i64>) -> Option<(u64, Option<i64>)> {
        let delivered = delivered.map(|day| day * DAY);
        let found = enough(bounces, delivered, Soft::default(), 40 * DAY)?;
        Some((found.count, found.expires_at.map(|at| at / DAY)))
    }

    #[test]
    fn only_the_recipients_fault_speaks_against_an_address() {
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
    fn a_dead_address_stays_dead_until_mail_arrives() {
        let dead = |day| bounced(day, 1, Cause::MailboxUnknown, Action::Suppress);
        assert_eq!(check(&[dead(1)], None), Some((1, None)));
        assert_eq!(check(&[dead(1), dead(5)], None), Some((2, None)));
        assert_eq!(check(&[dead(1)], Some(2)), None);
        assert_eq!(check(&[dead(1), dead(5)], Some(2)), Some((1, None)));
        let slack = Bounced { at: DAY, ..dead(1) };
        for (after, stands) in [(0, true), (CLOCK_SLACK_MS, true), (CLOCK_SLACK_MS + 1, false)] {
            let bounces = [slack.clone()];
            let found = enough(&bounces, Some(DAY + after), Soft::default(), 40 * DAY);
            assert_eq!(found.is_some(), stands, "{after}");
        }
    }

    #[test]
    fn soft_failures_add_up() {
        let full =
            |day, message| bounced(day, message, Cause::MailboxFull, Action::SuppressIfRepeated);
        let expired =
            |day, message| bounced(day, message, Cause::NetworkTimeout, Action::SuppressIfRepeated);
        for (bounces, delivered, expected) in [
            (vec![full(20, 1), full(25, 2)], None, None),
            (vec![full(20, 1), full(25, 2), full(30, 3)], None, Some((3, Some(50)))),
            (vec![full(20, 1), full(25, 2), full(30, 3), full(31, 4)], None, Some((4, Some(55)))),
            // too old: a span is half open, as everywhere
            (vec![full(10, 1), full(25, 2), full(30, 3)], None, None),
            (vec![full(11, 1), full(25, 2), full(30, 3)], None, Some((3, Some(41)))),
            // a delivery between
            (vec![full(20, 1), full(25, 2), full(30, 3)], Some(22), None),
            (vec![full(20, 1), full(25, 2), full(30, 3)], Some(19), Some((3, Some(50)))),
            // twice of one message
            (vec![full(20, 1), full(25, 2), full(30, 2)], None, None),
            // two kinds do not add up
            (vec![full(20, 1), full(25, 2), expired(30, 3)], None, None),
            (vec![expired(20, 1), expired(25, 2), expired(30, 3)], None, Some((3, Some(50)))),
            // one day on which a server was away
            (vec![expired(30, 1), expired(30, 2), expired(30, 3)], None, None),
        ] {
            assert_eq!(check(&bounces, delivered), expected, "{bounces:?} {delivered:?}");
        }
    }

    #[test]
    fn a_mailbox_that_is_full_for_good_is_enough_at_once_but_not_for_ever() {
        let full = |day| bounced(day, 1, Cause::MailboxFull, Action::Suppress);
        assert_eq!(check(&[full(30)], None), Some((1, Some(60))));
        assert_eq!(check(&[full(10)], None), None);
    }

    #[test]
    fn order_makes_no_difference() {
        let all: Vec<Bounced> = (0..4)
            .map(|day| bounced(20 + day, 1, Cause::MailboxUnknown, Action::Suppress))
            .collect();
        let reversed: Vec<Bounced> = all.iter().rev().cloned().collect();
        let told = |bounces: &[Bounced]| {
            let found = enough(bounces, None, Soft::default(), 40 * DAY).unwrap();
            (found.last.clone(), found.first_at, found.count)
        };
        assert_eq!(told(&all), told(&reversed));
    }
}
