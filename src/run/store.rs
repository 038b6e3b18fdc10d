//! `bouncewatch store`

use std::fmt::Write;

use bouncewatch_ingest::pipeline::replay_quarantine;
use bouncewatch_ingest::telemetry::metrics::Counts;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::aws::{self, Buckets};
use bouncewatch_store::compact::compact;
use bouncewatch_store::forget::forget;
use bouncewatch_store::quarantine::{Quarantined, list};
use bouncewatch_store::retain::retain;
use bouncewatch_store::verify::{Stats, Verification, stats, verify};
use serde_json::{Value, json};

use super::{Answer, Missing, addresses, block_on, open_store, rules, upkeep};
use crate::cli::{
    EXIT_LOOK, QuarantineCommand, QuarantineListArgs, StoreArg, StoreCommand, SummaryFormat,
};
use crate::config::Config;

/// Characters of a body that the table shows.
const BODY_CHARS_MAX: usize = 200;

pub(super) fn run(command: StoreCommand, config: &Config, now: i64) -> anyhow::Result<Answer> {
    block_on(run_on_store(command, config, now))
}

async fn run_on_store(command: StoreCommand, config: &Config, now: i64) -> anyhow::Result<Answer> {
    // looking after a store that is not there is a mistake in its name
    let open = async |arg: &StoreArg| open_store(arg, config, Missing::IsWrong).await;
    match command {
        StoreCommand::Stats(args) => {
            let found = stats(&open(&args.store).await?).await?;
            match args.format {
                SummaryFormat::Json => Answer::json(&found),
                SummaryFormat::Table => Ok(Answer::data(stats_text(&found))),
            }
        }
        StoreCommand::Verify(args) => {
            let found = verify(&open(&args.store).await?).await?;
            let answer = match args.format {
                SummaryFormat::Json => Answer::json(&found)?,
                SummaryFormat::Table => Answer::data(verify_text(&found)),
            };
            Ok(Answer {
                exit_code: if found.problems.is_empty() { 0 } else { EXIT_LOOK },
                ..answer
            })
        }
        StoreCommand::Quarantine(QuarantineCommand::List(args)) => {
            let entries = list(&open(&args.common.store).await?).await?;
            quarantined(&entries, &args)
        }
        StoreCommand::Quarantine(QuarantineCommand::Replay(args)) => {
            let store = open(&args.store).await?;
            let aws = aws::load(None, args.store.endpoint_url.as_deref()).await;
            let counts =
                replay_quarantine(&store, Buckets::new(aws), rules(config, None)?, now).await?;
            replayed(&counts, args.format)
        }
        StoreCommand::Compact(args) => {
            let settings = upkeep::compaction(&args)?;
            let store = open(&args.common.store).await?;
            upkeep::compacted(&compact(&store, &settings, now).await?, args.common.format)
        }
        StoreCommand::Retain(args) => {
            let settings = upkeep::retention(&args)?;
            let store = open(&args.common.store).await?;
            upkeep::retained(&retain(&store, &settings, now).await?, args.common.format)
        }
        StoreCommand::Forget(args) => {
            let addresses = addresses(config, None)?;
            let address = upkeep::address(&args.address)?;
            let store = open(&args.common.store).await?;
            let done = forget(&store, &address, &addresses, now).await?;
            upkeep::forgotten(&done, args.common.format)
        }
    }
}

fn replayed(counts: &Counts, format: SummaryFormat) -> anyhow::Result<Answer> {
    let left = counts.quarantined_total();
    let answer = match format {
        SummaryFormat::Json => Answer::json(&json!({
            "version": 1, "replayed": counts.messages, "events": counts.events, "rows": counts.rows,
            "ignored": counts.ignored, "quarantined": left,
        }))?,
        SummaryFormat::Table => Answer::data(format!(
            "{} bodies read again: {} events, {} rows; {left} stay in quarantine\n",
            counts.messages, counts.events, counts.rows
        )),
    };
    Ok(Answer { exit_code: if left == 0 { 0 } else { EXIT_LOOK }, ..answer })
}

fn stats_text(stats: &Stats) -> String {
    let mut out = String::new();
    let span = match (&stats.first_day, &stats.last_day) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none".to_owned(),
    };
    // writing to a String cannot fail
    _ = writeln!(out, "segments     {}", stats.segments);
    _ = writeln!(
        out,
        "stored rows  {}   (copies of an event are stored as often as they came, and counted once)",
        stats.rows
    );
    _ = writeln!(out, "bytes        {}", stats.bytes);
    _ = writeln!(out, "days         {span}");
    _ = writeln!(out, "quarantined  {}", stats.quarantined);
    let volumes = &stats.volumes;
    if let (Some(from), Some(to)) = (&volumes.from, &volumes.to) {
        _ = writeln!(
            out,
            "volumes      {} points, {from} to {to}, in {} files of {} bytes",
            volumes.points, volumes.files, volumes.bytes
        );
    }
    if stats.unpublished > 0 {
        _ = writeln!(
            out,
            "unpublished  {}   (left by a crash or being written; `store verify` names them)",
            stats.unpublished
        );
    }
    for (title, counts) in
        [("by kind", &stats.rows_by_kind), ("by channel", &stats.rows_by_channel)]
    {
        _ = writeln!(out, "\n{title}");
        for (word, count) in counts {
            _ = writeln!(out, "  {word:<20} {count}");
        }
    }
    out
}

fn verify_text(found: &Verification) -> String {
    let mut out = format!("{} segments with {} rows can be read\n", found.segments, found.rows);
    for problem in &found.problems {
        _ = writeln!(out, "problem: {}", printable(&problem.problem));
    }
    for path in &found.unpublished {
        _ = writeln!(out, "unpublished: `{}`: delete it when no consumer runs", path.display());
    }
    out
}

fn quarantined(entries: &[Quarantined], args: &QuarantineListArgs) -> anyhow::Result<Answer> {
    if args.common.format == SummaryFormat::Json {
        let entry = |entry: &Quarantined| {
            let body = args.bodies.then(|| Value::from(String::from_utf8_lossy(&entry.body)));
            json!({
                "id": entry.id, "received_at": format_ms(entry.received_at), "reason": entry.reason,
                "detail": entry.detail, "origin": entry.origin, "bytes": entry.body.len(), "body": body,
            })
        };
        return Answer::json(
            &json!({"version": 1, "entries": entries.iter().map(entry).collect::<Vec<_>>()}),
        );
    }
    let mut out = String::new();
    for entry in entries {
        let detail = printable(entry.detail.as_deref().unwrap_or_default());
        _ = writeln!(
            out,
            "{}  {}  {}: {detail}",
            format_ms(entry.received_at),
            entry.reason,
            printable(&entry.origin)
        );
        if args.bodies {
            let body: String =
                String::from_utf8_lossy(&entry.body).chars().take(BODY_CHARS_MAX).collect();
            _ = writeln!(out, "    {}", printable(&body));
        }
    }
    _ = writeln!(out, "{} in quarantine", entries.len());
    Ok(Answer::data(out))
}
