//! The lines of a log, in every form in which CloudWatch Logs gives them away (facts 3.7): a line may hold an event, and
//! the log knows when it was written and whose it is. Pure; `decode` tells the forms apart and reads the lines.

use bouncewatch_schemas::time::parse_ms;
use bouncewatch_schemas::wire::envelope::{Envelope, LogEvent, QueryField, Raw};

use crate::decode::{Context, Sink, peel_raw};
use crate::outcome::Reason;
use crate::outcome::Rejected;

/// One log event of a list.
pub(crate) fn event(
    event: &LogEvent<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let Raw(Some(message)) = event.message else {
        return Err(Rejected::new(Reason::NotAnEvent, "a log event without message"));
    };
    line(message, event.timestamp.get(), None, context, sink)
}

/// A log event that stands alone.
pub(crate) fn alone(
    envelope: &Envelope<'_>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let Raw(Some(message)) = envelope.logged else {
        return Err(Rejected::new(Reason::NotAnEvent, "a log event without message"));
    };
    let account = envelope.logged_in.get().and_then(account_of_log);
    line(message, envelope.logged_at.get(), account, context, sink)
}

/// One row of a query of Logs Insights.
pub(crate) fn query_row(
    row: &[QueryField<'_>],
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let raw = |name: &str| row.iter().find(|field| field.field.is(name))?.value.0;
    // a value is a JSON string, and times and groups have nothing to escape
    let text = |name: &str| raw(name).map(|value| value.trim_matches('"'));
    let Some(message) = raw("@message") else {
        return Err(Rejected::new(Reason::NotAnEvent, "a row of a query without @message"));
    };
    line(message, text("@timestamp"), text("@log").and_then(account_of_log), context, sink)
}

/// A line, with what the log knows of it.
fn line(
    message: &str,
    time: Option<&str>,
    account: Option<&str>,
    context: Context<'_>,
    sink: &mut impl Sink,
) -> Result<(), Rejected> {
    let mut known = context;
    known.logged_at = time.and_then(parse_ms);
    known.account = account.or(context.account);
    peel_raw(message, known, sink)
}

/// The account in `ACCOUNT:GROUP`.
fn account_of_log(log: &str) -> Option<&str> {
    log.split_once(':').map(|(account, _)| account).filter(|account| !account.is_empty())
}
