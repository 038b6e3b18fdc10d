//! `bouncewatch store`

mod compact;
mod forget;
mod quarantine;
mod repair;
mod retain;
mod stats;
mod verify;
mod wording;

use std::time::{Duration, SystemTime};

use bouncewatch_ingest::replay::replay_quarantine;
use bouncewatch_schemas::time::DAY_MS;
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::{Store, list};

use super::command_result::CommandResult;
use super::intake::{address_redactor, intake_rules};
use super::stdin_argument::argument_or_stdin;
use super::store_access::{MissingStore, block_on, open_store};
use crate::cli::{QuarantineCommand, StoreCommand, StoreReadArgs};
use crate::config::Config;

pub(super) fn run(
    command: StoreCommand,
    config: &Config,
    now: i64,
) -> anyhow::Result<CommandResult> {
    block_on(run_on_store(command, config, now))
}

async fn run_on_store(
    command: StoreCommand,
    config: &Config,
    now: i64,
) -> anyhow::Result<CommandResult> {
    let open = async |args: &StoreReadArgs| -> anyhow::Result<Store> {
        open_store(&args.store, &args.aws, config, MissingStore::Fail).await
    };
    match command {
        StoreCommand::Stats(args) => {
            let stats = bouncewatch_store::stats::stats(&open(&args).await?).await?;
            stats::result(&stats, args.output.format)
        }
        StoreCommand::Verify(args) => {
            let report = bouncewatch_store::verify::verify(&open(&args).await?).await?;
            verify::result(&report, args.output.format)
        }
        StoreCommand::Repair(args) => {
            let report = bouncewatch_store::repair::repair(&open(&args).await?).await?;
            repair::result(&report, args.output.format)
        }
        StoreCommand::Quarantine(QuarantineCommand::List(args)) => {
            let documents = bouncewatch_store::quarantine::list(&open(&args.common).await?).await?;
            quarantine::list_result(&documents, &args)
        }
        StoreCommand::Quarantine(QuarantineCommand::Replay(args)) => {
            let store = open(&args).await?;
            // only documents that point to an object in S3 need AWS settings
            let buckets = Buckets::load_on_first_use(args.aws.endpoint_url.as_deref());
            let rules = intake_rules(config, None)?;
            let counts = replay_quarantine(&store, buckets, rules, now).await?;
            quarantine::replay_result(&counts, args.output.format)
        }
        StoreCommand::Compact(args) => {
            let settings = compact::settings(&args)?;
            let store = open(&args.common).await?;
            let removed = if settings.dry_run { 0 } else { remove_staged_files(&store, now) };
            let report = bouncewatch_store::compact::compact(&store, &settings, now).await?;
            let mut result = compact::result(&report, args.common.output.format)?;
            if removed > 0 {
                result
                    .notes
                    .push(format!("note: removed {removed} staged files of interrupted runs"));
            }
            Ok(result)
        }
        StoreCommand::Retain(args) => {
            let settings = retain::settings(&args)?;
            let store = open(&args.common).await?;
            let report = bouncewatch_store::retain::retain(&store, &settings, now).await?;
            retain::result(&report, args.common.output.format)
        }
        StoreCommand::Forget(args) => {
            let redactor = address_redactor(config, None)?;
            let address = argument_or_stdin(&args.address)?;
            let store = open(&args.common).await?;
            let report =
                bouncewatch_store::forget::forget(&store, &address, &redactor, now).await?;
            forget::result(&report, args.common.output.format)
        }
    }
}

/// Removes staged files that were written more than a day ago. Returns their number.
fn remove_staged_files(store: &Store, now: i64) -> usize {
    let before = u64::try_from(now - DAY_MS).unwrap_or_default();
    let before = SystemTime::UNIX_EPOCH + Duration::from_millis(before);
    store.folder().map_or(0, |folder| list::remove_staged_files(folder, before))
}
