//! Builders of SES events for tests with small, hand-checked numbers.

use serde_json::{Value, json};

/// Time of evaluation (`--at`); events of these tests are older.
pub(crate) const NOW: &str = "2026-11-20T00:00:00Z";

/// A message to one recipient.
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) at: &'static str,
    pub(crate) tags: Value,
}

/// Returns message `number`, sent one hour before [`NOW`].
pub(crate) fn message(number: usize) -> Message {
    Message {
        id: format!("message-{number}"),
        to: format!("user{number}@example.org"),
        at: "2026-11-19T23:00:00.000Z",
        tags: json!({"ses:configuration-set": ["main"], "campaign": ["spring"]}),
    }
}

impl Message {
    fn mail(&self) -> Value {
        json!({
            "timestamp": self.at, "messageId": self.id, "source": "shop@example.com",
            "sourceArn": "arn:aws:ses:us-east-1:123456789012:identity/example.com",
            "sendingAccountId": "123456789012", "destination": [self.to],
        })
    }

    /// Returns an event as a configuration set publishes it; `key` holds `detail`.
    pub(crate) fn event(&self, kind: &str, key: &str, detail: &Value) -> String {
        self.event_to(&[&self.to], kind, key, detail)
    }

    /// Returns an event of a message with several recipients.
    pub(crate) fn event_to(
        &self,
        destination: &[&str],
        kind: &str,
        key: &str,
        detail: &Value,
    ) -> String {
        let mut mail = self.mail();
        mail["destination"] = json!(destination);
        mail["tags"] = self.tags.clone();
        format!("{}\n", json!({"eventType": kind, "mail": mail, key: detail}))
    }

    /// Returns the same event as identity feedback notification, which has no tags.
    pub(crate) fn feedback(&self, kind: &str, key: &str, detail: &Value) -> String {
        format!("{}\n", json!({"notificationType": kind, "mail": self.mail(), key: detail}))
    }

    pub(crate) fn send(&self) -> String {
        self.event("Send", "send", &json!({}))
    }

    pub(crate) fn delivery(&self) -> String {
        self.event("Delivery", "delivery", &json!({"timestamp": self.at, "recipients": [self.to]}))
    }

    pub(crate) fn bounce_detail(&self, bounce_type: &str, subtype: &str) -> Value {
        json!({
            "bounceType": bounce_type, "bounceSubType": subtype, "timestamp": self.at, "feedbackId": "f",
            "bouncedRecipients": [{"emailAddress": self.to, "action": "failed", "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown"}],
        })
    }

    pub(crate) fn bounce(&self) -> String {
        self.event("Bounce", "bounce", &self.bounce_detail("Permanent", "General"))
    }
}

/// Returns the time `minutes` after [`NOW`] in RFC 3339.
pub(crate) fn minutes_after_now(minutes: i64) -> String {
    let now = bouncewatch_schemas::time::parse_ms(NOW).unwrap();
    bouncewatch_schemas::time::format_ms(now + minutes * 60_000)
}

/// Returns `sent` Send events and hard bounces of the first `bounced` messages.
pub(crate) fn sent_and_bounced(sent: usize, bounced: usize) -> String {
    let sends = (0..sent).map(|number| message(number).send());
    let bounces = (0..bounced).map(|number| message(number).bounce());
    sends.chain(bounces).collect()
}
