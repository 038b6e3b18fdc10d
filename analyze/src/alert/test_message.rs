//! The message that tests a channel. No I/O.

use bouncewatch_schemas::time::format_ms;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::message::{AlertJson, Message, json_text, page_lines};
use crate::check::level::AlertLevel;
use crate::error::AnalyzeError;

#[derive(Serialize)]
struct TestJson<'a> {
    test: bool,
    alert: AlertJson<'a>,
}

/// Returns a message that reports no alert: its level is OK, and its JSON has `test: true`.
/// Messages with different `now` (epoch milliseconds) have different identifiers.
///
/// # Errors
/// If it cannot be serialized as JSON.
pub fn test_message(now: i64, page: Option<&str>) -> Result<Message, AnalyzeError> {
    let level = AlertLevel::Ok;
    let id = format!("{:016x}", xxh3_64(format!("test {now}").as_bytes()));
    let subject = "bouncewatch: test message, no alert".to_owned();
    let text = format!(
        "{subject}\n\nAlerts reach this channel. Sent at {} by `bouncewatch check --test-alert`.\n{}",
        format_ms(now),
        page_lines(page)
    );
    let alert = AlertJson {
        id: &id,
        level,
        subject: &subject,
        text: &text,
        page,
        more: 0,
        changes: Vec::new(),
    };
    let json = json_text(&TestJson { test: true, alert })?;
    let attributes = [("level", level.as_str()), ("change", "test")];
    let attributes = attributes.map(|(name, value)| (name, vec![value.to_owned()])).to_vec();
    Ok(Message { level, id, subject, text, json, attributes, page: page.map(str::to_owned) })
}
