//! `bouncewatch ingest`

mod cost;
mod progress;
mod send_counts;
mod signals;
mod sources;
mod summary;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bouncewatch_ingest::pipeline::{
    self, BatchLimits, IngestSettings, IngestSummary, PoisonPolicy,
};
use bouncewatch_ingest::source::sqs::QueueSettings;
use bouncewatch_ingest::telemetry::health;
use bouncewatch_ingest::telemetry::http::MonitoredRun;
use bouncewatch_ingest::telemetry::http_server::{HttpServer, listen_address};
use bouncewatch_ingest::telemetry::log_lines;
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use tokio::sync::watch::channel;
use tokio::task::JoinSet;

use super::command_result::CommandResult;
use super::intake::intake_rules;
use super::store_access::{MissingStore, open_store};
use crate::cli::{IngestArgs, PoisonArg, Verbosity};
use crate::config::Config;
use summary::IngestRun;

/// Default for the maximum number of workers. Each uses about 30 MB, so memory does not depend on the number of cores.
const WORKERS_MAX: usize = 2;

pub(super) fn run(
    args: &IngestArgs,
    config: &Config,
    verbosity: Verbosity,
) -> anyhow::Result<CommandResult> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    let started = Instant::now();
    let telemetry = Arc::new(Telemetry::new());
    let run = runtime.block_on(ingest(args, config, verbosity, &telemetry));
    // do not wait for a thread that is blocked on stdin
    runtime.shutdown_background();
    summary::result(&run?, &telemetry, started.elapsed(), args.output.format, verbosity)
}

/// Imports send counts, then ingests events until the sources are drained or a signal arrives.
async fn ingest(
    args: &IngestArgs,
    config: &Config,
    verbosity: Verbosity,
    telemetry: &Arc<Telemetry>,
) -> anyhow::Result<IngestRun> {
    let named = send_counts::split_sources(args)?;
    // bind before anything is received, so that an occupied port fails at once
    let server = metrics_server(args).await?;
    let store = open_store(&args.store, &args.aws, config, MissingStore::Create).await?;
    let sources = sources::open(args, &named.events, telemetry).await?;
    let imported = send_counts::import(args, &named.send_counts, &store).await?;
    if named.events.is_empty() {
        let summary = IngestSummary { failures: imported.failures, ..IngestSummary::default() };
        let send_counts = imported.summary;
        return Ok(IngestRun { summary, unit: "documents", idle_month: None, send_counts });
    }
    let idle_month = if args.follow { sources::idle_month(&sources) } else { None };
    let unit = sources::unit(&sources);
    let settings = ingest_settings(args, config)?;
    sources::log_start(args, &sources, store.name(), &settings);
    let (request_stop, stop) = channel(false);
    let mut background = JoinSet::new();
    background.spawn(signals::stop_on_signal(request_stop));
    if verbosity == Verbosity::Normal {
        let input_bytes = Arc::clone(&settings.input_bytes);
        background.spawn(progress::draw(Arc::clone(telemetry), input_bytes));
    }
    if args.follow {
        background.spawn(log_lines::log_progress(Arc::clone(telemetry)));
    }
    if let Some(server) = server {
        let stuck_after = health::stuck_after(settings.limits.age_max);
        let run = MonitoredRun { telemetry: Arc::clone(telemetry), stuck_after };
        background.spawn(Arc::new(run).serve(server));
    }
    let clock = Arc::new(crate::now_ms);
    let ended = pipeline::run(sources, store, settings, clock, Arc::clone(telemetry), stop).await;
    background.abort_all();
    let mut summary = ended?;
    summary.failures.extend(imported.failures);
    Ok(IngestRun { summary, unit, idle_month, send_counts: imported.summary })
}

/// Combines arguments and settings.
///
/// # Errors
/// If one is invalid.
pub(super) fn ingest_settings(
    args: &IngestArgs,
    config: &Config,
) -> anyhow::Result<IngestSettings> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(IngestSettings {
        limits: BatchLimits {
            age_max: Duration::from_secs(args.batch_age),
            ..BatchLimits::default()
        },
        workers: args.workers.map_or_else(|| cores().min(WORKERS_MAX), usize::from),
        queue: queue_settings(args)?,
        rules: intake_rules(config, args.addresses)?,
        poison: match args.poison {
            PoisonArg::Quarantine => PoisonPolicy::Quarantine,
            PoisonArg::Leave => PoisonPolicy::Leave,
        },
        ..IngestSettings::default()
    })
}

fn queue_settings(args: &IngestArgs) -> anyhow::Result<QueueSettings> {
    let batch_age = Duration::from_secs(args.batch_age);
    let visibility = args
        .visibility
        .map_or_else(|| QueueSettings::visibility_for(batch_age), Duration::from_secs);
    anyhow::ensure!(
        visibility >= batch_age * 2,
        "--visibility {}: the visibility timeout must be at least twice --batch-age\n  hint: use --visibility {} or more, or a smaller --batch-age",
        visibility.as_secs(),
        args.batch_age * 2
    );
    let (follow, wait_in_flight) = (args.follow, args.wait_in_flight);
    Ok(QueueSettings { follow, wait_in_flight, visibility, ..QueueSettings::default() })
}

/// Binds the port for metrics and health, and logs it.
async fn metrics_server(args: &IngestArgs) -> anyhow::Result<Option<HttpServer>> {
    let Some(address) = &args.metrics_addr else { return Ok(None) };
    let server = HttpServer::bind(listen_address(address)?).await?;
    let metrics_addr = server.address();
    tracing::info!(%metrics_addr, "metrics and health are served over http");
    if !metrics_addr.ip().is_loopback() {
        tracing::warn!(%metrics_addr, "metrics and health can be read from other machines");
    }
    Ok(Some(server))
}
