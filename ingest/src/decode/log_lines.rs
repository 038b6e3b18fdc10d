//! The lines of a log, in every form in which CloudWatch Logs gives them away (facts 3.7): a line may hold an event, and
//! the log knows when it was written and whose it is. Pure; `decode` tells the forms apart and reads the lines.

use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, LogEvent, QueryField, Raw};

use crate::decode::context::Context;
use crate::decode::outcome::{Reason, Rejected};

/// A log line and what its log knows about it.
pub(super) struct Line<'a> {
    /// The line, as JSON.
    pub(super) message: &'a str,
    /// The context with time and account of the log.
    pub(super) context: Context<'a>,
}

/// One log event of a list.
pub(super) fn event<'a>(
    event: &'a LogEvent<'a>,
    context: Context<'a>,
) -> Result<Line<'a>, Rejected> {
    let Raw(Some(message)) = event.message else {
        return Err(Rejected::new(Reason::NotAnEvent, "a log event without message"));
    };
    Ok(line(message, event.timestamp.get(), None, context))
}

/// A log event that stands alone.
pub(super) fn alone<'a>(
    envelope: &'a Envelope<'a>,
    context: Context<'a>,
) -> Result<Line<'a>, Rejected> {
    let Raw(Some(message)) = envelope.logged else {
        return Err(Rejected::new(Reason::NotAnEvent, "a log event without message"));
    };
    let account = envelope.logged_in.get().and_then(account_of_log);
    Ok(line(message, envelope.logged_at.get(), account, context))
}

/// One row of a query of Logs Insights.
pub(super) fn query_row<'a>(
    row: &'a [QueryField<'a>],
    context: Context<'a>,
) -> Result<Line<'a>, Rejected> {
    let raw = |name: &str| row.iter().find(|field| field.field.is(name))?.value.0;
    // a value is a JSON string, and times and groups have nothing to escape
    let text = |name: &str| raw(name).map(|value| value.trim_matches('"'));
    let Some(message) = raw("@message") else {
        return Err(Rejected::new(Reason::NotAnEvent, "a row of a query without @message"));
    };
    Ok(line(message, text("@timestamp"), text("@log").and_then(account_of_log), context))
}

/// A line, with what the log knows of it.
fn line<'a>(
    message: &'a str,
    time: Option<&str>,
    account: Option<&'a str>,
    context: Context<'a>,
) -> Line<'a> {
    let logged_at = time.and_then(parse_ms);
    Line {
        message,
        context: Context { logged_at, account: account.or(context.account), ..context },
    }
}

/// The account in `ACCOUNT:GROUP`.
fn account_of_log(log: &str) -> Option<&str> {
    log.split_once(':').map(|(account, _)| account).filter(|account| !account.is_empty())
}
