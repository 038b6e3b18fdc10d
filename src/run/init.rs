//! `bouncewatch init`

use std::io::ErrorKind;

use anyhow::{Context, bail};
use bouncewatch_doctor::gather::{GatherRequest, GatherScope};
use bouncewatch_doctor::setup::{SetupOptions, setup, setup_text};
use bouncewatch_doctor::snapshot::time::Time;

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
    let path = &args.settings;
    match std::fs::symlink_metadata(path) {
        Ok(_) => bail!(
            "`{}` exists, and is not changed\n  hint: choose another file with --settings",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("could not read `{}`", path.display()));
        }
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
    let path = &std::path::absolute(path).context("the settings file")?;
    let options = SetupOptions {
        set: args.configuration_set.as_deref(),
        store: &args.store,
        settings: &path.to_string_lossy(),
    };
    let setup = setup(&snapshot, options);
    write_file(path, |out| out.write_all(setup.settings.as_bytes()))
        .with_context(|| format!("could not write to `{}`", path.display()))?;
    let written =
        format!("note: settings written to {}; nothing was changed in AWS", path.display());
    let result = CommandResult { notes: vec![written], ..CommandResult::data(setup_text(&setup)) };
    Ok(result.with_attention(!setup.problems.is_empty()))
}
