//! The parts of the view of counts that depend on windows and groupings.

use std::fmt::Write;

use anyhow::ensure;
use bouncewatch_analyze::timeline::{Dimension, Grouping, Window, WindowSpan};
use bouncewatch_schemas::provider;

use super::engine::Engine;

/// Windows and groupings of the views of current rates.
pub(super) struct CountsShape {
    /// Names and lengths of the windows, milliseconds.
    windows: Vec<(String, i64)>,
    groupings: Vec<Grouping>,
    /// Dimensions below account and region, each once.
    dimensions: Vec<Dimension>,
}

impl CountsShape {
    /// Takes the windows of a duration; those of a number of attempts are left out.
    ///
    /// # Errors
    /// If there are none, or a tag has a name that needs quotes.
    pub(super) fn new(windows: &[Window], groupings: Vec<Grouping>) -> anyhow::Result<Self> {
        let length = |window: &Window| match window.span() {
            WindowSpan::Millis(length) => Some((window.to_string(), length)),
            WindowSpan::Attempts(_) => None,
        };
        let windows: Vec<_> = windows.iter().filter_map(length).collect();
        ensure!(
            !windows.is_empty(),
            "views have no windows of a number of attempts\n  hint: use --window with a duration, such as 24h,7d"
        );
        let mut dimensions: Vec<Dimension> = Vec::new();
        for dimension in groupings.iter().flat_map(below_account) {
            let name = dimension.name();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
            ensure!(
                name.chars().all(is_plain),
                "cannot group by `{name}` in SQL\n  hint: use a tag with letters, digits, _, -, . and : only in its name"
            );
            if !dimensions.contains(dimension) {
                dimensions.push(dimension.clone());
            }
        }
        Ok(Self { windows, groupings, dimensions })
    }

    /// Rows of the windows: name and length.
    pub(super) fn windows(&self) -> String {
        let row = |(at, (name, length)): (usize, &(String, i64))| match at {
            0 => format!("SELECT '{name}' AS name, {length} AS width"),
            _ => format!("SELECT '{name}', {length}"),
        };
        self.windows.iter().enumerate().map(row).collect::<Vec<_>>().join(" UNION ALL ")
    }

    /// Twice the longest window, milliseconds: a scope without events for so long has no rows.
    pub(super) fn lookback_ms(&self) -> i64 {
        2 * self.windows.iter().map(|(_, length)| *length).max().unwrap_or_default()
    }

    /// Quoted names of the dimensions, each after a comma.
    pub(super) fn dimensions(&self, engine: &Engine) -> String {
        let quoted = |dimension: &Dimension| {
            format!(", {quote}{}{quote}", dimension.name(), quote = engine.quote)
        };
        self.dimensions.iter().map(quoted).collect()
    }

    /// One query per grouping, the account first: the events with the values of its dimensions.
    pub(super) fn scoped(&self, engine: &Engine, prefix: &str) -> String {
        let account = Grouping::account();
        let of = |grouping: &Grouping| self.scoped_by(grouping, engine, prefix);
        let all = [&account].into_iter().chain(&self.groupings).map(of);
        all.collect::<Vec<_>>().join("\n  UNION ALL\n")
    }

    fn scoped_by(&self, grouping: &Grouping, engine: &Engine, prefix: &str) -> String {
        let names: Vec<String> = below_account(grouping).map(Dimension::name).collect();
        let (mut columns, mut joins) = (String::new(), String::new());
        for (at, dimension) in self.dimensions.iter().enumerate() {
            let (name, quote, text) = (dimension.name(), engine.quote, engine.text);
            let value = match dimension {
                _ if !names.contains(&name) => format!("CAST(NULL AS {text})"),
                Dimension::Column(column) => format!("e.{column}"),
                Dimension::Tag(tag) => {
                    // writing to a String cannot fail
                    _ = write!(
                        joins,
                        "\n  LEFT JOIN {prefix}tags AS t{at} ON t{at}.message_key = e.message_key AND t{at}.key = '{tag}'"
                    );
                    format!("t{at}.value")
                }
            };
            _ = write!(columns, ", {value} AS {quote}{name}{quote}");
        }
        format!(
            "  SELECT '{by}' AS scope_by, e.account, e.region{columns},\n    \
             e.kind, e.without_feedback, e.event_ms, e.counted_bounce, e.counted_complaint, e.report\n  \
             FROM {prefix}events AS e{joins}",
            by = names.join(",")
        )
    }
}

/// Providers that send no complaint feedback, as string literals.
pub(super) fn providers_without_feedback() -> String {
    provider::WITHOUT_FEEDBACK.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

fn below_account(grouping: &Grouping) -> impl Iterator<Item = &Dimension> {
    let account = Grouping::account();
    grouping.0.iter().filter(move |dimension| !account.0.contains(dimension))
}
