//! Reads an SES event, also inside an SNS notification, and prints its type and recipients.
//!
//! ```sh
//! cargo run -p bouncewatch-schemas --example read_event < event.json
//! ```

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use bouncewatch_schemas::wire::envelope::Envelope;
use bouncewatch_schemas::wire::inplace::notification_from_str;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let text = text.trim();
    // fast path: an SNS notification and the event in it, in one pass; otherwise a plain event
    let event: Envelope<'_> = match notification_from_str(text) {
        Ok(notification) => *notification.message,
        Err(_) => serde_json::from_str(text)?,
    };
    let mut out = std::io::stdout().lock();
    let event_type = event.event_type.get().or(event.notification_type.get());
    let Some((event_type, mail)) = event_type.zip(event.mail.0) else {
        writeln!(out, "not an SES event")?;
        return Ok(ExitCode::FAILURE);
    };
    writeln!(out, "{event_type} of message {}", mail.message_id.get().unwrap_or("unknown"))?;
    for recipient in &mail.destination.0 {
        writeln!(out, "  {}", recipient.0.email_address.get().unwrap_or("unknown recipient"))?;
    }
    Ok(ExitCode::SUCCESS)
}
