//! What is typed of `causes` and `suppress`.
#![allow(clippy::doc_markdown, reason = "these docs are printed as help")]

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::{CacheArg, OutputArg, StoreArg};

#[derive(Debug, Args)]
pub(crate) struct CausesArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    #[command(flatten)]
    pub(crate) cache: CacheArg,
    /// Begin of the span (RFC 3339 or a date), instead of --window
    #[arg(long, value_name = "TIME", conflicts_with = "window")]
    pub(crate) from: Option<String>,
    /// End of the span (RFC 3339 or a date) [default: now]
    #[arg(long, value_name = "TIME", visible_alias = "at")]
    pub(crate) to: Option<String>,
    /// Length of the span, such as 24h or 30d [default: 7d]
    #[arg(long, value_name = "DURATION")]
    pub(crate) window: Option<String>,
    /// Group by words: cause, fault, rollup, account, region, columns such as provider, recipient_domain (or domain) and identity, or tag:NAME (campaign is tag:campaign); a list is one grouping by all of them, repeat for several [default: cause]
    #[arg(long, value_name = "LIST")]
    pub(crate) by: Vec<String>,
    /// Of each grouping only the N groups with most bounces
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// A domain of your own, verified with SES: mail to it is not counted; repeat for several
    #[arg(long, value_name = "DOMAIN")]
    pub(crate) own_domain: Vec<String>,
    /// Tell only the texts that no rule knows, grouped by kind, without addresses, names, hosts, ids and times: to be sent to whoever makes the rules
    #[arg(long, conflicts_with_all = ["by", "top"])]
    pub(crate) unknown: bool,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: CausesFormat,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CausesFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct SuppressArgs {
    #[command(flatten)]
    pub(crate) store: StoreArg,
    #[command(flatten)]
    pub(crate) cache: CacheArg,
    /// Tell it as of this moment (RFC 3339) instead of now
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// So many soft failures without a delivery between are enough: messages for a full mailbox, days for mail that expired
    #[arg(long, value_name = "N", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) soft: u16,
    /// Within so many days; after them an address that only failed softly may be tried again
    #[arg(long, value_name = "DAYS", default_value = "30", value_parser = clap::value_parser!(i64).range(1..=3_660))]
    pub(crate) soft_days: i64,
    /// Compare with a list (text, CSV with the address first, JSON of `aws sesv2 list-suppressed-destinations`): tell what it lacks, and what stands there without evidence
    #[arg(long, value_name = "FILE")]
    pub(crate) diff: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_enum, default_value = "csv")]
    pub(crate) format: SuppressFormat,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuppressFormat {
    /// With reason and evidence, safe in spreadsheets
    Csv,
    Json,
    /// Addresses alone, a line each
    Txt,
    /// For `aws sesv2 create-import-job` with the data format CSV: address,BOUNCE or address,COMPLAINT
    Ses,
}
