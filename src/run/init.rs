//! `bouncewatch init`

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use bouncewatch_doctor::gather::{GatherRequest, GatherScope};
use bouncewatch_doctor::setup::{SetupOptions, setup, setup_text};
use bouncewatch_doctor::snapshot::time::Time;
use bouncewatch_store::StoreUrl;

use super::command_result::CommandResult;
use super::doctor::{gathered_snapshot, read};
use super::output_file::write_file;
use super::store_access::block_on;
use crate::cli::{InitArgs, Verbosity};

/// The template that creates event destination, topic, queue and policies.
const TEMPLATE: &str = include_str!("../../deploy/cloudformation.yaml");

pub(super) fn run(
    args: &InitArgs,
    now: i64,
    verbosity: Verbosity,
) -> anyhow::Result<CommandResult> {
    if args.template {
        return Ok(CommandResult::data(TEMPLATE));
    }
    let snapshot = if let Some(file) = &args.from {
        read(file)?
    } else {
        let request = GatherRequest {
            scope: GatherScope::EventPath,
            sets: args.configuration_set.iter().cloned().collect(),
            ..GatherRequest::new(Time(now))
        };
        block_on(gathered_snapshot(&request, &args.aws, verbosity))?
    };
    // cron runs in another folder
    let settings = std::path::absolute(&args.settings).context("the settings file")?;
    let store = match StoreUrl::parse(&args.store) {
        StoreUrl::Folder(folder) => {
            Cow::Owned(std::path::absolute(folder).context("the store")?.display().to_string())
        }
        StoreUrl::Bucket { .. } => Cow::Borrowed(args.store.as_str()),
    };
    let options = SetupOptions {
        set: args.configuration_set.as_deref(),
        store: &store,
        settings: &settings.to_string_lossy(),
    };
    let setup = setup(&snapshot, options);
    let note = write_settings(&settings, &setup.settings)?;
    let result = CommandResult { notes: vec![note], ..CommandResult::data(setup_text(&setup)) };
    Ok(result.with_attention(!setup.problems.is_empty()))
}

/// Writes the settings unless the file exists. Returns a note about it.
fn write_settings(path: &Path, settings: &str) -> anyhow::Result<String> {
    let shown = path.display();
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(format!(
            "note: {shown} exists and was not changed; nothing was changed in AWS\n  \
             hint: --settings FILE writes the settings of this account to another file"
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            write_file(path, |out| out.write_all(settings.as_bytes()))
                .with_context(|| format!("could not write to `{shown}`"))?;
            Ok(format!("note: settings written to {shown}; nothing was changed in AWS"))
        }
        Err(error) => Err(error).with_context(|| format!("could not read `{shown}`")),
    }
}
