//! `bouncewatch suppress`

use std::sync::Arc;

use anyhow::Context;
use bouncewatch_analyze::suppress::{AddressList, Request, Soft, Suppressions, forms, suppress};
use bouncewatch_classify::Classifier;

use super::{Answer, analyzed_folder, time_ms};
use crate::cause_rules;
use crate::config::Config;
use crate::failure_args::{SuppressArgs, SuppressFormat};

pub(super) fn run(args: &SuppressArgs, config: &Config, now: i64) -> anyhow::Result<Answer> {
    let own = cause_rules::classifier(config)?;
    let classifier = own.as_ref().map_or_else(|| Classifier::builtin(), Arc::as_ref);
    let list = args.diff.as_ref().map(|path| {
        let named = || format!("--diff {}", path.display());
        let text = std::fs::read(path).with_context(named)?;
        AddressList::parse(&String::from_utf8_lossy(&text)).with_context(named)
    });
    let request = Request {
        store: analyzed_folder(&args.store, &args.cache, config)?,
        at: time_ms("--at", args.at.as_deref())?.unwrap_or(now),
        soft: Soft { count: usize::from(args.soft), days: args.soft_days },
        known: list.transpose()?,
    };
    let found = suppress(&request, classifier)?;
    let mut answer = match args.format {
        SuppressFormat::Csv => Answer::data(forms::csv(&found)),
        SuppressFormat::Json => Answer::json(&found)?,
        SuppressFormat::Txt => Answer::data(forms::txt(&found)),
        SuppressFormat::Ses => for_ses(&found),
    };
    if let Some(list) = &request.known {
        answer.notes.extend(about_list(list));
    }
    answer.notes.extend(left_out(&found));
    Ok(answer)
}

fn for_ses(found: &Suppressions) -> Answer {
    let list = forms::ses(found);
    let mut notes = Vec::new();
    if list.hashed > 0 {
        notes.push(format!(
            "note: {} addresses are stored as hashes, which SES does not know: left out",
            list.hashed
        ));
    }
    if list.unwritable > 0 {
        notes.push(format!(
            "note: {} addresses are of a form that SES cannot import: left out; --format csv has them",
            list.unwritable
        ));
    }
    if list.count > forms::SES_IMPORT_MAX {
        notes.push(format!(
            "note: {} addresses are more than the {} that SES takes in one import: split the file",
            list.count,
            forms::SES_IMPORT_MAX
        ));
    }
    if let Some(unproven) = &found.without_evidence {
        notes.push(format!(
            "note: {} addresses of the list have no evidence; --format txt or csv has them",
            unproven.len()
        ));
    }
    Answer { notes, ..Answer::data(list.text) }
}

fn about_list(list: &AddressList) -> Vec<String> {
    let mut notes = Vec::new();
    if list.unreadable > 0 {
        notes.push(format!("note: {} lines of the list hold no address", list.unreadable));
    }
    if list.is_cut {
        notes.push(
            "note: the list goes on elsewhere (NextToken): what it seems to lack may stand there"
                .to_owned(),
        );
    }
    notes
}

/// What failed for good and is not in the list.
fn left_out(found: &Suppressions) -> Vec<String> {
    let left = found.left_out;
    let said = [
        (
            left.dropped,
            "failures for good are of addresses that were dropped or forgotten: nobody can tell them",
        ),
        (
            left.on_ses_list,
            "addresses are held back by a suppression list of SES: take them out of the source of your mailing",
        ),
        (left.on_global_list, "of these are on SES's global list: each try counts as a bounce"),
        (
            left.unknown_text,
            "addresses bounced for good without a text, or with one that no rule knows: `bouncewatch causes --unknown` lists them",
        ),
    ];
    said.into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("note: {count} {what}"))
        .collect()
}
