//! Telling people: a verdict as a message, and the channels by which it goes out.

pub mod sns;

use bouncewatch_schemas::event::Service;
use serde::Serialize;

use crate::check::Check;
use crate::error::AnalyzeError;
use crate::levels::Level;
use crate::report::table;

/// Verdicts that one message holds.
const VERDICTS_MAX: usize = 50;
/// Longest subject that SNS takes.
const SUBJECT_CHARS_MAX: usize = 100;

/// A verdict for people and for machines.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    /// One line of ASCII.
    pub subject: String,
    /// What `check` prints.
    pub text: String,
    /// What `check --format json` prints.
    pub json: String,
}

/// The message about a check; none where all is well.
///
/// # Errors
/// If the check cannot be written as JSON.
pub fn message(check: &Check) -> Result<Option<Message>, AnalyzeError> {
    if check.status == Level::Ok {
        return Ok(None);
    }
    let check = &shortened(check);
    let json =
        serde_json::to_string(check).map_err(|error| AnalyzeError::Write(error.to_string()))?;
    Ok(Some(Message { subject: subject(check), text: table::check(check), json }))
}

/// The check with the verdicts that matter alone, worst first: SNS takes 256 KiB.
fn shortened(check: &Check) -> Check {
    let mut verdicts: Vec<_> =
        check.verdicts.iter().filter(|verdict| verdict.level != Level::Ok).cloned().collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.level));
    verdicts.truncate(VERDICTS_MAX);
    Check { verdicts, ..check.clone() }
}

/// The worst verdict in one line, such as `SES WARNING: bounce rate 6.12 % (612 of 10000) in 24h, 123456789012 us-east-1`.
fn subject(check: &Check) -> String {
    let worst = check.verdicts.iter().find(|verdict| verdict.level == check.status);
    let what = match worst {
        Some(verdict) if verdict.rate.is_some() => format!(
            "{} {:.2} % ({} of {}) in {}, {}",
            verdict.metric.replace('_', " "),
            verdict.rate.unwrap_or_default() * 100.0,
            verdict.count,
            verdict.attempts.unwrap_or_default(),
            verdict.window,
            verdict.scope
        ),
        _ if check.feed.stale => "the feed of events is silent".to_owned(),
        _ => "the rate is not known".to_owned(),
    };
    // SNS takes printable ASCII alone, and scopes may hold what strangers wrote
    let service = match check.service {
        Service::Ses => "SES",
        Service::WorkMail => "WorkMail",
    };
    let line: String = format!("{service} {}: {what}", check.status.as_upper())
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect();
    line.chars().take(SUBJECT_CHARS_MAX).collect()
}
