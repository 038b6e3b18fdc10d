//! Notifications -> messages, one per level, worst first; each as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::printable::{printable, write_json};
use bouncewatch_schemas::text_layout::TextLayout;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::notification::{AlertChange, Notification};
use crate::alert::state::ScopeMap;
use crate::alert::text;
use crate::alert::timestamp::Timestamp;
use crate::alert::verdicts::VerdictIndex;
use crate::check::level::AlertLevel;
use crate::check::{CheckReport, Verdict};
use crate::error::AnalyzeError;
use crate::report::table;
use crate::report::trend::Trends;

/// Maximum number of notifications that a message lists.
const NOTIFICATIONS_MAX: usize = 25;
/// Maximum length of a subject: SNS accepts fewer than 100 characters.
const SUBJECT_CHARS_MAX: usize = 99;
/// Maximum size of the JSON of a message. SNS accepts 256 KiB for JSON, text and subject together,
/// with the JSON escaped a second time.
const JSON_BYTES_MAX: usize = 80 * 1024;

/// A message about all notifications at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Level of the alerts; `Ok` for cleared alerts.
    pub level: AlertLevel,
    /// Identifier. It stays the same if a killed run leads to a second delivery of the message.
    pub id: String,
    /// One line of printable ASCII.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// JSON: the output of `check --format json` for the scopes concerned, and the key `alert`.
    pub json: String,
    /// Names and values for the filter policies of SNS subscriptions.
    pub attributes: Vec<(&'static str, Vec<String>)>,
    /// Address of the page, which is also the last line of the text.
    pub page: Option<String>,
}

#[derive(Serialize)]
struct MessageJson<'a> {
    #[serde(flatten)]
    check: &'a CheckReport,
    alert: AlertJson<'a>,
}

/// The key `alert` of a message.
#[derive(Serialize)]
pub(super) struct AlertJson<'a> {
    pub(super) id: &'a str,
    pub(super) level: AlertLevel,
    pub(super) subject: &'a str,
    pub(super) text: &'a str,
    /// Address of the page, if the settings have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<&'a str>,
    /// Number of notifications that are not in `changes`.
    pub(super) more: usize,
    pub(super) changes: Vec<ChangeJson<'a>>,
}

/// A notification in the JSON of a message.
#[derive(Serialize)]
pub(super) struct ChangeJson<'a> {
    change: AlertChange,
    metric: &'a str,
    scope: &'a ScopeMap,
    level: AlertLevel,
    /// Level of the previous notification of the channel.
    was: Option<AlertLevel>,
    worst: AlertLevel,
    raised_at: Timestamp,
    since: Timestamp,
    cleared_at: Option<Timestamp>,
    windows: Vec<&'a String>,
}

/// Content of messages besides the check and its notifications.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageContext<'a> {
    /// Arguments for the commands in the text, with a leading space: ` --store DIR`.
    pub arguments: &'a str,
    /// Text that is appended to each message.
    pub problem: Option<&'a str>,
    /// Address of the page; each message ends with it.
    pub page: Option<&'a str>,
}

/// Returns one message per level, worst level first, with the notifications that it delivers.
///
/// # Errors
/// If a message cannot be serialized as JSON.
pub fn messages(
    check: &CheckReport,
    notifications: &[Notification],
    context: MessageContext<'_>,
) -> Result<Vec<(Message, Vec<Notification>)>, AnalyzeError> {
    let mut levels: Vec<AlertLevel> = notifications.iter().map(|one| one.alert.level).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let verdicts = VerdictIndex::new(check);
    let without_verdicts = CheckReport { verdicts: Vec::new(), ..check.clone() };
    let message = |level: AlertLevel| {
        let mut of_level: Vec<Notification> =
            notifications.iter().filter(|one| one.alert.level == level).cloned().collect();
        // scopes with the fewest dimensions first; stable: equal ones keep the order of their keys
        of_level.sort_by_cached_key(|one| {
            (one.alert.key.scope.len(), one.change, std::cmp::Reverse(rate_rank(&verdicts, one)))
        });
        let mut listed = of_level.len().min(NOTIFICATIONS_MAX);
        loop {
            let message = compose(&verdicts, &without_verdicts, level, &of_level, listed, context)?;
            // values may be long: list fewer notifications if the message is too large
            if message.json.len() <= JSON_BYTES_MAX || listed == 1 {
                return Ok((message, of_level));
            }
            listed = listed.div_ceil(2);
        }
    };
    levels.into_iter().map(message).collect()
}

/// Rate of an alert in millionths; 0 if unknown.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rates are small")]
fn rate_rank(verdicts: &VerdictIndex<'_>, notification: &Notification) -> u64 {
    let rate = verdicts.worst(notification).and_then(|verdict| verdict.rate);
    (rate.unwrap_or_default() * 1e6) as u64
}

/// Composes the message of a level. The first `listed` notifications are listed, the others counted.
fn compose(
    verdicts: &VerdictIndex<'_>,
    without_verdicts: &CheckReport,
    level: AlertLevel,
    notifications: &[Notification],
    listed: usize,
    context: MessageContext<'_>,
) -> Result<Message, AnalyzeError> {
    let (listed, others) = notifications.split_at(listed.min(notifications.len()));
    let id = message_id(notifications);
    let subject = subject(verdicts, notifications);
    let mut text = String::new();
    for (at, notification) in listed.iter().enumerate() {
        let gap = if at == 0 { "" } else { "\n" };
        let (prefix, title) =
            (text::level_prefix(notification), text::subject(verdicts, notification));
        // writing to a String cannot fail
        _ = writeln!(text, "{gap}{prefix}{}", printable(&title));
        let is_same = |broad: &&Notification| verdicts.is_same_mail(broad, notification);
        let facts = match listed[..at].iter().find(is_same) {
            Some(broad) if level > AlertLevel::Ok => vec![text::same_mail(broad)],
            _ => text::facts(verdicts, notification, context.arguments),
        };
        for fact in facts {
            _ = writeln!(text, "  {}", printable(&fact));
        }
    }
    if !others.is_empty() {
        _ = writeln!(text, "\n... and {} more", others.len());
    }
    for line in context.problem.into_iter().flat_map(str::lines) {
        _ = writeln!(text, "\n{}", printable(line.trim()));
    }
    // in the order of the check
    let of_listed: BTreeMap<usize, &Verdict> =
        listed.iter().flat_map(|notification| verdicts.of_alert(notification)).collect();
    let of_listed = of_listed.into_values().cloned().collect();
    let check = &CheckReport { verdicts: of_listed, ..without_verdicts.clone() };
    _ = write!(text, "\n{}", table::check(check, &Trends::default(), TextLayout::default()));
    text.push_str(&page_lines(context.page));
    let alert = AlertJson {
        id: &id,
        level,
        subject: &subject,
        text: &text,
        page: context.page,
        more: others.len(),
        changes: listed.iter().map(change_json).collect(),
    };
    let json = json_text(&MessageJson { check, alert })?;
    let attributes = attributes(check, level, notifications);
    let page = context.page.map(str::to_owned);
    Ok(Message { level, id, subject, text, json, attributes, page })
}

/// Returns the end of a text: the address of the page.
pub(super) fn page_lines(page: Option<&str>) -> String {
    page.map_or_else(String::new, |page| format!("\npage: {page}\n"))
}

/// Returns a value as JSON.
///
/// # Errors
/// If it cannot be serialized.
pub(super) fn json_text(value: &impl Serialize) -> Result<String, AnalyzeError> {
    let mut json = Vec::new();
    write_json(&mut json, value).map_err(|error| AnalyzeError::Write(error.to_string()))?;
    Ok(String::from_utf8(json).expect("JSON is UTF-8"))
}

fn change_json(notification: &Notification) -> ChangeJson<'_> {
    let alert = &notification.alert;
    ChangeJson {
        change: notification.change,
        metric: &alert.key.metric,
        scope: &alert.key.scope,
        level: alert.level,
        was: notification.previous.map(|previous| previous.level),
        worst: alert.worst,
        raised_at: alert.raised_at,
        since: alert.since,
        cleared_at: alert.cleared_at,
        windows: alert
            .windows
            .iter()
            .filter(|(_, window)| window.level > AlertLevel::Ok)
            .map(|(name, _)| name)
            .collect(),
    }
}

/// Returns a hash of the notifications and of the previous notifications about the same alerts.
fn message_id(notifications: &[Notification]) -> String {
    let mut text = String::new();
    for notification in notifications {
        let (alert, previous) = (&notification.alert, notification.previous);
        // writing to a String cannot fail
        _ = writeln!(
            text,
            "{:?} {:?} {:?} {} {:?}",
            alert.key,
            notification.change,
            alert.level,
            alert.raised_at.0,
            previous.map(|previous| previous.at.0)
        );
    }
    format!("{:016x}", xxh3_64(text.as_bytes()))
}

fn attributes(
    check: &CheckReport,
    level: AlertLevel,
    notifications: &[Notification],
) -> Vec<(&'static str, Vec<String>)> {
    let distinct = |value: fn(&Notification) -> String| {
        let mut values: Vec<String> = notifications.iter().map(value).collect();
        values.sort();
        values.dedup();
        values
    };
    vec![
        ("level", vec![level.as_str().to_owned()]),
        ("service", vec![check.service.as_str().to_owned()]),
        ("metric", distinct(|one| one.alert.key.metric.clone())),
        ("change", distinct(|one| one.change.as_str().to_owned())),
    ]
}

/// Returns the first notification as a subject line: `SES WARNING: bounce rate 6.12 % (612 of 10000) in 24h,
/// 123456789012 us-east-1`, with the number of the others.
fn subject(verdicts: &VerdictIndex<'_>, notifications: &[Notification]) -> String {
    let Some(first) = notifications.first() else { return String::new() };
    let service = match verdicts.check.service {
        Service::Ses => "SES",
        Service::WorkMail => "WorkMail",
    };
    let more = match notifications.len() - 1 {
        0 => String::new(),
        more => format!(" (+{more} more)"),
    };
    let line = format!("{service} {}{}", text::level_prefix(first), text::subject(verdicts, first));
    // SNS accepts printable ASCII only
    let ascii = line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    let length = SUBJECT_CHARS_MAX.saturating_sub(more.len());
    ascii.take(length).collect::<String>() + &more
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::evaluation::evaluate;
    use crate::alert::notification::{mark_delivered, pending_notifications};
    use crate::alert::policy::{AlertPolicy, AlertScope};
    use crate::alert::state::AlertState;
    use crate::alert::test_data::{AT, check_of, verdict};
    use crate::alert::transition::next_state;
    use crate::check::contribution::Contributor;

    const CONTEXT: MessageContext<'_> =
        MessageContext { arguments: " --store /var/lib/mail", problem: None, page: None };

    /// Messages of a check to a channel without previous notifications.
    fn first_messages(check: &CheckReport) -> Vec<Message> {
        let policy = AlertPolicy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };
        let account = ["account", "region"].map(str::to_owned);
        let finer = [&account[..], &["identity".to_owned()]].concat();
        let scope =
            AlertScope { windows: vec!["24h".into()], groupings: vec![account.to_vec(), finer] };
        let evaluation = evaluate(check, AT, &scope, &policy);
        let state = next_state(&AlertState::default(), &evaluation, &policy).unwrap();
        let pending = pending_notifications(&state, "sns", &evaluation, &policy);
        let messages = messages(check, &pending, CONTEXT).unwrap();
        messages.into_iter().map(|(message, _)| message).collect()
    }

    #[test]
    fn message_ends_with_the_address_of_the_page() {
        let check = check_of(vec![verdict("bounce_rate", &[], "24h", 70, Some(1_000))]);
        let scope = AlertScope {
            windows: vec!["24h".into()],
            groupings: vec![["account", "region"].map(str::to_owned).to_vec()],
        };
        let policy = AlertPolicy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };
        let evaluation = evaluate(&check, AT, &scope, &policy);
        let state = next_state(&AlertState::default(), &evaluation, &policy).unwrap();
        let pending = pending_notifications(&state, "sns", &evaluation, &policy);
        let url = "https://status.example.com/page.html";
        let context = MessageContext { page: Some(url), ..CONTEXT };
        let messages = messages(&check, &pending, context).unwrap();
        let (message, _) = &messages[0];
        assert!(message.text.ends_with("\npage: https://status.example.com/page.html\n"));
        let json: serde_json::Value = serde_json::from_str(&message.json).unwrap();
        assert_eq!(json["alert"]["page"], url);
        assert!(!first_messages(&check)[0].json.contains("\"page\""));
    }

    fn part(value: &str, count: u64, rate_without: f64) -> Contributor {
        Contributor {
            by: "recipient_domain".to_owned(),
            value: Some(value.to_owned()),
            count,
            attempts: Some(1),
            rate_without: Some(rate_without),
        }
    }

    #[test]
    fn messages_are_one_per_level_worst_first() {
        let identity =
            |name, count| verdict("bounce_rate", &[("identity", name)], "24h", count, Some(1_000));
        let got = first_messages(&check_of(vec![
            identity("a", 60),
            identity("b", 120),
            verdict("bounce_rate", &[], "24h", 70, Some(2_000)),
            verdict("complaint_rate", &[], "24h", 4, Some(2_000)),
            identity("c", 200),
        ]));
        let subjects: Vec<&str> = got.iter().map(|message| message.subject.as_str()).collect();
        assert_eq!(
            subjects,
            [
                "SES CRITICAL: bounce rate 20.00 % (200 of 1000) in 24h, 1 r identity=c (+1 more)",
                "SES WARNING: complaint rate 0.20 % (4 of 2000) in 24h, 1 r (+1 more)",
            ]
        );
        assert_eq!(
            got[1].attributes[2],
            ("metric", vec!["bounce_rate".to_owned(), "complaint_rate".to_owned()])
        );
        assert!(got[0].id != got[1].id);
    }

    #[test]
    fn group_with_all_mail_of_its_account_does_not_repeat_the_facts() {
        let rate = |group: &[(&str, &str)], count| {
            verdict("bounce_rate", group, "24h", count, Some(1_000))
        };
        for (count, expected) in [(70, 1), (69, 2)] {
            let check = check_of(vec![rate(&[], 70), rate(&[("identity", "a")], count)]);
            let text = first_messages(&check).remove(0).text;
            assert_eq!(text.matches("warning threshold").count(), expected, "{text}");
            let same = "in 24h, 1 r identity=a\n  the same mail as in the alert of 1 r above\n";
            assert_eq!(text.contains(same), expected == 1, "{text}");
        }
    }

    #[test]
    fn text_names_the_part_that_raises_the_rate_not_the_largest_part() {
        let mut bad = verdict("bounce_rate", &[], "24h", 120, Some(1_000));
        bad.contributors = vec![part("gmail.com", 70, 0.13), part("typo.test", 40, 0.08)];
        // the text before the table of rates
        let facts = |verdict: &Verdict| {
            let text = first_messages(&check_of(vec![verdict.clone()])).remove(0).text;
            text.split("\n\n").next().unwrap().to_owned()
        };
        assert_eq!(
            facts(&bad),
            "CRITICAL: bounce rate 12.00 % (120 of 1000) in 24h, 1 r\n  \
             at or above the critical threshold of 10.00 % (SES may pause sending)\n  \
             significant (95 % CI 10.13 % to 14.16 %)\n  \
             headroom: none, 10.00 % is reached\n  \
             main contributor: recipient domain typo.test, 40 of 120 bounces (rate excluding it: 8.00 %)\n  \
             next: pause mail to typo.test and check the source of these addresses \
             (`bouncewatch report --by tag:campaign --store /var/lib/mail`)"
        );
        bad.contributors.truncate(1);
        assert!(!facts(&bad).contains("gmail.com"), "{}", facts(&bad));
        // a cause is not a contributor: mail cannot be paused by cause
        bad.contributors
            .push(Contributor { by: "cause".to_owned(), ..part("mailbox_unknown", 90, 0.03) });
        let facts = facts(&bad);
        assert!(!facts.contains("main contributor"), "{facts}");
        let cause = "  main cause: mailbox unknown, 90 of 120 bounces (see `bouncewatch causes --store /var/lib/mail`)\n  next: find";
        assert!(facts.contains(cause), "{facts}");
    }

    /// Text of the message about an alert that was raised in 24h and is cleared in the next run.
    fn cleared_text(now: Vec<Verdict>) -> String {
        let policy = AlertPolicy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };
        let windows = ["24h", "1h"].map(str::to_owned).to_vec();
        let groupings = vec![["account", "region"].map(str::to_owned).to_vec()];
        let scope = AlertScope { windows, groupings };
        let raised = check_of(vec![verdict("bounce_rate", &[], "24h", 62, Some(1_000))]);
        let mut state = AlertState::default();
        let mut text = String::new();
        for (at, check) in [(AT, raised), (AT + 1, check_of(now))] {
            let evaluation = evaluate(&check, at, &scope, &policy);
            state = next_state(&state, &evaluation, &policy).unwrap();
            let pending = pending_notifications(&state, "sns", &evaluation, &policy);
            text = messages(&check, &pending, CONTEXT).unwrap().remove(0).0.text;
            mark_delivered(&mut state, "sns", &pending, at);
        }
        text
    }

    #[test]
    fn cleared_alert_states_no_rate_above_its_peak() {
        let rate =
            |window, count, attempts| verdict("bounce_rate", &[], window, count, Some(attempts));
        // the window of one hour has too few attempts, and never was part of the alert
        let text = cleared_text(vec![rate("1h", 1, 10), rate("24h", 30, 1_000)]);
        let expected = "OK: bounce rate 3.00 % (30 of 1000) in 24h, 1 r\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("  peak 6.20 % (62 of 1000 in 24h)\n"), "{text}");
        let text = cleared_text(vec![rate("1h", 1, 10), rate("24h", 1, 10)]);
        let expected = "OK: bounce rate no longer significant (1 of 10) in 24h, 1 r\n";
        assert!(text.starts_with(expected), "{text}");
    }

    /// Takes minutes if each notification is compared with each verdict.
    #[test]
    fn alerts_of_20_000_groups_are_composed_and_marked_in_linear_time() {
        let scopes = (0..20_000).map(|number| {
            verdict("bounce_rate", &[("identity", &format!("i{number}"))], "24h", 200, Some(1_000))
        });
        let check = check_of(scopes.collect());
        let policy = AlertPolicy { clear_after_ms: 0, clear_below: 0.9, renotify_after_ms: None };
        let finer = ["account", "region", "identity"].map(str::to_owned).to_vec();
        let scope = AlertScope { windows: vec!["24h".into()], groupings: vec![finer] };
        let start = std::time::Instant::now();
        let evaluation = evaluate(&check, AT, &scope, &policy);
        let mut state = next_state(&AlertState::default(), &evaluation, &policy).unwrap();
        let pending = pending_notifications(&state, "sns", &evaluation, &policy);
        let messages = messages(&check, &pending, CONTEXT).unwrap();
        let [(message, delivered)] = messages.as_slice() else { panic!("one level") };
        assert!(message.subject.ends_with(" (+19999 more)"), "{}", message.subject);
        mark_delivered(&mut state, "sns", delivered, AT);
        assert_eq!(state.alerts.len(), 20_000);
        assert!(state.alerts.iter().all(|alert| alert.notified.contains_key("sns")));
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn message_with_long_names_fits_into_sns() {
        let scopes = (0..200).map(|number| {
            let name = format!("{number}\"\n\u{1b}{}", "\u{1f600}".repeat(2_000));
            verdict("bounce_rate", &[("identity", &name)], "24h", 200, Some(1_000))
        });
        let got = first_messages(&check_of(scopes.collect()));
        assert_eq!(got.len(), 1);
        let message = &got[0];
        assert!(message.json.len() <= JSON_BYTES_MAX, "{}", message.json.len());
        // SNS gets all bodies in one JSON document
        let bodies = serde_json::json!({"default": message.json, "email": message.text, "sms": message.subject});
        assert!(bodies.to_string().len() < 256 * 1024, "{}", bodies.to_string().len());
        assert!(message.subject.len() <= SUBJECT_CHARS_MAX && message.subject.is_ascii());
        assert!(message.subject.ends_with(" (+199 more)") && !message.text.contains('\u{1b}'));
        let json: serde_json::Value = serde_json::from_str(&message.json).unwrap();
        let listed = json["alert"]["changes"].as_array().unwrap().len() as u64;
        assert_eq!(listed + json["alert"]["more"].as_u64().unwrap(), 200);
        assert_eq!(json["verdicts"].as_array().unwrap().len() as u64, listed);
    }
}
