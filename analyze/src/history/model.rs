//! Result of `history`; its JSON is a contract.

use serde::Serialize;

use crate::suppress::model::SuppressedAddress;

/// Events of one address or message.
#[derive(Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/history.md")]
pub struct MailHistory {
    pub version: u32,
    /// In normal form; null for a message.
    pub address: Option<String>,
    /// Null for an address.
    pub message_id: Option<String>,
    /// Start of the period; null for all events.
    pub from: Option<String>,
    pub to: String,
    /// Number of messages with events in the period.
    pub messages: u64,
    pub first_at: Option<String>,
    pub last_sent_at: Option<String>,
    pub last_delivered_at: Option<String>,
    pub last_bounced_at: Option<String>,
    pub last_complained_at: Option<String>,
    /// Recipients that `suppress` lists at the end of the period.
    pub suppressed: Vec<SuppressedAddress>,
    /// Recipients that `suppress` puts on hold.
    pub on_hold: Vec<SuppressedAddress>,
    /// Rows at the domain of the address with a dropped address; null for a message.
    pub dropped_rows: Option<u64>,
    /// Rows at the domain of the address with a hashed address, of any recipient; null for a
    /// message.
    pub hashed_rows: Option<u64>,
    /// Number of events in the period.
    pub events_total: u64,
    /// Sorted by time; if there are more than requested, only the newest.
    pub events: Vec<HistoryEvent>,
}

/// One event.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the fields are the keys of the JSON, see docs/src/history.md")]
pub struct HistoryEvent {
    pub at: String,
    pub kind: &'static str,
    pub service: &'static str,
    pub message_id: String,
    pub recipient: Option<String>,
    pub reported_recipient: Option<String>,
    pub campaign: Option<String>,
    pub configuration_set: Option<String>,
    pub source: Option<String>,
    pub class: Option<String>,
    pub bounce_type: Option<String>,
    pub bounce_subtype: Option<String>,
    pub complaint_type: Option<String>,
    pub complaint_subtype: Option<String>,
    pub delay_type: Option<String>,
    /// Bounces and delays only.
    pub cause: Option<&'static str>,
    /// Recommended action for the cause.
    pub action: Option<&'static str>,
    pub smtp_code: Option<u16>,
    pub enhanced_status: Option<String>,
    /// Reply of the server.
    pub text: Option<String>,
    pub remote_mta: Option<String>,
    pub link: Option<String>,
    /// Delays: when SES stops trying.
    pub expires_at: Option<String>,
}
