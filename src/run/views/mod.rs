//! `bouncewatch views`: SQL views with the definitions of the numbers, for engines that read the store themselves.
//!
//! All dialects share one text, `body.sql`; only what is between `@` differs.

mod counts;
mod engine;

use std::fmt::Write;

use bouncewatch_schemas::bounce::SIMULATOR_DOMAIN;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::table::{COLUMNS, EVENTS};
use bouncewatch_schemas::time::format_ms;
use bouncewatch_store::StoreUrl;

use self::counts::{CountsShape, providers_without_feedback};
use self::engine::Engine;
use super::arguments::{counted_from, groupings, own_domains, windows};
use super::command_result::CommandResult;
use super::store_access::store_location;
use super::times::time_ms;
use crate::cli::ViewsArgs;
use crate::config::Config;

const BODY: &str = include_str!("body.sql");
const NOT_RUN: &str = "\
-- Not run by us: no test runs this dialect. Compare the first result with `bouncewatch check`.\n";

/// What the views are about.
struct ViewsRequest {
    engine: &'static Engine,
    prefix: String,
    /// Folder or URL of the store.
    location: String,
    own_domains: Vec<String>,
    /// Time at which the windows of current rates end; `None` for the time of the query.
    at: Option<i64>,
    /// Events before this time are left out.
    counted_from: Option<i64>,
    shape: CountsShape,
}

pub(super) fn run(args: &ViewsArgs, config: &Config) -> anyhow::Result<CommandResult> {
    let location = store_location(&args.store, config)?;
    // an engine can have its own scheme: s3a:// of Spark, gs:// of BigQuery
    let location = match StoreUrl::parse(&location) {
        StoreUrl::Folder(folder) if !location.contains("://") => {
            std::path::absolute(folder)?.to_string_lossy().into_owned()
        }
        _ => location.trim_end_matches('/').to_owned(),
    };
    let windows = windows(&args.window.window, &config.windows)?;
    let request = ViewsRequest {
        engine: Engine::of(args.dialect),
        prefix: args.prefix.clone(),
        location,
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
        at: time_ms("--at", args.as_of.at.as_deref())?,
        counted_from: counted_from(args.counted_from.counted_from.as_deref(), config)?,
        shape: CountsShape::new(&windows, groupings(&args.grouping.by, &config.by)?)?,
    };
    Ok(CommandResult::data(request.header() + &request.body()))
}

impl ViewsRequest {
    fn body(&self) -> String {
        let Self { engine, shape, .. } = self;
        let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let rates = ["bounce", "complaint"].map(rates);
        let now = self.at.map_or_else(|| engine.now_ms.to_owned(), |at| at.to_string());
        // events after this time count, as in `check`
        let start = match self.counted_from {
            Some(from) => format!("greatest({now} - width, {})", from.saturating_sub(1)),
            None => format!("{now} - width"),
        };
        let counted = self
            .counted_from
            .map_or_else(String::new, |from| format!("\nWHERE {} >= {from}", engine.event_ms));
        // the location is last: it can contain any text
        let values = [
            ("@RAW_EVENTS@", engine.raw_events),
            ("@VIEW@", engine.view),
            ("@TAGS@", engine.tags),
            ("@EXCLUDED@", &excluded(engine, &self.own_domains)),
            ("@COUNTED@", &counted),
            ("@RATES@", &rates.join(",\n  ")),
            ("@WINDOWS@", &shape.windows()),
            ("@SCOPED@", &shape.scoped(engine, &self.prefix)),
            ("@DIMENSIONS@", &shape.dimensions(engine)),
            ("@LOOKBACK@", &shape.lookback_ms().to_string()),
            ("@WITHOUT_FEEDBACK@", &providers_without_feedback()),
            ("@ACCOUNT_KINDS@", &account_kinds()),
            ("@START@", &start),
            ("@NOW@", &now),
            ("@P@", &self.prefix),
            ("@EVENT_MS@", engine.event_ms),
            ("@HOUR@", engine.hour),
            ("@DAY@", engine.day),
            ("@TIMESTAMP@", engine.timestamp),
            ("@TEXT@", engine.text),
            ("@DOUBLE@", engine.double),
            ("@Q@", engine.quote),
            ("@TYPED_COLUMNS@", &engine.typed_columns()),
            ("@COLUMNS@", &columns.join(", ")),
            ("@PATH@", &engine.escaped(&format!("{}/{EVENTS}", self.location))),
        ];
        values.iter().fold(BODY.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    fn header(&self) -> String {
        let none = || "none".to_owned();
        let domains =
            if self.own_domains.is_empty() { none() } else { self.own_domains.join(", ") };
        let start = self.counted_from.map_or_else(none, format_ms);
        format!(
            "-- Views of bouncewatch {version} on {store}, for {name}.\n\
             -- Own domains: {domains}. Start of counting: {start}. Stored rows: {columns} columns, the last one `{last}`.\n\
             -- Print the views again after an upgrade or a change of these settings. New files in the store are included without it.\n\
             -- Differences from `bouncewatch check`: attempts are sends (no fallback to deliveries, no imported send counts),\n\
             -- causes are those of the day on which the events were stored, and there are no windows of attempts.\n\
             {not_run}{notes}{setup}\n",
            version = env!("CARGO_PKG_VERSION"),
            store = printable(&self.location),
            name = self.engine.name,
            columns = COLUMNS.len(),
            last = COLUMNS.last().map_or("", |column| column.name),
            not_run = if self.engine.is_tested { "" } else { NOT_RUN },
            notes = self.engine.notes,
            setup = self.engine.setup,
        )
    }
}

/// The kinds of events that are about no mail, as string literals.
fn account_kinds() -> String {
    EventKind::ACCOUNT_KINDS.map(|kind| format!("'{}'", kind.as_str())).join(", ")
}

/// Conditions that exclude mail which SES does not count.
fn excluded(engine: &Engine, own_domains: &[String]) -> String {
    let domain = "lower(coalesce(recipient_domain, ''))";
    let mut out = format!("\n    AND {domain} <> '{SIMULATOR_DOMAIN}'");
    for own in own_domains {
        let (own, length) = (engine.escaped(own), own.chars().count() + 1);
        // writing to a String cannot fail
        _ = write!(
            out,
            "\n    AND {domain} <> '{own}' AND substr({domain}, -{length}) <> '.{own}'"
        );
    }
    out
}

/// Rate and 95 % Wilson interval of bounces or complaints. As in `check`, a count above the attempts has the interval of
/// 100 %.
fn rates(name: &str) -> String {
    let count = format!("{name}s");
    let n = "CAST(attempts AS @DOUBLE@)";
    let p = format!(
        "(CAST(CASE WHEN {count} > attempts THEN attempts ELSE {count} END AS @DOUBLE@) / {n})"
    );
    let z2 = "3.8414588206941236e0";
    let spread =
        format!("1.959963984540054e0 * sqrt({p} * (1e0 - {p}) / {n} + {z2} / (4e0 * {n} * {n}))");
    let bound =
        |sign: char| format!("({p} + {z2} / (2e0 * {n}) {sign} {spread}) / (1e0 + {z2} / {n})");
    format!(
        "CASE WHEN attempts > 0 THEN CAST({count} AS @DOUBLE@) / {n} END AS {name}_rate,\n  \
         CASE WHEN attempts > 0 AND {count} = 0 THEN 0e0 WHEN attempts > 0 THEN {} END AS {name}_rate_low,\n  \
         CASE WHEN attempts > 0 AND {count} >= attempts THEN 1e0 WHEN attempts > 0 THEN {} END AS {name}_rate_high",
        bound('-'),
        bound('+')
    )
}
