//! `bouncewatch ingest`

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use bouncewatch_ingest::pipeline::{self, BatchLimits, Poison, Settings, Source, Summary};
use bouncewatch_ingest::send_counts::Imported;
use bouncewatch_ingest::source::files;
use bouncewatch_ingest::source::logs::{self, Group};
use bouncewatch_ingest::source::objects::{self, Objects};
use bouncewatch_ingest::source::sqs::cost::Billed;
use bouncewatch_ingest::source::sqs::{self, Queue};
use bouncewatch_ingest::telemetry::http::{Server, Watched};
use bouncewatch_ingest::telemetry::log_lines;
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_ingest::telemetry::{health, http};
use bouncewatch_store::aws::{self, Buckets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::sync::watch::{Sender, channel};
use tokio::task::JoinSet;

use super::cost::Cost;
use super::{Answer, Missing, open_store, rules, send_counts, time_ms};
use crate::cli::{EXIT_FAILED, EXIT_LOOK, IngestArgs, PoisonArg, SummaryFormat};
use crate::config::Config;

/// Workers, if nobody says how many: each takes some 30 MB, which shall not depend on the cores of the machine.
const WORKERS_MAX: usize = 2;
/// How often the progress bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);

pub(super) fn run(args: &IngestArgs, config: &Config, quiet: bool) -> anyhow::Result<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    let started = Instant::now();
    let telemetry = Arc::new(Telemetry::new());
    let ended = runtime.block_on(ingest(args, config, quiet, &telemetry));
    // a thread that still reads stdin must not keep the program
    runtime.shutdown_background();
    let Ended { summary, idle, volumes } = ended?;
    let cost = Cost { billed: telemetry.billed_requests(), idle };
    let mut answer =
        answer(&summary, &volumes, &telemetry, &cost, started.elapsed(), args.format, quiet)?;
    answer.notes.extend(send_counts::notes(&volumes));
    if !volumes.refused.is_empty() && answer.exit_code == 0 {
        answer.exit_code = EXIT_LOOK;
    }
    Ok(answer)
}

/// What a run did.
struct Ended {
    summary: Summary,
    /// What it would ask of SQS in a month in which nothing comes.
    idle: Option<Billed>,
    volumes: Imported,
}

/// Takes everything in.
async fn ingest(
    args: &IngestArgs,
    config: &Config,
    quiet: bool,
    telemetry: &Arc<Telemetry>,
) -> anyhow::Result<Ended> {
    let (origins, words) = send_counts::origins(args)?;
    // the port is taken before anything is received
    let server = server(args).await?;
    let store = open_store(&args.store, config, Missing::IsMade).await?;
    let sources = sources(args, &words, telemetry).await?;
    let (volumes, failures) = send_counts::import(args, &origins, &store).await?;
    if words.is_empty() {
        let summary = Summary { failures, ..Summary::default() };
        return Ok(Ended { summary, idle: None, volumes });
    }
    let idle = idle(args, &sources);
    let workers = match args.workers {
        Some(workers) => usize::from(workers),
        None => {
            std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MAX))
        }
    };
    let limits =
        BatchLimits { age_max: Duration::from_secs(args.batch_age), ..BatchLimits::default() };
    let settings = Settings {
        limits,
        workers,
        queue: queue_settings(args)?,
        rules: rules(config, args.addresses)?,
        poison: if args.poison == PoisonArg::Leave { Poison::Leave } else { Poison::Quarantine },
    };
    begins(args, &sources, store.shown(), &settings);
    let (ask, stop) = channel(false);
    let mut beside = JoinSet::new();
    beside.spawn(stop_on_signal(ask));
    if !quiet {
        beside.spawn(draw(bar(), Arc::clone(telemetry)));
    }
    if args.follow {
        beside.spawn(log_lines::keep(Arc::clone(telemetry)));
    }
    if let Some(server) = server {
        let stuck_after = health::stuck_after(limits.age_max);
        let watched = Watched { telemetry: Arc::clone(telemetry), stuck_after };
        beside.spawn(server.serve(Arc::new(watched)));
    }
    let clock = Arc::new(crate::now_ms);
    let ended = pipeline::run(sources, store, settings, clock, Arc::clone(telemetry), stop).await;
    beside.abort_all();
    let mut summary = ended?;
    summary.failures.extend(failures);
    Ok(Ended { summary, idle, volumes })
}

/// The server for metrics, with its port; says where it is.
async fn server(args: &IngestArgs) -> anyhow::Result<Option<Server>> {
    let Some(word) = &args.metrics_addr else { return Ok(None) };
    let server = Server::bind(http::address(word)?).await?;
    let metrics_addr = server.address();
    tracing::info!(%metrics_addr, "metrics and health are told over http");
    if !metrics_addr.ip().is_loopback() {
        tracing::warn!(%metrics_addr, "other machines can read metrics and health");
    }
    Ok(Some(server))
}

/// What following the queues asks of SQS in a month in which nothing comes; `None` for a drain, which ends.
fn idle(args: &IngestArgs, sources: &[Source]) -> Option<Billed> {
    let fifo = sources.iter().filter_map(|source| match source {
        Source::Queue(queue) => Some(queue.attributes().fifo),
        _ => None,
    });
    let (fifo, standard): (Vec<bool>, Vec<bool>) = fifo.partition(|fifo| *fifo);
    let idle = Billed::idle_month(standard.len() as u64, fifo.len() as u64);
    (args.follow && idle.requests() > 0).then_some(idle)
}

/// Says what is about to be done.
fn begins(args: &IngestArgs, sources: &[Source], store: &str, settings: &Settings) {
    let shown = sources.iter().map(|source| match source {
        Source::Queue(queue) => queue.url().to_owned(),
        Source::Logs(group, _) => group.arn().to_owned(),
        Source::Objects(objects) => objects.shown(),
        Source::Bodies(bodies, _) => format!("{} bodies", bodies.len()),
        Source::Files(files) => format!("{} files", files.len()),
        Source::Stdin => "stdin".to_owned(),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        sources = shown.collect::<Vec<_>>().join(", "),
        store,
        follow = args.follow,
        workers = settings.workers,
        batch_age_secs = settings.limits.age_max.as_secs(),
        batch_rows = settings.limits.rows_max,
        visibility_secs = settings.queue.visibility.as_secs(),
        receivers_max = settings.queue.receivers_max,
        "ingest begins"
    );
}

fn queue_settings(args: &IngestArgs) -> anyhow::Result<sqs::Settings> {
    let batch_age = Duration::from_secs(args.batch_age);
    let visibility = args
        .visibility
        .map_or_else(|| sqs::Settings::visibility_for(batch_age), Duration::from_secs);
    anyhow::ensure!(
        visibility >= batch_age * 2,
        "--visibility {} is too short for --batch-age {}: a message must be hidden for at least twice the age at which it is stored",
        visibility.as_secs(),
        args.batch_age
    );
    Ok(sqs::Settings { follow: args.follow, visibility, ..sqs::Settings::default() })
}

/// The sources of events that words name.
async fn sources(
    args: &IngestArgs,
    words: &[&str],
    telemetry: &Telemetry,
) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut paths = Vec::new();
    let since = time_ms("--since", args.since.as_deref())?;
    for &word in words {
        if word == "-" {
            sources.push(Source::Stdin);
        } else if logs::is_group(word) {
            let aws = aws::load(logs::region_of(word), args.store.endpoint_url.as_deref()).await;
            let settings = logs::Settings { follow: args.follow, since };
            sources.push(Source::Logs(Box::new(Group::open(&aws, word).await?), settings));
        } else if objects::is_object(word) {
            let aws = aws::load(None, args.store.endpoint_url.as_deref()).await;
            let objects = Objects::open(&Buckets::new(aws), word, since).await?;
            sources.push(Source::Objects(Box::new(objects)));
        } else if sqs::is_queue(word) {
            let aws = aws::load(sqs::region_of(word), args.store.endpoint_url.as_deref()).await;
            let queue = Queue::open(&aws, word, telemetry).await?;
            anyhow::ensure!(
                args.poison == PoisonArg::Quarantine || queue.attributes().has_dead_letter_queue,
                "--poison leave needs a dead-letter queue, and {word} has none: what cannot be read would come again for ever\n  hint: give the queue a redrive policy, or leave --poison out"
            );
            sources.push(Source::Queue(Box::new(queue)));
        } else {
            paths.extend(files::expand(word)?);
        }
    }
    if !paths.is_empty() {
        let sizes =
            paths.iter().filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len());
        telemetry.bytes_total.fetch_add(sizes.sum(), Ordering::Relaxed);
        // one source for all files, so that they are read one after the other
        sources.push(Source::Files(paths));
    }
    Ok(sources)
}

/// The first signal asks the run to end, the second one leaves at once.
async fn stop_on_signal(ask: Sender<bool>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!(
            "cannot listen for signals: a signal will end the program at once, and lose nothing"
        );
        return;
    };
    for again in [false, true] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if again {
            leave();
        }
        tracing::info!(
            "stopping: what was received is being stored; a second signal leaves at once"
        );
        ask.send_replace(true);
    }
    std::future::pending::<()>().await;
}

#[expect(
    clippy::exit,
    reason = "asked twice, nothing is waited for; what is not durable was not acknowledged"
)]
fn leave() -> ! {
    std::process::exit(130)
}

/// A bar for files and objects, whose size is known, and a spinner for queues; hidden where stderr is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {elapsed}  {msg}");
    style.map(|style| bar.clone().with_style(style)).unwrap_or(bar)
}

async fn draw(bar: ProgressBar, telemetry: Arc<Telemetry>) {
    const SIZED: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}  {msg}";
    loop {
        // objects are read while the others are still listed
        let total = telemetry.bytes_total.load(Ordering::Relaxed);
        if total > bar.length().unwrap_or_default() {
            bar.set_length(total);
            if let Ok(style) = ProgressStyle::with_template(SIZED) {
                bar.set_style(style);
            }
        }
        bar.set_position(telemetry.bytes_read.get());
        bar.set_message(format!(
            "{} messages, {} rows stored",
            telemetry.received.get(),
            telemetry.rows.get()
        ));
        bar.tick();
        tokio::time::sleep(DRAW_EVERY).await;
    }
}

fn answer(
    summary: &Summary,
    volumes: &Imported,
    telemetry: &Telemetry,
    cost: &Cost,
    took: Duration,
    format: SummaryFormat,
    quiet: bool,
) -> anyhow::Result<Answer> {
    let counts = &summary.counts;
    let seconds = took.as_secs_f64();
    let quarantined = counts.quarantined_total();
    let mut answer = match format {
        SummaryFormat::Json => Answer::json(&json!({
            "version": 1, "messages": counts.messages, "events": counts.events, "rows": counts.rows,
            "ignored": counts.ignored, "quarantined": quarantined, "quarantined_by_reason": counts.quarantined,
            "segments": counts.segments, "bytes": counts.bytes, "seconds": seconds,
            "deleted": counts.deleted, "delete_failed": counts.delete_failed, "left": counts.left, "interrupted": summary.interrupted,
            "duplicate_rows": counts.duplicates, "requests": telemetry.calls_by_action(), "cost": cost.json(took),
            "volumes": send_counts::json(volumes),
        }))?,
        SummaryFormat::Table if quiet => Answer::default(),
        SummaryFormat::Table => {
            let cost = cost.text(took).map_or_else(String::new, |line| format!("  {line}\n"));
            Answer::data(text(summary, seconds) + &cost + &send_counts::text(volumes))
        }
    };
    answer.notes = summary.failures.iter().map(|failure| format!("error: {failure}")).collect();
    if summary.interrupted {
        answer.notes.push("interrupted: not every file or object was read to its end; run again, what is stored twice counts once".to_owned());
    }
    answer.exit_code = if !summary.failures.is_empty() {
        EXIT_FAILED
    } else if quarantined > 0 || counts.delete_failed > 0 || counts.left > 0 || summary.interrupted
    {
        EXIT_LOOK
    } else {
        0
    };
    Ok(answer)
}

fn text(summary: &Summary, seconds: f64) -> String {
    let counts = &summary.counts;
    let mut out = format!(
        "{} messages: {} events stored in {} rows, {} ignored, {} quarantined, in {seconds:.1} s\n",
        counts.messages,
        counts.events,
        counts.rows,
        counts.ignored_total(),
        counts.quarantined_total()
    );
    // writing to a String cannot fail
    for (reason, count) in &counts.ignored {
        _ = writeln!(out, "  ignored {count}: {reason}");
    }
    for (reason, count) in &counts.quarantined {
        _ = writeln!(
            out,
            "  quarantined {count}: {reason} (see `bouncewatch store quarantine list`)"
        );
    }
    if counts.deleted + counts.delete_failed > 0 {
        _ = writeln!(
            out,
            "  deleted {} from the queue, {} could not be deleted and come again",
            counts.deleted, counts.delete_failed
        );
    }
    if counts.left > 0 {
        _ = writeln!(
            out,
            "  left {} to the queue: they come again, or go to its dead-letter queue",
            counts.left
        );
    }
    out
}
