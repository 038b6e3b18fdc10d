//! What can go wrong between a store and its numbers.

use std::path::PathBuf;

use bouncewatch_store::StoreError;

/// What can go wrong between a store and its numbers.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// The store could not be listed or its cache could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The segments could not be read or computed.
    #[error(
        "could not compute over the store: {0}\n  hint: `bouncewatch store verify` tells which segment cannot be read"
    )]
    Compute(String),
    /// What is kept of a day is gone or damaged.
    #[error(
        "could not read `{}`: {source}\n  hint: the folder `aggregates` is safe to delete; what is in it is made again", path.display()
    )]
    Aggregate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A word that should name a column or a tag does not.
    #[error("cannot cut by `{0}`\n  hint: one of {columns}, or tag:NAME", columns = crate::timeline::model::SCOPE_COLUMNS.join(", "))]
    Scope(String),
    /// A word by which it cannot be told who drives a rate.
    #[error("cannot tell contributors by `{0}`\n  hint: cause, one of {columns}, or tag:NAME", columns = crate::timeline::model::SCOPE_COLUMNS.join(", "))]
    Contributor(String),
    /// A word by which failures cannot be grouped.
    #[error("cannot group by `{0}`\n  hint: cause, fault, rollup, account, region, one of {columns}, or tag:NAME", columns = crate::timeline::model::SCOPE_COLUMNS.join(", "))]
    CauseScope(String),
    /// A list of addresses that cannot be read.
    #[error(
        "could not read the list of addresses: {0}\n  hint: one address a line, CSV with the address in the first column, or the JSON of `aws sesv2 list-suppressed-destinations`"
    )]
    AddressList(String),
    /// A window that cannot be read.
    #[error("not a window: `{0}`\n  hint: a duration such as 1h, 24h, 7d, 30d, or volume:10000")]
    Window(String),
    /// A rule for thresholds that is none.
    #[error("[[threshold]] in the settings: {0}")]
    Threshold(String),
    /// A span of time that makes no sense.
    #[error("{0}")]
    Span(String),
    /// A report could not be written.
    #[error("could not write the report: {0}")]
    Write(String),
}
