//! Errors of analyses.

use std::path::PathBuf;

use bouncewatch_schemas::send_counts::SCOPE_COLUMNS;
use bouncewatch_store::StoreError;

/// Errors of analyses.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The store could not be listed, a segment could not be read, or the local cache could not be written.
    #[error("{0}{hint}", hint = hint(.0))]
    Store(#[from] StoreError),
    /// A query over the segments failed.
    #[error(
        "could not query the store: {0}\n  hint: find the damaged segment with `bouncewatch store verify`"
    )]
    Query(String),
    /// A file of daily aggregates is missing or damaged.
    #[error(
        "could not read daily aggregates `{}`: {source}\n  hint: remove the folder `aggregates` of the store; it is rebuilt from the segments", path.display()
    )]
    Aggregate {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// Not a dimension of a grouping.
    #[error("cannot group by `{0}`\n  hint: use one of {columns}, or tag:NAME", columns = SCOPE_COLUMNS.join(", "))]
    Grouping(String),
    /// Not a dimension of contributors.
    #[error("cannot list contributors by `{0}`\n  hint: use cause, one of {columns}, or tag:NAME", columns = SCOPE_COLUMNS.join(", "))]
    Contributor(String),
    /// Not a dimension of failures.
    #[error("cannot group by `{0}`\n  hint: use cause, fault, rollup, account, region, one of {columns}, or tag:NAME", columns = SCOPE_COLUMNS.join(", "))]
    CauseGrouping(String),
    /// A list of addresses could not be parsed.
    #[error(
        "could not parse the address list: {0}\n  hint: use one address per line, CSV with the address in the first column, or the JSON output of `aws sesv2 list-suppressed-destinations`"
    )]
    AddressList(String),
    /// Not a window.
    #[error(
        "invalid window `{0}`\n  hint: use a duration such as 1h, 24h, 7d or 30d, or volume:10000"
    )]
    Window(String),
    /// An invalid threshold rule.
    #[error("[[threshold]] in the settings: {0}")]
    Threshold(String),
    /// An invalid time span.
    #[error("{0}")]
    Span(String),
    /// A report could not be written.
    #[error("could not write the report: {0}")]
    Write(String),
}

/// Returns the hint for a damaged segment; empty for errors that have their own.
const fn hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::Read { .. } | StoreError::Damaged { .. } => {
            "\n  hint: `bouncewatch store verify` lists all damaged segments; restore them from a backup, or move them aside with `bouncewatch store repair`"
        }
        _ => "",
    }
}
