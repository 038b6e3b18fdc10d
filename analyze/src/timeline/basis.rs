//! The time that assigns events to windows.

use serde::Serialize;

/// Which time of an event assigns it to a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The time of the event.
    #[default]
    Event,
    /// The time at which the message was sent: the rate is that of the mail sent in the window.
    /// Feedback for the most recent mail is still incomplete.
    Send,
}

impl Basis {
    /// Returns the value in the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Send => "send",
        }
    }
}
