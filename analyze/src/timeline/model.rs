//! The plain structs that everything behind the scan works on.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
/// Columns by which rates may be cut. Account and region are always there.
pub use bouncewatch_schemas::volume::SCOPE_COLUMNS;
use serde::{Serialize, Serializer};

use crate::error::AnalyzeError;
use crate::timeline::send_counts::Volumes;
use crate::timeline::times::Times;

/// Account and region: every scope has them.
pub const ACCOUNT_COLUMNS: [&str; 2] = ["account", "region"];

/// Of mail that SES does not count: why. No column of the table; `reconcile` cuts by it.
pub const LEFT_OUT: &str = "left_out";

/// Of mail to a provider that tells SES of no complaints: this word. No column of the table either.
pub(crate) const NO_FEEDBACK: &str = "no_feedback";

/// By which time an event belongs to a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// When it happened: what comes in now is in the window of now.
    #[default]
    Event,
    /// When its mail was sent: of the mail that was sent in the window, how much bounced. What was sent last is still on
    /// its way.
    Send,
}

impl Basis {
    /// The word in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Send => "send",
        }
    }
}

/// One word of a cut.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeWord {
    /// A column of the event table.
    Column(&'static str),
    /// A message tag.
    Tag(String),
}

impl ScopeWord {
    /// The word as it is typed, and as it is a key in the JSON.
    pub fn name(&self) -> String {
        match self {
            Self::Column(name) => (*name).to_owned(),
            Self::Tag(name) => format!("tag:{name}"),
        }
    }

    /// Whether all recipients of a message share it.
    pub fn is_of_message(&self) -> bool {
        !matches!(
            self,
            Self::Column("provider" | "recipient_domain" | "cause" | LEFT_OUT | NO_FEEDBACK)
        )
    }

    /// A word by which it can be told who drives a rate: one by which rates are cut, or `cause`.
    ///
    /// # Errors
    /// If a word is neither.
    pub fn of_contributors(text: &str) -> Result<Self, AnalyzeError> {
        if text.trim() == table::CAUSE {
            return Ok(Self::Column(table::CAUSE));
        }
        text.parse().map_err(|_| AnalyzeError::Contributor(text.to_owned()))
    }
}

impl FromStr for ScopeWord {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Some(tag) = text.strip_prefix("tag:").filter(|tag| !tag.is_empty()) {
            return Ok(Self::Tag(tag.to_owned()));
        }
        ACCOUNT_COLUMNS
            .iter()
            .chain(&SCOPE_COLUMNS)
            .find(|column| **column == text)
            .map(|column| Self::Column(column))
            .ok_or_else(|| AnalyzeError::Scope(text.to_owned()))
    }
}

/// A cut: account and region, and the words below them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut(pub Vec<ScopeWord>);

impl Cut {
    /// Account and region alone.
    pub fn account() -> Self {
        Self(ACCOUNT_COLUMNS.iter().map(|column| ScopeWord::Column(column)).collect())
    }

    /// Account and region, and the words of a comma-separated list.
    ///
    /// # Errors
    /// If a word is neither a column nor a tag.
    pub fn parse(text: &str) -> Result<Self, AnalyzeError> {
        let mut cut = Self::account();
        for word in text.split(',') {
            let word = word.parse()?;
            if !cut.0.contains(&word) {
                cut.0.push(word);
            }
        }
        Ok(cut)
    }

    /// Whether it is account and region alone.
    pub fn is_account(&self) -> bool {
        self.0.len() == ACCOUNT_COLUMNS.len()
    }
}

/// The values of a cut's words, in their order; `None` where the events have none.
pub type ScopeValues = Vec<Option<String>>;

/// A scope as it is printed: word -> value, in the order of the cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope(pub Vec<(String, Option<String>)>);

impl Scope {
    /// The scope of a cut's values.
    pub fn new(cut: &Cut, values: &ScopeValues) -> Self {
        Self(cut.0.iter().map(ScopeWord::name).zip(values.iter().cloned()).collect())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(word, value)| (word, value)))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (word, value)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            let value = value.as_deref().unwrap_or("-");
            if ACCOUNT_COLUMNS.contains(&word.as_str()) {
                f.write_str(value)?;
            } else {
                write!(f, "{word}={value}")?;
            }
        }
        Ok(())
    }
}

/// What one event is for the rates. Of two copies of an event the higher one is believed, so that the order in which
/// they came makes no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Outcome {
    /// Nothing that a rate counts.
    Other = 0,
    /// Sent.
    Send = 10,
    /// Delivered.
    Delivery = 20,
    /// A bounce that tells no class.
    BounceOther = 30,
    /// An automatic reply.
    AutoReply = 31,
    /// Suppressed, not counted by SES.
    Suppressed = 32,
    /// A soft bounce.
    Soft = 33,
    /// A bounce of unknown kind.
    Undetermined = 34,
    /// On SES's global suppression list: counted.
    SuppressedCounted = 36,
    /// A hard bounce that counts.
    Hard = 37,
    /// A complaint that counts.
    Complaint = 40,
    /// `not-spam`, or a complaint about mail that was not sent.
    ComplaintNotCounted = 41,
    /// Still being tried.
    Delay = 50,
    /// Refused by SES.
    Reject = 60,
    /// A template that could not be rendered.
    RenderingFailure = 70,
    /// Somebody else's mail to us that bounced.
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

    /// Outcomes after which nothing more is tried, automatic replies left out.
    pub const FINAL_BOUNCES: [Self; 5] =
        [Self::Suppressed, Self::Soft, Self::Undetermined, Self::SuppressedCounted, Self::Hard];

    /// Outcomes that enter the bounce rate. SES leaves out what is not hard; WorkMail's metrics have one bounce.
    pub const fn bounces(service: Service) -> &'static [Self] {
        match service {
            Service::Ses => &[Self::Hard, Self::SuppressedCounted],
            Service::WorkMail => &[Self::Hard, Self::Soft, Self::Undetermined],
        }
    }

    /// The outcome of mail that reached the recipient's server: with the final bounces, what was tried. WorkMail has
    /// no delivery beside its send.
    pub const fn passed_on(service: Service) -> Self {
        match service {
            Service::Ses => Self::Delivery,
            Service::WorkMail => Self::Send,
        }
    }

    /// Its number in the scan.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Its place among all.
    pub(crate) fn index(self) -> usize {
        Self::ALL.iter().position(|outcome| *outcome == self).expect("all are there")
    }

    /// The outcome of a number.
    pub fn of_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// The events of one scope: their times by outcome. Everything that a window counts is a difference of two positions in
/// them, so windows are exact to the millisecond.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Whose events they are.
    pub service: Service,
    /// Times by outcome; no outcome without times.
    pub times: BTreeMap<Outcome, Times>,
    /// Times of (message, recipient) pairs that were delivered or bounced for good; only where some window lacks sends.
    /// Of WorkMail always, and of pairs that were sent or bounced.
    pub delivered_or_bounced: Times,
    /// Time of the first send that is known, also one before the part of history that was loaded: with it, a window
    /// without sends is an empty window, and not one whose sends nobody reports. Of WorkMail that of the whole account.
    pub first_send: Option<i64>,
    /// The same of deliveries.
    pub first_delivery: Option<i64>,
    /// What others than events tell of attempts.
    pub volumes: Volumes,
    /// Nothing before this moment counts.
    pub counted_from: Option<i64>,
}

/// No times.
static NO_TIMES: Times = Times::new();

impl Timeline {
    /// No events.
    pub fn new(service: Service) -> Self {
        Self {
            service,
            times: BTreeMap::new(),
            delivered_or_bounced: Times::new(),
            first_send: None,
            first_delivery: None,
            volumes: Volumes::new(),
            counted_from: None,
        }
    }

    /// Times of one outcome.
    pub fn of(&self, outcome: Outcome) -> &Times {
        self.times.get(&outcome).unwrap_or(&NO_TIMES)
    }
}

/// What attempts were counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Denominator {
    /// Send events.
    Sends,
    /// Deliveries and final bounces.
    DeliveriesAndBounces,
    /// WorkMail: recipients to whom mail was sent, or bounced.
    SentAndBounced,
    /// Volumes that were imported.
    Volumes,
    /// Volumes until the first Send event that is known, then Send events.
    VolumesAndSends,
}

impl Denominator {
    /// The word in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sends => "sends",
            Self::DeliveriesAndBounces => "deliveries_and_bounces",
            Self::SentAndBounced => "sent_and_bounced",
            Self::Volumes => "volumes",
            Self::VolumesAndSends => "volumes_and_sends",
        }
    }

    /// Whether attempts are (message, recipient) pairs of several outcomes.
    pub const fn is_of_pairs(self) -> bool {
        matches!(self, Self::DeliveriesAndBounces | Self::SentAndBounced)
    }
}
