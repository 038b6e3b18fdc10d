//! The message that tests a channel. No I/O.

use bouncewatch_schemas::time::format_ms;
use serde_json::json;
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::message::Message;
use crate::check::level::AlertLevel;

/// Returns a message that reports no alert. Its level is that of a cleared alert, and its JSON has `test: true`. Messages of
/// different times `now`, epoch milliseconds, have different identifiers.
pub fn test_message(now: i64, page: Option<&str>) -> Message {
    let level = AlertLevel::Ok;
    let id = format!("{:016x}", xxh3_64(format!("test {now}").as_bytes()));
    let subject = "bouncewatch: test message, no alert".to_owned();
    let page_line = page.map_or_else(String::new, |page| format!("\npage: {page}\n"));
    let text = format!(
        "{subject}\n\nAlerts reach this channel. Sent at {} by `bouncewatch check --test-alert`.\n{page_line}",
        format_ms(now)
    );
    let mut alert = json!({
        "id": id, "level": level, "subject": subject, "text": text, "more": 0, "changes": [],
    });
    if let Some(page) = page {
        alert["page"] = json!(page);
    }
    let json = json!({"test": true, "alert": alert}).to_string();
    let attributes = [("level", level.as_str()), ("change", "test")];
    let attributes = attributes.map(|(name, value)| (name, vec![value.to_owned()])).to_vec();
    Message { level, id, subject, text, json, attributes, page: page.map(str::to_owned) }
}
