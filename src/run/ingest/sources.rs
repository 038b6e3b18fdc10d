//! Sources of events.

use bouncewatch_ingest::pipeline::{IngestSettings, Source};
use bouncewatch_ingest::source::files;
use bouncewatch_ingest::source::logs::{self, LogGroup, LogsSettings};
use bouncewatch_ingest::source::objects::{self, Objects};
use bouncewatch_ingest::source::sqs::{self, Queue};
use bouncewatch_ingest::telemetry::billed_requests::{BilledRequests, QueueKind};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::aws::{self, Buckets};

use crate::cli::{IngestArgs, PoisonArg};
use crate::run::times::time_ms;

/// Opens the sources with these names.
///
/// # Errors
/// If a source does not exist or cannot be opened, or a queue lacks the dead-letter queue that `--poison leave` needs.
pub(super) async fn open(
    args: &IngestArgs,
    names: &[&str],
    telemetry: &Telemetry,
) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut paths = Vec::new();
    let since = time_ms("--since", args.since.as_deref())?;
    let endpoint_url = args.aws.endpoint_url.as_deref();
    for &name in names {
        if name == "-" {
            sources.push(Source::Stdin);
        } else if logs::is_group(name) {
            // a wrong name fails before AWS settings are loaded
            LogGroup::check_argument(name)?;
            let aws = aws::load(logs::region_of(name), endpoint_url).await;
            let settings = LogsSettings { follow: args.follow, since };
            sources.push(Source::Logs(Box::new(LogGroup::open(&aws, name).await?), settings));
        } else if objects::is_object(name) {
            let buckets = Buckets::load_on_first_use(endpoint_url);
            let objects = Objects::open(&buckets, name, since).await?;
            sources.push(Source::Objects(Box::new(objects)));
        } else if sqs::is_queue(name) {
            let aws = aws::load(sqs::region_of(name), endpoint_url).await;
            let queue = Queue::open(&aws, name, telemetry).await?;
            let has_dead_letter_queue =
                queue.attributes().is_some_and(|attributes| attributes.has_dead_letter_queue);
            anyhow::ensure!(
                args.poison == PoisonArg::Quarantine || has_dead_letter_queue,
                "--poison leave: {name} has no dead-letter queue, or sqs:GetQueueAttributes is denied: SQS would deliver unreadable messages again without end\n  hint: add a redrive policy to the queue, or omit --poison leave"
            );
            sources.push(Source::Queue(Box::new(queue)));
        } else {
            paths.extend(files::expand(name)?);
        }
    }
    if !paths.is_empty() {
        // one source for all files, so that they are read in order
        sources.push(Source::Files(paths));
    }
    Ok(sources)
}

/// Returns what the sources contain: `messages`, `documents` or both.
pub(super) fn unit(sources: &[Source]) -> &'static str {
    let is_queue = |source: &Source| matches!(source, Source::Queue(_));
    match (sources.iter().any(is_queue), sources.iter().all(is_queue)) {
        (_, true) => "messages",
        (true, false) => "messages and documents",
        (false, false) => "documents",
    }
}

/// Returns the SQS requests of a month in which no message arrives; `None` if no source is a queue.
pub(super) fn idle_month(sources: &[Source]) -> Option<BilledRequests> {
    let kinds = sources.iter().filter_map(|source| match source {
        Source::Queue(queue) => Some(queue.kind()),
        _ => None,
    });
    let (fifo, standard): (Vec<QueueKind>, Vec<QueueKind>) =
        kinds.partition(|kind| *kind == QueueKind::Fifo);
    let month = BilledRequests::idle_month(standard.len() as u64, fifo.len() as u64);
    (month.requests() > 0).then_some(month)
}

/// Logs sources, store and settings at the start of a run.
pub(super) fn log_start(
    args: &IngestArgs,
    sources: &[Source],
    store: &str,
    settings: &IngestSettings,
) {
    let names = sources.iter().map(|source| match source {
        Source::Queue(queue) => queue.url().to_owned(),
        Source::Records(batch) => format!("{} messages", batch.records.len()),
        Source::Logs(group, _) => group.arn().to_owned(),
        Source::Objects(objects) => objects.address(),
        Source::Quarantined(documents, _) => format!("{} quarantined documents", documents.len()),
        Source::Files(files) => format!("{} files", files.len()),
        Source::Stdin => "stdin".to_owned(),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        sources = names.collect::<Vec<_>>().join(", "),
        store,
        follow = args.follow,
        workers = settings.workers,
        batch_age_secs = settings.limits.age_max.as_secs(),
        batch_rows = settings.limits.rows_max,
        visibility_secs = settings.queue.visibility.as_secs(),
        receivers_max = settings.queue.receivers_max,
        "ingest started"
    );
}
