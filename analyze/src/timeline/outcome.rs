//! Outcomes of events that rates and reports count.

use std::ops::RangeInclusive;

use bouncewatch_schemas::event::Service;

/// Outcome of an event. If copies of an event disagree, the highest outcome wins, so that their order does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Outcome {
    /// Not counted anywhere.
    Other = 0,
    /// Sent.
    Send = 10,
    /// Delivered.
    Delivery = 20,
    /// A bounce without a known class.
    BounceOther = 30,
    /// An automatic reply.
    AutoReply = 31,
    /// A suppressed message that SES does not count.
    Suppressed = 32,
    /// A soft bounce.
    Soft = 33,
    /// A bounce of type `Undetermined`.
    Undetermined = 34,
    /// A recipient on SES's global suppression list: counted.
    SuppressedCounted = 36,
    /// A hard bounce that counts.
    Hard = 37,
    /// A complaint that counts.
    Complaint = 40,
    /// A `not-spam` report, or a complaint about mail that SES did not send.
    ComplaintNotCounted = 41,
    /// A delivery delay.
    Delay = 50,
    /// Rejected by SES.
    Reject = 60,
    /// A template that SES could not render.
    RenderingFailure = 70,
    /// A bounce of a message that another sender sent to us (WorkMail).
    IncomingBounce = 80,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 16] = [
        Self::Other,
        Self::Send,
        Self::Delivery,
        Self::BounceOther,
        Self::AutoReply,
        Self::Suppressed,
        Self::Soft,
        Self::Undetermined,
        Self::SuppressedCounted,
        Self::Hard,
        Self::Complaint,
        Self::ComplaintNotCounted,
        Self::Delay,
        Self::Reject,
        Self::RenderingFailure,
        Self::IncomingBounce,
    ];

    /// Bounces of every class, which are consecutive.
    pub const BOUNCES: RangeInclusive<Self> = Self::BounceOther..=Self::Hard;

    /// Bounces that end the delivery of a message, without automatic replies.
    pub const FINAL_BOUNCES: [Self; 5] =
        [Self::Suppressed, Self::Soft, Self::Undetermined, Self::SuppressedCounted, Self::Hard];

    /// Returns the outcomes in the bounce rate: for SES hard bounces, for WorkMail every bounce.
    pub const fn bounces(service: Service) -> &'static [Self] {
        match service {
            Service::Ses => &[Self::Hard, Self::SuppressedCounted],
            Service::WorkMail => &[Self::Hard, Self::Soft, Self::Undetermined],
        }
    }

    /// Returns the outcome of accepted mail. Attempts are accepted mail plus final bounces.
    /// WorkMail logs no deliveries.
    pub const fn accepted(service: Service) -> Self {
        match service {
            Service::Ses => Self::Delivery,
            Service::WorkMail => Self::Send,
        }
    }

    /// Returns its code in daily aggregates.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Returns its index in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|outcome| *outcome == self).expect("ALL contains every outcome")
    }

    /// Returns the outcome with a code; `None` if no outcome has it.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}
