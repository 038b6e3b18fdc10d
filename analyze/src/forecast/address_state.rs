//! The mail history of one address, stored compactly, and the class of its next attempt. No I/O.

use crate::scan::MailEvent;
use crate::timeline::Outcome;

const DAY_SECS: u32 = 86_400;

/// Upper bounds of the delivery classes: age of the last delivery in days.
/// [`AddressClass::DeliveredEarlier`] has no bound.
pub(crate) const AGE_DAYS: [u32; 5] = [7, 30, 90, 180, 365];

/// History of an address before an attempt. All attempts of a class share one bounce rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum AddressClass {
    /// The store has no mail to it.
    New,
    /// Last result: a delivery, less than 7 days ago.
    Delivered7d,
    /// Last result: a delivery, less than 30 days ago.
    Delivered30d,
    /// Last result: a delivery, less than 90 days ago.
    Delivered90d,
    /// Last result: a delivery, less than 180 days ago.
    Delivered180d,
    /// Last result: a delivery, less than 365 days ago.
    Delivered365d,
    /// Last result: a delivery, at least 365 days ago.
    DeliveredEarlier,
    /// Mail was sent, without delivery or hard bounce.
    NotDelivered,
    /// Last result: the first hard bounce.
    Bounced,
    /// Last result: a hard bounce that is not the first one.
    BouncedAgain,
    /// SES did not send the last mail, because the address is on a suppression list.
    OnSesList,
    /// The recipient complained.
    Complained,
}

impl AddressClass {
    /// All classes.
    pub(crate) const ALL: [Self; 12] = [
        Self::New,
        Self::Delivered7d,
        Self::Delivered30d,
        Self::Delivered90d,
        Self::Delivered180d,
        Self::Delivered365d,
        Self::DeliveredEarlier,
        Self::NotDelivered,
        Self::Bounced,
        Self::BouncedAgain,
        Self::OnSesList,
        Self::Complained,
    ];

    /// Returns the value in output.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Delivered7d => "delivered_7d",
            Self::Delivered30d => "delivered_30d",
            Self::Delivered90d => "delivered_90d",
            Self::Delivered180d => "delivered_180d",
            Self::Delivered365d => "delivered_365d",
            Self::DeliveredEarlier => "delivered_earlier",
            Self::NotDelivered => "not_delivered",
            Self::Bounced => "bounced",
            Self::BouncedAgain => "bounced_again",
            Self::OnSesList => "on_ses_list",
            Self::Complained => "complained",
        }
    }

    /// Whether the last result is a delivery.
    pub(crate) const fn is_delivered(self) -> bool {
        matches!(
            self,
            Self::Delivered7d
                | Self::Delivered30d
                | Self::Delivered90d
                | Self::Delivered180d
                | Self::Delivered365d
                | Self::DeliveredEarlier
        )
    }

    /// Whether an address of the class is always held.
    pub(crate) const fn is_always_held(self) -> bool {
        matches!(self, Self::Bounced | Self::BouncedAgain | Self::OnSesList | Self::Complained)
    }
}

/// Which event types the store contains.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KnownKinds {
    pub(crate) has_sends: bool,
    pub(crate) has_deliveries: bool,
}

/// Value of [`AddressState::mailing`] without an attempt.
pub(crate) const NO_MAILING: u32 = u32::MAX;

/// Mail history of an address. Times are seconds since 1970; 0 means never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AddressState {
    sent_at: u32,
    delivered_at: u32,
    bounced_at: u32,
    /// Part of the hash of the last message.
    message_key: u32,
    /// Mailing of the last attempt.
    pub(crate) mailing: u32,
    bounce_count: u8,
    /// Class of the last attempt.
    class: u8,
    is_on_ses_list: bool,
    has_complained: bool,
}

impl Default for AddressState {
    fn default() -> Self {
        Self {
            sent_at: 0,
            delivered_at: 0,
            bounced_at: 0,
            message_key: 0,
            mailing: NO_MAILING,
            bounce_count: 0,
            class: 0,
            is_on_ses_list: false,
            has_complained: false,
        }
    }
}

impl AddressState {
    /// Returns the class of an attempt at `at`.
    pub(crate) fn class_at(&self, at: i64, kinds: KnownKinds) -> AddressClass {
        // without Delivery events, an attempt without a hard bounce counts as delivered
        let delivered = if kinds.has_deliveries { self.delivered_at } else { self.sent_at };
        if self.has_complained {
            AddressClass::Complained
        } else if self.is_on_ses_list {
            AddressClass::OnSesList
        } else if self.bounced_at > 0 && self.bounced_at >= delivered {
            if self.bounce_count > 1 { AddressClass::BouncedAgain } else { AddressClass::Bounced }
        } else if delivered > 0 {
            let days = seconds(at).saturating_sub(delivered) / DAY_SECS;
            let position = AGE_DAYS.iter().position(|end| days < *end).unwrap_or(AGE_DAYS.len());
            AddressClass::ALL[1 + position]
        } else if self.sent_at > 0 {
            AddressClass::NotDelivered
        } else {
            AddressClass::New
        }
    }

    /// Whether an event counts as an attempt: a send; without Send events, the first result of a
    /// message.
    pub(crate) fn is_attempt(&self, event: &MailEvent, kinds: KnownKinds) -> bool {
        match event.outcome {
            Outcome::Send => true,
            _ if kinds.has_sends => false,
            Outcome::Complaint | Outcome::ComplaintNotCounted => false,
            _ => self.sent_at == 0 || self.message_key != short_key(event.message),
        }
    }

    /// Records an attempt.
    pub(crate) fn start(&mut self, event: &MailEvent, class: AddressClass, mailing: u32) {
        self.sent_at = seconds(event.at);
        self.message_key = short_key(event.message);
        self.class = class as u8;
        self.mailing = mailing;
    }

    /// Records a result.
    pub(crate) fn record(&mut self, event: &MailEvent) {
        let at = seconds(event.at);
        match event.outcome {
            Outcome::Delivery => {
                self.delivered_at = self.delivered_at.max(at);
                self.is_on_ses_list = false;
            }
            Outcome::Hard | Outcome::SuppressedCounted => {
                self.bounced_at = self.bounced_at.max(at);
                self.bounce_count = self.bounce_count.saturating_add(1);
            }
            Outcome::Suppressed => self.is_on_ses_list = true,
            Outcome::Complaint => self.has_complained = true,
            _ => {}
        }
    }

    /// Returns the class of the last attempt.
    pub(crate) fn last_class(&self) -> AddressClass {
        AddressClass::ALL[usize::from(self.class).min(AddressClass::ALL.len() - 1)]
    }
}

fn seconds(at: i64) -> u32 {
    u32::try_from(at / 1_000).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, reason = "a part of a hash")]
const fn short_key(message: u64) -> u32 {
    message as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const KINDS: KnownKinds = KnownKinds { has_sends: true, has_deliveries: true };

    fn event(outcome: Outcome, day: i64, message: u64) -> MailEvent {
        MailEvent {
            at: (20_000 + day) * DAY,
            message,
            recipient: 1,
            domain: 1,
            campaign: 0,
            outcome,
            is_role: false,
        }
    }

    fn class(events: &[(Outcome, i64)], kinds: KnownKinds) -> &'static str {
        let mut state = AddressState::default();
        for (number, (outcome, day)) in (0..).zip(events) {
            let event = event(*outcome, *day, number / 2);
            if state.is_attempt(&event, kinds) {
                let class = state.class_at(event.at, kinds);
                state.start(&event, class, 0);
            }
            state.record(&event);
        }
        state.class_at(20_100 * DAY, kinds).as_str()
    }

    #[test]
    fn class_depends_on_the_last_result_and_its_age() {
        use Outcome::{Complaint, Delivery, Hard, Send, Soft, Suppressed};

        for (events, expected) in [
            (&[][..], "new"),
            (&[(Send, 1)], "not_delivered"),
            (&[(Send, 1), (Soft, 1)], "not_delivered"),
            (&[(Send, 99), (Delivery, 99)], "delivered_7d"),
            (&[(Send, 1), (Delivery, 1)], "delivered_180d"),
            (&[(Send, -400), (Delivery, -400)], "delivered_earlier"),
            (&[(Send, 1), (Hard, 1)], "bounced"),
            (&[(Send, 1), (Hard, 1), (Send, 2), (Hard, 2)], "bounced_again"),
            (&[(Send, 1), (Hard, 1), (Send, 80), (Delivery, 80)], "delivered_30d"),
            // accepted, and returned later
            (&[(Send, 1), (Delivery, 1), (Hard, 2)], "bounced"),
            (&[(Send, 1), (Suppressed, 1)], "on_ses_list"),
            (&[(Send, 1), (Delivery, 1), (Complaint, 2)], "complained"),
        ] {
            assert_eq!(class(events, KINDS), expected, "{events:?}");
        }
    }

    #[test]
    fn stores_without_sends_or_deliveries_have_attempts_and_deliveries() {
        use Outcome::{Delivery, Hard, Send};

        let no_sends = KnownKinds { has_sends: false, has_deliveries: true };
        let no_deliveries = KnownKinds { has_sends: true, has_deliveries: false };
        assert_eq!(class(&[(Delivery, 99)], no_sends), "delivered_7d");
        assert_eq!(class(&[(Hard, 99)], no_sends), "bounced");
        assert_eq!(class(&[(Send, 99)], no_deliveries), "delivered_7d");
        assert_eq!(class(&[(Send, 99), (Hard, 99)], no_deliveries), "bounced");
    }
}
