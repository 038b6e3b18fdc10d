//! `bouncewatch ingest` of volumes: SES's statistics and CSV files. They are taken once, before the events.

use std::fmt::Write;

use bouncewatch_ingest::send_counts::{self, Imported, Origin, VolumesError};
use bouncewatch_ingest::source::files;
use bouncewatch_store::Store;
use bouncewatch_store::aws;
use serde_json::{Value, json};

use crate::cli::IngestArgs;

/// Of the words that were typed those that name volumes, and the others.
pub(super) fn origins(args: &IngestArgs) -> anyhow::Result<(Vec<Origin>, Vec<&str>)> {
    let (mut origins, mut words) = (Vec::new(), Vec::new());
    for word in &args.sources {
        match Origin::parse(word)? {
            None => words.push(word.as_str()),
            Some(Origin::File(path)) => {
                // a pattern stands for several files, a name is told as it is if there is no such file
                let found = files::expand(&path.to_string_lossy())?;
                origins.extend(found.into_iter().map(Origin::File));
            }
            Some(statistics) => origins.push(statistics),
        }
    }
    anyhow::ensure!(
        !args.follow || !words.is_empty(),
        "--follow goes with sources of events: volumes are taken once\n  hint: run it from cron, every hour for statistics"
    );
    Ok((origins, words))
}

/// Takes volumes into the store; what became of them, and the sources that could not be read.
pub(super) async fn import(
    args: &IngestArgs,
    origins: &[Origin],
    store: &Store,
) -> anyhow::Result<(Imported, Vec<String>)> {
    let (mut imported, mut failures) = (Imported::default(), Vec::new());
    let (account, now) = (args.account.as_deref(), crate::now_ms());
    for origin in origins {
        let one = match origin {
            Origin::File(path) => send_counts::import_file(store, path, account, now).await,
            Origin::Statistics { region } => {
                let endpoint_url = args.store.endpoint_url.as_deref();
                let aws = aws::load(Some(region.clone()), endpoint_url).await;
                send_counts::import_statistics(store, region, account, &aws, now).await
            }
        };
        match one {
            Ok(one) => imported.add(one),
            Err(error @ (VolumesError::Store(_) | VolumesError::NotAnAccount)) => {
                return Err(error.into());
            }
            // the other sources are taken all the same
            Err(error) => failures.push(error.to_string()),
        }
    }
    Ok((imported, failures))
}

/// The lines that were not taken, for stderr.
pub(super) fn notes(imported: &Imported) -> impl Iterator<Item = String> {
    imported.refused.iter().map(|line| format!("error: {line}"))
}

pub(super) fn json(imported: &Imported) -> Value {
    json!({
        "points": imported.points, "new": imported.new, "changed": imported.changed,
        "unchanged": imported.unchanged, "covered": imported.covered, "refused": imported.refused.len(),
        "bytes": imported.bytes,
    })
}

/// A line for the summary; none where no volumes came.
pub(super) fn text(imported: &Imported) -> String {
    if imported.points == 0 {
        return String::new();
    }
    let mut out = format!(
        "{} points of volume: {} new, {} changed, {} unchanged",
        imported.points, imported.new, imported.changed, imported.unchanged
    );
    if imported.covered > 0 {
        // writing to a String cannot fail
        _ = write!(out, ", {} covered by others", imported.covered);
    }
    if !imported.refused.is_empty() {
        _ = write!(out, ", {} refused", imported.refused.len());
    }
    out + "\n"
}
