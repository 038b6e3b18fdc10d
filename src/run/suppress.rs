//! `bouncewatch suppress`

use std::sync::Arc;

use anyhow::Context;
use bouncewatch_analyze::suppress::{
    AddressList, SoftLimit, SuppressRequest, Suppressions, formats, suppress,
};
use bouncewatch_classify::Classifier;

use super::command_result::CommandResult;
use super::store_access::analyzed_folder;
use super::times::time_ms;
use crate::cli::{SuppressArgs, SuppressFormat};
use crate::config::Config;

pub(super) fn run(args: &SuppressArgs, config: &Config, now: i64) -> anyhow::Result<CommandResult> {
    let custom = config.classifier()?;
    let classifier = custom.as_ref().map_or_else(|| Classifier::builtin(), Arc::as_ref);
    let list = args.diff.as_ref().map(|path| {
        let flag = || format!("--diff `{}`", path.display());
        let text = std::fs::read(path).with_context(flag)?;
        AddressList::parse(&String::from_utf8_lossy(&text)).with_context(flag)
    });
    let request = SuppressRequest {
        store: analyzed_folder(&args.store, &args.aws, &args.cache, config)?,
        at: time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now),
        soft: SoftLimit { count: usize::from(args.soft), days: args.soft_days },
        known: list.transpose()?,
    };
    let suppressions = suppress(&request, classifier)?;
    let mut result = match args.format {
        SuppressFormat::Csv => CommandResult::data(formats::csv(&suppressions)),
        SuppressFormat::Json => CommandResult::json(&suppressions)?,
        SuppressFormat::Txt => CommandResult::data(formats::txt(&suppressions)),
        SuppressFormat::Ses => ses_import(&suppressions),
    };
    if let Some(list) = &request.known {
        result.notes.extend(list_notes(list));
    }
    result.notes.extend(left_out_notes(&suppressions));
    Ok(result)
}

fn ses_import(suppressions: &Suppressions) -> CommandResult {
    let list = formats::ses(suppressions);
    let mut notes = Vec::new();
    if list.hashed > 0 {
        notes.push(format!(
            "note: {} hashed addresses are left out; SES cannot import hashes",
            list.hashed
        ));
    }
    if list.unwritable > 0 {
        notes.push(format!(
            "note: {} addresses are left out; SES cannot import their syntax (--format csv lists them)",
            list.unwritable
        ));
    }
    if list.count > formats::SES_IMPORT_MAX {
        notes.push(format!(
            "note: the file has {} addresses, SES imports at most {} per job; split the file",
            list.count,
            formats::SES_IMPORT_MAX
        ));
    }
    if let Some(unproven) = &suppressions.without_evidence {
        notes.push(format!(
            "note: {} addresses of the list have no evidence (--format txt or csv lists them)",
            unproven.len()
        ));
    }
    CommandResult { notes, ..CommandResult::data(list.text) }
}

fn list_notes(list: &AddressList) -> Vec<String> {
    let mut notes = Vec::new();
    if list.unreadable > 0 {
        notes.push(format!("note: {} lines of the list contain no address", list.unreadable));
    }
    if list.is_truncated {
        notes.push(
            "note: the list is incomplete (NextToken); addresses on its other pages are reported as missing"
                .to_owned(),
        );
    }
    notes
}

/// Notes on permanent failures that list no address.
fn left_out_notes(suppressions: &Suppressions) -> Vec<String> {
    let left_out = suppressions.left_out;
    let notes = [
        (
            left_out.dropped,
            "permanent failures have no address in the store (policy drop, or forgotten)",
        ),
        (
            left_out.on_ses_list,
            "addresses are on a suppression list of SES; remove them from your mailing lists",
        ),
        (
            left_out.on_global_list,
            "of these are on the global suppression list of SES; each attempt counts as a bounce",
        ),
        (
            left_out.unknown_text,
            "addresses failed permanently with no text or an unknown text (`bouncewatch causes --unknown` lists the texts)",
        ),
    ];
    notes
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("note: {count} {text}"))
        .collect()
}
