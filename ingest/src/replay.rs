//! Replay of the quarantine: the pipeline with the quarantined documents as its source.

use std::sync::Arc;

use bouncewatch_store::aws::Buckets;
use bouncewatch_store::{Store, quarantine};
use tokio::sync::watch;

use crate::batch_builder::IntakeRules;
use crate::pipeline::{IngestError, IngestSettings, Source, run};
use crate::source::objects::notifications::NotificationFollower;
use crate::telemetry::counts::IngestCounts;
use crate::telemetry::metrics::Telemetry;

/// Ingests all quarantined documents again, and the S3 objects that they point to. Documents that
/// are still unreadable are quarantined again. The old entries are deleted only after all results
/// are durable. `now` is the time of the replay, milliseconds since 1970.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn replay_quarantine(
    store: &Store,
    buckets: Buckets,
    rules: IntakeRules,
    now: i64,
) -> Result<IngestCounts, IngestError> {
    let segments = store.segments(bouncewatch_schemas::table::QUARANTINE).await?;
    let entries = quarantine::read_all(store, &segments).await?;
    let documents = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if entries.is_empty() {
        return Ok(IngestCounts::default());
    }
    // a replay is not stopped
    let (_stop_sender, stop) = watch::channel(false);
    let settings = IngestSettings { workers: 1, rules, ..IngestSettings::default() };
    let sources = vec![Source::Quarantined(entries, Box::new(NotificationFollower::new(buckets)))];
    let (clock, telemetry) = (Arc::new(move || now), Arc::new(Telemetry::new()));
    let summary = run(sources, store.clone(), settings, clock, telemetry, stop).await?;
    if !summary.interrupted {
        for segment in &segments {
            store.delete(&segment.path).await?;
        }
    }
    Ok(IngestCounts { messages: documents, ..summary.counts })
}
