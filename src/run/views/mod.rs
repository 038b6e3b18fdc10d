//! `bouncewatch views`: SQL views with the definitions of the numbers, for engines that read the store themselves.
//!
//! All dialects share one text, `body.sql`; only what is between `@` differs.

use std::fmt::Write;

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
    let views = Views { dialect: args.dialect, prefix: &args.prefix, location: &location };
    Ok(CommandResult::data(views.text(&own_domains)))
}

/// What the text depends on.
struct Views<'a> {
    dialect: SqlDialect,
    prefix: &'a str,
    location: &'a str,
}

impl Views<'_> {
    fn text(&self, own_domains: &[String]) -> String {
        let mut out = self.header(own_domains);
        out += &self.source();
        let (millis, text, unnest, timestamp) = match self.dialect {
            SqlDialect::Duckdb => {
                ("epoch_ms", "VARCHAR", "unnest", "make_timestamptz(to_ms * 1000)")
            }
            SqlDialect::Spark => ("unix_millis", "STRING", "explode", "timestamp_millis(to_ms)"),
        };
        let rates = ["bounce", "complaint"].map(|name| rates(&format!("{name}s"), name));
        let values = [
            ("@VIEW@", self.view()),
            ("@P@", self.prefix),
            ("@EXCLUDED@", &excluded(own_domains)),
            ("@MILLIS@", millis),
            ("@TEXT@", text),
            ("@UNNEST@", unnest),
            ("@TIMESTAMP@", timestamp),
            ("@RATES@", &rates.join(",\n  ")),
        ];
        out +=
            &values.iter().fold(BODY.to_owned(), |text, (name, value)| text.replace(name, value));
        out
    }

    const fn view(&self) -> &'static str {
        match self.dialect {
            SqlDialect::Duckdb => "VIEW",
            SqlDialect::Spark => "TEMPORARY VIEW",
        }
    }

    fn header(&self, own_domains: &[String]) -> String {
        let (name, time_zone) = match self.dialect {
            SqlDialect::Duckdb => ("DuckDB", "SET TimeZone = 'UTC';"),
            SqlDialect::Spark => ("Spark", "SET TIME ZONE 'UTC';"),
        };
        let domains =
            if own_domains.is_empty() { "none".to_owned() } else { own_domains.join(", ") };
        format!(
            "-- Views of bouncewatch {version} on {store}, for {name}. Own domains: {domains}.\n\
             -- Print them again after an upgrade, and if the own domains change; new files need nothing.\n\
             -- Other than in `bouncewatch check`: attempts are sends (no fallback to deliveries, no imported send counts),\n\
             -- causes are those of the day on which the events were stored, and there are no windows of attempts.\n\
             {time_zone}\n",
            version = env!("CARGO_PKG_VERSION"),
            store = comment(self.location),
        )
    }

    /// The rows as they are stored, with the columns of this version.
    fn source(&self) -> String {
        let (view, prefix) = (self.view(), self.prefix);
        let path = literal(&format!("{}/{EVENTS}", self.location));
        let columns: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let columns = columns.join(", ");
        match self.dialect {
            SqlDialect::Duckdb => {
                let glob = literal(&format!("{}/{EVENTS}/*/*.parquet", self.location));
                format!(
                    "\n-- The rows as they are stored; copies of an event are rows of their own. Never count them.\n\
                     CREATE OR REPLACE {view} {prefix}raw_events AS\nSELECT {columns}\n\
                     FROM read_parquet({glob}, union_by_name = true, hive_partitioning = false);\n"
                )
            }
            SqlDialect::Spark => format!(
                "\n-- The rows as they are stored; copies of an event are rows of their own. Never count them.\n\
                 CREATE OR REPLACE {view} {prefix}raw_events USING parquet\n\
                 OPTIONS (path {path}, mergeSchema 'true');\n"
            ),
        }
    }
}

/// A string literal. A backslash starts an escape sequence in Spark.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', "''"))
}

/// A text in a comment: a line break would end it.
fn comment(text: &str) -> String {
    bouncewatch_schemas::printable::printable(text).into_owned()
}

/// Conditions that exclude mail which SES does not count.
fn excluded(own_domains: &[String]) -> String {
    let mut out = String::new();
    let domain = "lower(coalesce(recipient_domain, ''))";
    for own in own_domains {
        let (own, subdomains) = (literal(own), format!(".{own}"));
        // writing to a String cannot fail
        _ = write!(
            out,
            "\n    AND {domain} <> {own} AND substr({domain}, -{}) <> {}",
            subdomains.chars().count(),
            literal(&subdomains)
        );
    }
    format!("\n    AND {domain} <> 'simulator.amazonses.com'{out}")
}

/// Rate and 95 % Wilson interval of a count. As in `check`, a count above the attempts has the interval of 100 %.
fn rates(count: &str, name: &str) -> String {
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
