//! A history as text. Control characters in addresses and texts of mail servers are escaped.

use std::fmt::Write;

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::TextLayout;

use crate::history::model::{HistoryEvent, MailHistory};
use crate::report::text::{humanize, shortened, utc_second};
use crate::report::text_table::TextTable;
use crate::suppress::model::SuppressedAddress;

/// Maximum length of a message ID, in characters. An SES message ID starts with the time of
/// sending.
const MESSAGE_ID_MAX: usize = 16;
/// Maximum length of a campaign or of a recipient.
const NAME_MAX: usize = 32;
/// Maximum length of a text of a server.
const TEXT_MAX: usize = 100;

/// A column: title, and the cell of an event.
type HistoryColumn = (&'static str, fn(&HistoryEvent) -> String);

/// Columns in order. A history of a message omits `message`, that of an address omits `recipient`.
const COLUMNS: [HistoryColumn; 8] = [
    ("time (UTC)", |event| event.at.chars().take(19).collect::<String>().replace('T', " ")),
    ("event", event_name),
    ("message", |event| shortened(&printable(&event.message_id), MESSAGE_ID_MAX)),
    ("recipient", |event| cell(event.recipient.as_deref())),
    ("service", |event| if event.service == "ses" { String::new() } else { "workmail".to_owned() }),
    ("campaign", |event| cell(event.campaign.as_deref())),
    ("cause", |event| event.cause.unwrap_or_default().to_owned()),
    ("text", |event| shortened(&printable(&text(event)), TEXT_MAX)),
];

/// Returns a summary in one line, a table with one line per event, and the suppressed recipients.
pub fn history(history: &MailHistory, layout: TextLayout) -> String {
    let mut out = summary(history);
    let hidden = if history.address.is_some() { "recipient" } else { "message" };
    let mut header = Vec::new();
    let mut rows = vec![Vec::new(); history.events.len()];
    for (title, cell) in COLUMNS.into_iter().filter(|(title, _)| *title != hidden) {
        let cells: Vec<String> = history.events.iter().map(cell).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            header.push(title);
            rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
        }
    }
    if !rows.is_empty() {
        out.push('\n');
        let table =
            TextTable { header: &header, left_columns: header.len(), ..TextTable::default() };
        out.push_str(&table.text(&rows, layout));
    }
    for one in history.suppressed.iter().chain(&history.on_hold) {
        out.push_str(&suppressed(one));
    }
    out
}

fn summary(history: &MailHistory) -> String {
    let mut out = match (&history.address, &history.message_id) {
        (Some(address), _) => printable(address).into_owned(),
        (_, id) => format!("message {}", printable(id.as_deref().unwrap_or_default())),
    };
    // writing to a String cannot fail
    _ = match (&history.first_at, history.address.is_some()) {
        (None, _) => write!(out, ": no events"),
        (Some(first), true) => {
            write!(out, ": {} since {}", plural(history.messages, "message"), date(first))
        }
        (Some(first), false) => {
            write!(out, ": {} since {}", plural(history.events_total, "event"), date(first))
        }
    };
    for (name, at) in [
        ("delivered", &history.last_delivered_at),
        ("bounced", &history.last_bounced_at),
        ("complained", &history.last_complained_at),
    ] {
        if let Some(at) = at {
            _ = write!(out, ", last {name} {}", utc_second(at));
        }
    }
    _ = match (history.suppressed.as_slice(), history.on_hold.as_slice()) {
        ([], []) => writeln!(out, "; not suppressed"),
        ([], [first, ..]) => {
            let until = first.expires_at.as_deref().map(utc_second).unwrap_or_default();
            writeln!(out, "; on hold until {until}")
        }
        ([first, ..], _) => writeln!(
            out,
            "; suppressed because of {} on {}",
            reason(first),
            utc_second(&first.last_at)
        ),
    };
    out
}

fn suppressed(one: &SuppressedAddress) -> String {
    let expires = one.expires_at.as_deref().map(utc_second);
    let evidence = one.evidence.as_deref().unwrap_or_default();
    format!(
        "\n{} is {} by `suppress`\n  reason    {}, {}, last {}\n  until     {}\n  evidence  {}\n",
        printable(&one.address),
        if one.reason.is_hold() { "put on hold" } else { "listed" },
        reason(one),
        plural(one.count, if one.cause.is_some() { "bounce" } else { "complaint" }),
        utc_second(&one.last_at),
        expires.as_deref().unwrap_or("no expiry"),
        shortened(&printable(evidence), TEXT_MAX)
    )
}

/// Returns the reason and the cause of a suppression.
fn reason(one: &SuppressedAddress) -> String {
    let cause = one.cause.map(|cause| format!(" ({cause})"));
    format!("{}{}", humanize(one.reason.as_str()), cause.unwrap_or_default())
}

/// Returns the kind of the event, with the type of a bounce or complaint.
fn event_name(event: &HistoryEvent) -> String {
    let (name, detail) = match EventKind::parse(event.kind) {
        Some(EventKind::Send) => ("sent", None),
        Some(EventKind::Delivery) => ("delivered", None),
        Some(EventKind::DeliveryDelay) => ("delayed", None),
        Some(EventKind::Bounce) => ("bounced", event.class.as_deref()),
        Some(EventKind::Complaint) => ("complained", event.complaint_type.as_deref()),
        Some(EventKind::Reject) => ("rejected", None),
        Some(EventKind::Open) => ("opened", None),
        Some(EventKind::Click) => ("clicked", None),
        _ => (event.kind, None),
    };
    let detail = detail.map(|detail| format!(" ({})", shortened(&printable(detail), NAME_MAX)));
    humanize(&format!("{name}{}", detail.unwrap_or_default()))
}

/// Returns codes and reply of the server, the link of a click, or the types that SES reports.
fn text(event: &HistoryEvent) -> String {
    let reply = event.text.as_deref().unwrap_or_default();
    let codes = [event.smtp_code.map(|code| code.to_string()), event.enhanced_status.clone()];
    let codes = codes.into_iter().flatten().filter(|code| !reply.contains(code.as_str()));
    let texts = [event.text.clone(), event.link.clone()].into_iter().flatten();
    let mut parts: Vec<String> = codes.chain(texts).collect();
    if parts.is_empty() {
        let types = [&event.bounce_type, &event.bounce_subtype, &event.delay_type];
        parts.extend(types.into_iter().flatten().cloned());
    }
    parts.join(" ")
}

fn cell(text: Option<&str>) -> String {
    shortened(&printable(text.unwrap_or_default()), NAME_MAX)
}

/// Returns the date of an RFC 3339 time.
fn date(time: &str) -> &str {
    time.split_once('T').map_or(time, |(date, _)| date)
}

/// Returns `1 event`, `2 events`.
fn plural(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
