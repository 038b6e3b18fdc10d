//! Converts the values of one row to counts of one scope and window. No I/O.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::send_counts::is_scope_key;
use bouncewatch_schemas::time::format_ms;

use crate::counts::error::RowProblem;
use crate::counts::value::Value;
use crate::timeline::{
    Denominator, Dimension, Grouping, MeasuredWindow, ScopeValues, Window, WindowCounts, WindowSpan,
};

/// Columns that every row must have.
const REQUIRED: [&str; 11] = [
    "account",
    "region",
    "service",
    "window",
    "from",
    "to",
    "attempts",
    "denominator",
    "bounces",
    "complaints",
    "newest_event_at",
];
/// Column with the dimensions of a group below account and region.
const BY: &str = "by";
/// Columns that may be absent, besides one for each dimension.
const OPTIONAL: [&str; 3] = [BY, "attempts_with_feedback", "incoming_bounces"];

/// Maximum time by which a window may end after the time of evaluation, because clocks differ.
const CLOCK_SKEW_MAX_MS: i64 = 5 * 60_000;

/// Settings of the check that all rows must match.
#[derive(Debug, Clone, Copy)]
pub struct CountsContext {
    /// Service to evaluate.
    pub service: Service,
    /// Time of the evaluation, epoch milliseconds.
    pub at: i64,
    /// Events before this time were not counted, epoch milliseconds.
    pub counted_from: Option<i64>,
}

/// Counts of one scope in one window.
#[derive(Debug, Clone)]
pub(super) struct CountsRow {
    pub(super) grouping: Grouping,
    pub(super) values: ScopeValues,
    pub(super) window: Window,
    pub(super) to: i64,
    pub(super) newest_event_at: i64,
    pub(super) counts: ScopeCounts,
}

/// The counts of a row.
#[derive(Debug, Clone)]
pub(super) struct ScopeCounts {
    pub(super) measured: MeasuredWindow,
    /// Attempts to domains that send complaint feedback; `None` if unknown.
    pub(super) attempts_with_feedback: Option<u64>,
    /// Bounces of incoming mail (WorkMail); `None` if unknown.
    pub(super) incoming_bounces: Option<u64>,
}

/// The names and values of one row.
pub(super) struct Fields<'a>(pub(super) Vec<(&'a str, Value)>);

impl Fields<'_> {
    fn value(&self, column: &str) -> &Value {
        let found = self.0.iter().find(|(name, _)| *name == column);
        found.map_or(&Value::Null, |(_, value)| value)
    }

    fn count(&self, column: &str) -> Result<Option<u64>, RowProblem> {
        self.value(column).to_count(column)
    }

    fn time(&self, column: &str) -> Result<Option<i64>, RowProblem> {
        self.value(column).to_time(column)
    }

    fn text(&self, column: &str) -> Result<Option<String>, RowProblem> {
        self.value(column).to_text(column)
    }

    /// Checks for missing, unknown and duplicate columns. An unknown column may be a misspelled
    /// optional one.
    fn check_names(&self) -> Result<(), RowProblem> {
        let is_known =
            |name: &str| REQUIRED.contains(&name) || OPTIONAL.contains(&name) || is_scope_key(name);
        if let Some(missing) =
            REQUIRED.iter().find(|name| !self.0.iter().any(|(one, _)| one == *name))
        {
            let hint = format!("each row needs {}", REQUIRED.join(", "));
            return Err(RowProblem::new(format!("no column `{missing}`"), hint));
        }
        for (at, (name, _)) in self.0.iter().enumerate() {
            let suffix = || Value::text(name).error_suffix();
            if !is_known(name) {
                let hint = format!(
                    "remove it, or use one of {}, {}, tag:NAME or a column of `bouncewatch check --by`",
                    REQUIRED.join(", "),
                    OPTIONAL.join(", ")
                );
                return Err(RowProblem::new(format!("unknown column{}", suffix()), hint));
            }
            if self.0.iter().take(at).any(|(other, _)| other == name) {
                let problem = format!("duplicate column{}", suffix());
                return Err(RowProblem::new(problem, "keep one of them"));
            }
        }
        Ok(())
    }

    /// Returns the grouping and its values.
    fn scope(&self) -> Result<(Grouping, ScopeValues), RowProblem> {
        let by = self.text(BY)?;
        let grouping = match &by {
            Some(by) => Grouping::parse(by).map_err(|_| {
                RowProblem::new(
                    format!("`by` is not a grouping{}", self.value(BY).error_suffix()),
                    "write the names of dimensions: identity, tenant, tag:NAME, ..., with commas between them",
                )
            })?,
            None => Grouping::account(),
        };
        if by.is_some() && grouping.is_account() {
            return Err(RowProblem::new(
                "`by` has no dimension below account and region",
                "leave `by` empty for an account",
            ));
        }
        let names: Vec<String> = grouping.0.iter().map(Dimension::name).collect();
        let other = self.0.iter().find(|(name, value)| {
            is_scope_key(name) && *value != Value::Null && !names.iter().any(|one| one == name)
        });
        if let Some((name, _)) = other {
            return Err(RowProblem::new(
                format!("`{name}` has a value, but `by` does not contain it"),
                "write all dimensions of the row into `by`",
            ));
        }
        let has = |name: &String| self.0.iter().any(|(one, _)| one == name);
        if let Some(missing) = names.iter().find(|name| !has(name)) {
            return Err(RowProblem::new(
                format!("`by` contains `{missing}`, but there is no such column"),
                "add a column with the values of each dimension; leave it empty for mail without a value",
            ));
        }
        let values = names.iter().map(|name| self.text(name)).collect::<Result<_, _>>()?;
        Ok((grouping, values))
    }

    fn window(&self) -> Result<Window, RowProblem> {
        let text = required("window", self.text("window")?)?;
        text.parse().map_err(|_| {
            RowProblem::new(
                format!("`window` is not a window{}", self.value("window").error_suffix()),
                "write a duration such as 24h or 7d, or volume:10000",
            )
        })
    }

    /// Returns attempts and their source; either both are known, or neither.
    fn attempts(&self, service: Service) -> Result<(Option<u64>, Option<Denominator>), RowProblem> {
        let (attempts, name) = (self.count("attempts")?, self.text("denominator")?);
        let denominator = match &name {
            Some(name) => Some(parse_denominator(service, name).ok_or_else(|| {
                RowProblem::new(
                    format!("unknown `denominator`{}", self.value("denominator").error_suffix()),
                    format!("write {}", denominator_names(service).join(" or ")),
                )
            })?),
            None => None,
        };
        if attempts.is_some() != denominator.is_some() {
            let known = if attempts.is_some() { "attempts" } else { "denominator" };
            return Err(RowProblem::new(
                format!("only `{known}` has a value"),
                "set both `attempts` and `denominator`, or leave both empty if attempts are unknown",
            ));
        }
        Ok((attempts, denominator))
    }
}

/// Returns a value of a column that must not be empty.
fn required<T>(column: &str, value: Option<T>) -> Result<T, RowProblem> {
    value.ok_or_else(|| {
        RowProblem::new(format!("`{column}` is empty"), format!("each row needs a `{column}`"))
    })
}

/// Returns the denominators that counts of a service can have.
fn denominators(service: Service) -> &'static [Denominator] {
    match service {
        Service::Ses => &[
            Denominator::Sends,
            Denominator::DeliveriesAndBounces,
            Denominator::SendCounts,
            Denominator::SendCountsAndSends,
        ],
        Service::WorkMail => &[Denominator::SentAndBounced],
    }
}

fn denominator_names(service: Service) -> Vec<&'static str> {
    denominators(service).iter().map(|denominator| denominator.as_str()).collect()
}

fn parse_denominator(service: Service, name: &str) -> Option<Denominator> {
    denominators(service).iter().find(|denominator| denominator.as_str() == name).copied()
}

/// Parses and validates one row.
pub(super) fn counts_row(
    fields: &Fields<'_>,
    context: &CountsContext,
) -> Result<CountsRow, RowProblem> {
    fields.check_names()?;
    let service = fields.text("service")?;
    if service.as_deref() != Some(context.service.as_str()) {
        return Err(RowProblem::new(
            format!(
                "`service` is not `{}`{}",
                context.service.as_str(),
                fields.value("service").error_suffix()
            ),
            "write rows of one service only, or select another service with --service",
        ));
    }
    let (grouping, values) = fields.scope()?;
    let window = fields.window()?;
    let to = required("to", fields.time("to")?)?;
    let newest_event_at = required("newest_event_at", fields.time("newest_event_at")?)?;
    let (attempts, denominator) = fields.attempts(context.service)?;
    let bounces = required("bounces", fields.count("bounces")?)?;
    let complaints = required("complaints", fields.count("complaints")?)?;
    let attempts_with_feedback = fields.count("attempts_with_feedback")?;
    let incoming_bounces = fields.count("incoming_bounces")?;
    if to > context.at.saturating_add(CLOCK_SKEW_MAX_MS) {
        return Err(RowProblem::new(
            format!("`to` is after the time of evaluation, {}", format_ms(context.at)),
            "check the clocks, or evaluate at a later time with --at",
        ));
    }
    if newest_event_at > to {
        return Err(RowProblem::new(
            "`newest_event_at` is after `to`",
            "write the time of the newest event at or before `to`",
        ));
    }
    if attempts_with_feedback.is_some_and(|part| attempts.is_none_or(|all| part > all)) {
        return Err(RowProblem::new(
            "`attempts_with_feedback` is greater than `attempts`",
            "count the part of `attempts` to domains that send complaint feedback",
        ));
    }
    if context.service == Service::WorkMail && complaints > 0 {
        return Err(RowProblem::new(
            "`complaints` is not 0, but WorkMail logs no complaints",
            "write 0",
        ));
    }
    let from = window_start(&window, fields.time("from")?, to, attempts, context)?;
    let counts = WindowCounts { complaints, bounces, attempts, ..WindowCounts::default() };
    let measured = MeasuredWindow { from, after: from.unwrap_or(i64::MIN), counts, denominator };
    let counts = ScopeCounts { measured, attempts_with_feedback, incoming_bounces };
    Ok(CountsRow { grouping, values, window, to, newest_event_at, counts })
}

/// Checks and returns the start of the window. The start of a duration is its end minus the
/// duration; a volume window starts at an attempt.
fn window_start(
    window: &Window,
    from: Option<i64>,
    to: i64,
    attempts: Option<u64>,
    context: &CountsContext,
) -> Result<Option<i64>, RowProblem> {
    match window.span() {
        WindowSpan::Millis(length) => {
            let start = to.saturating_sub(length);
            // as `check` does: the first counted event is after the start of the window
            let counted = context.counted_from.map_or(i64::MIN, |from| from.saturating_sub(1));
            let expected = start.max(counted).min(to);
            if from == Some(expected) {
                return Ok(from);
            }
            Err(RowProblem::new(
                format!("`from` of the window {window} is not {}", format_ms(expected)),
                "count events after `from` and up to `to`; for a later start, use --counted-from",
            ))
        }
        WindowSpan::Attempts(_) => {
            let has_attempts = attempts.is_some_and(|attempts| attempts > 0);
            if from.is_some() != has_attempts {
                return Err(RowProblem::new(
                    format!("`from` of the window {window} does not match `attempts`"),
                    "write the time of the first attempt; leave `from` empty if there are no attempts",
                ));
            }
            if from.is_some_and(|from| from > to) {
                return Err(RowProblem::new("`from` is after `to`", "swap `from` and `to`"));
            }
            Ok(from)
        }
    }
}
