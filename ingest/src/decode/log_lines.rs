//! Log lines with the time and the account of their log, in each format of CloudWatch Logs:
//! subscription filters, `filter-log-events`, and results of Logs Insights queries. `envelope`
//! recognises the format and decodes the line.

use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, LogEvent, QueryField, RawJson};

use crate::decode::context::DecodeContext;
use crate::decode::outcome::{QuarantineReason, Rejection};

/// A log line.
pub(super) struct LogLine<'a> {
    /// The line, as JSON.
    pub(super) message: &'a str,
    /// The context with time and account of the log.
    pub(super) context: DecodeContext<'a>,
}

/// A log event of a list.
pub(super) fn from_list<'a>(
    event: &'a LogEvent<'a>,
    context: DecodeContext<'a>,
) -> Result<LogLine<'a>, Rejection> {
    let RawJson(Some(message)) = event.message else {
        return Err(Rejection::new(QuarantineReason::NotAnEvent, "a log event without `message`"));
    };
    Ok(line(message, event.timestamp.get(), None, context))
}

/// Adds the times of an envelope to its context.
pub(super) fn with_times<'a>(
    envelope: &Envelope<'_>,
    context: DecodeContext<'a>,
) -> DecodeContext<'a> {
    let times = [&envelope.time, &envelope.timestamp, &envelope.arrival_time];
    times.iter().fold(context, |context, time| context.with_envelope_time(time))
}

/// The context of a single log event.
pub(super) fn context_of<'a>(
    envelope: &'a Envelope<'a>,
    context: DecodeContext<'a>,
) -> DecodeContext<'a> {
    let account = envelope.log_group.get().and_then(account_of_log);
    with_log(envelope.timestamp.get(), account, context)
}

/// The context of a list of log events.
pub(super) fn context_of_list<'a>(
    envelope: &'a Envelope<'a>,
    context: DecodeContext<'a>,
) -> DecodeContext<'a> {
    DecodeContext {
        account: envelope.owner.get().or(context.account),
        region: envelope.region.get().or(context.region),
        ..context
    }
}

/// A row of a Logs Insights query.
pub(super) fn from_query<'a>(
    row: &'a [QueryField<'a>],
    context: DecodeContext<'a>,
) -> Result<LogLine<'a>, Rejection> {
    let raw = |name: &str| row.iter().find(|field| field.field.is(name))?.value.0;
    // a value is a JSON string; times and log groups contain no JSON escapes
    let text = |name: &str| raw(name).map(|value| value.trim_matches('"'));
    let Some(message) = raw("@message") else {
        return Err(Rejection::new(
            QuarantineReason::NotAnEvent,
            "a row of a Logs Insights query without `@message`",
        ));
    };
    Ok(line(message, text("@timestamp"), text("@log").and_then(account_of_log), context))
}

/// Adds time and account of the log to the context of a line.
fn line<'a>(
    message: &'a str,
    time: Option<&str>,
    account: Option<&'a str>,
    context: DecodeContext<'a>,
) -> LogLine<'a> {
    LogLine { message, context: with_log(time, account, context) }
}

fn with_log<'a>(
    time: Option<&str>,
    account: Option<&'a str>,
    context: DecodeContext<'a>,
) -> DecodeContext<'a> {
    let logged_at = time.and_then(parse_ms).or(context.logged_at);
    DecodeContext { logged_at, account: account.or(context.account), ..context }
}

/// The account of a log identifier `ACCOUNT:GROUP`.
fn account_of_log(log: &str) -> Option<&str> {
    log.split_once(':').map(|(account, _)| account).filter(|account| !account.is_empty())
}
