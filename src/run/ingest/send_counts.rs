//! Import of send counts: SES statistics and CSV files. They are imported once, before events are ingested.

use std::fmt::Write;

use bouncewatch_ingest::send_counts::{self, ImportSummary, SendCountSource, SendCountsError};
use bouncewatch_ingest::source::files;
use bouncewatch_store::Store;
use bouncewatch_store::aws;
use serde_json::{Value, json};

use crate::cli::IngestArgs;

/// Prefix of a source that names a CSV file with any suffix. `volumes:` is the older name.
const FILE_PREFIX: &str = "send-counts:";

/// Sources of the command line, by what they contain.
pub(super) struct NamedSources<'a> {
    pub(super) send_counts: Vec<SendCountSource>,
    pub(super) events: Vec<&'a str>,
}

/// Result of the import of all sources.
pub(super) struct Imported {
    pub(super) summary: ImportSummary,
    /// Sources that could not be read.
    pub(super) failures: Vec<String>,
}

/// Separates sources of send counts from sources of events.
///
/// # Errors
/// If a source of send counts is invalid, or `--follow` is given without a source of events.
pub(super) fn split_sources(args: &IngestArgs) -> anyhow::Result<NamedSources<'_>> {
    let mut named = NamedSources { send_counts: Vec::new(), events: Vec::new() };
    for name in &args.sources {
        let source = match name.strip_prefix(FILE_PREFIX) {
            Some(path) => Some(SendCountSource::File(path.into())),
            None => SendCountSource::parse(name)?,
        };
        match source {
            None => named.events.push(name.as_str()),
            Some(SendCountSource::File(path)) => {
                // a glob expands to several files; any other path stays as it is, and fails later if it does not exist
                let paths = files::expand(&path.to_string_lossy())?;
                if path.as_os_str() == name.as_str()
                    && paths.iter().all(|path| files::is_log_export(path))
                {
                    named.events.push(name.as_str());
                    continue;
                }
                named.send_counts.extend(paths.into_iter().map(SendCountSource::File));
            }
            Some(statistics) => named.send_counts.push(statistics),
        }
    }
    anyhow::ensure!(
        !args.follow || !named.events.is_empty(),
        "--follow needs a source of events; send counts are imported once per run\n  hint: run the import from cron, e.g. every hour for ses-statistics"
    );
    Ok(named)
}

/// Imports send counts. A source that cannot be read does not stop the import of the others.
///
/// # Errors
/// If the store cannot be read or written, or `--account` is invalid.
pub(super) async fn import(
    args: &IngestArgs,
    sources: &[SendCountSource],
    store: &Store,
) -> anyhow::Result<Imported> {
    let mut imported = Imported { summary: ImportSummary::default(), failures: Vec::new() };
    let (account, now) = (args.account.as_deref(), crate::now_ms());
    for source in sources {
        let summary = match source {
            SendCountSource::File(path) => send_counts::import_csv(store, path, account, now).await,
            SendCountSource::Statistics { region } => {
                let endpoint_url = args.aws.endpoint_url.as_deref();
                let aws = aws::load(Some(region.clone()), endpoint_url).await;
                send_counts::import_statistics(store, region, account, &aws, now).await
            }
        };
        match summary {
            Ok(summary) => imported.summary.add(summary),
            Err(error @ (SendCountsError::Store(_) | SendCountsError::NotAnAccount)) => {
                return Err(error.into());
            }
            Err(error) => imported.failures.push(error.to_string()),
        }
    }
    Ok(imported)
}

pub(super) fn json(summary: &ImportSummary) -> Value {
    json!({
        "points": summary.points, "new": summary.new, "changed": summary.changed,
        "unchanged": summary.unchanged, "covered": summary.covered, "refused": summary.refused.len(),
        "bytes": summary.bytes,
    })
}

/// Returns a line for the summary; empty if no send counts were read.
pub(super) fn text(summary: &ImportSummary) -> String {
    if summary.points == 0 {
        return String::new();
    }
    let mut out = format!(
        "{} send counts: {} new, {} changed, {} unchanged",
        summary.points, summary.new, summary.changed, summary.unchanged
    );
    if summary.covered > 0 {
        // writing to a String cannot fail
        _ = write!(out, ", {} covered by overlapping intervals", summary.covered);
    }
    if !summary.refused.is_empty() {
        _ = write!(out, ", {} rejected", summary.refused.len());
    }
    out + "\n"
}
