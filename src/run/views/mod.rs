//! `bouncewatch views`: SQL views with the definitions of the numbers, for engines that read the store themselves.
//!
//! All dialects share one text, `body.sql`; only what is between `@` differs.

use std::fmt::Write;

use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::table::{COLUMNS, EVENTS};
use bouncewatch_store::StoreUrl;

use super::arguments::own_domains;
use super::command_result::CommandResult;
use super::store_access::store_location;
use crate::cli::{SqlDialect, ViewsArgs};
use crate::config::Config;

const BODY: &str = include_str!("body.sql");

pub(super) fn run(args: &ViewsArgs, config: &Config) -> anyhow::Result<CommandResult> {
    let location = store_location(&args.store, config)?;
    let location = match StoreUrl::parse(&location) {
        StoreUrl::Folder(folder) => std::path::absolute(folder)?.to_string_lossy().into_owned(),
        StoreUrl::Bucket { .. } => location.trim_end_matches('/').to_owned(),
    };
    let own_domains = own_domains(config, &args.own_domains.own_domain)?;
    let engine = match args.dialect {
        SqlDialect::Duckdb => DUCKDB,
        SqlDialect::Spark => SPARK,
    };
    Ok(CommandResult::data(views(&engine, &args.prefix, &location, &own_domains)))
}

/// What differs between the dialects.
struct Engine {
    name: &'static str,
    time_zone: &'static str,
    view: &'static str,
    /// Definition of the view of stored rows; `@PATH@` is the folder of the events.
    source: &'static str,
    millis: &'static str,
    text: &'static str,
    unnest: &'static str,
    timestamp: &'static str,
    /// Characters of a string literal that are escaped, with what stands for them.
    escapes: &'static [(&'static str, &'static str)],
}

const DUCKDB: Engine = Engine {
    name: "DuckDB",
    time_zone: "SET TimeZone = 'UTC';",
    view: "VIEW",
    source: "AS\nSELECT @COLUMNS@\nFROM read_parquet('@PATH@/*/*.parquet', union_by_name = true, hive_partitioning = false)",
    millis: "epoch_ms",
    text: "VARCHAR",
    unnest: "unnest",
    timestamp: "make_timestamptz(to_ms * 1000)",
    escapes: &[("'", "''")],
};

const SPARK: Engine = Engine {
    name: "Spark",
    time_zone: "SET TIME ZONE 'UTC';",
    view: "TEMPORARY VIEW",
    source: "USING parquet\nOPTIONS (path '@PATH@', mergeSchema 'true')",
    millis: "unix_millis",
    text: "STRING",
    unnest: "explode",
    timestamp: "timestamp_millis(to_ms)",
    // before version 4, two quotes are the end of one literal and the start of another
    escapes: &[("\\", r"\\"), ("'", r"\'")],
};

impl Engine {
    /// Escapes a text for a string literal.
    fn escaped(&self, text: &str) -> String {
        self.escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

fn views(engine: &Engine, prefix: &str, location: &str, own_domains: &[String]) -> String {
    let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let rates = ["bounce", "complaint"].map(rates);
    // the location is last: it can contain any text
    let values = [
        ("@VIEW@", engine.view),
        ("@SOURCE@", engine.source),
        ("@P@", prefix),
        ("@EXCLUDED@", &excluded(engine, own_domains)),
        ("@MILLIS@", engine.millis),
        ("@TEXT@", engine.text),
        ("@UNNEST@", engine.unnest),
        ("@TIMESTAMP@", engine.timestamp),
        ("@RATES@", &rates.join(",\n  ")),
        ("@COLUMNS@", &columns.join(", ")),
        ("@PATH@", &engine.escaped(&format!("{location}/{EVENTS}"))),
    ];
    let body = values.iter().fold(BODY.to_owned(), |text, (name, value)| text.replace(name, value));
    header(engine, location, own_domains) + &body
}

fn header(engine: &Engine, location: &str, own_domains: &[String]) -> String {
    let domains = if own_domains.is_empty() { "none".to_owned() } else { own_domains.join(", ") };
    format!(
        "-- Views of bouncewatch {version} on {store}, for {name}. Own domains: {domains}.\n\
         -- Print them again after an upgrade, and if the own domains change; new files need nothing.\n\
         -- Other than in `bouncewatch check`: attempts are sends (no fallback to deliveries, no imported send counts),\n\
         -- causes are those of the day on which the events were stored, and there are no windows of attempts.\n\
         {time_zone}\n",
        version = env!("CARGO_PKG_VERSION"),
        store = printable(location),
        name = engine.name,
        time_zone = engine.time_zone,
    )
}

/// Conditions that exclude mail which SES does not count.
fn excluded(engine: &Engine, own_domains: &[String]) -> String {
    let domain = "lower(coalesce(recipient_domain, ''))";
    let mut out = format!("\n    AND {domain} <> 'simulator.amazonses.com'");
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
    let n = "CAST(attempts AS DOUBLE)";
    let p = format!(
        "(CAST(CASE WHEN {count} > attempts THEN attempts ELSE {count} END AS DOUBLE) / {n})"
    );
    let z2 = "3.8414588206941236e0";
    let spread =
        format!("1.959963984540054e0 * sqrt({p} * (1e0 - {p}) / {n} + {z2} / (4e0 * {n} * {n}))");
    let bound =
        |sign: char| format!("({p} + {z2} / (2e0 * {n}) {sign} {spread}) / (1e0 + {z2} / {n})");
    format!(
        "CASE WHEN attempts > 0 THEN CAST({count} AS DOUBLE) / {n} END AS {name}_rate,\n  \
         CASE WHEN attempts > 0 AND {count} = 0 THEN 0e0 WHEN attempts > 0 THEN {} END AS {name}_rate_low,\n  \
         CASE WHEN attempts > 0 AND {count} >= attempts THEN 1e0 WHEN attempts > 0 THEN {} END AS {name}_rate_high",
        bound('-'),
        bound('+')
    )
}
