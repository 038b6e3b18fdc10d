//! `bouncewatch suppress`

#[cfg(feature = "doctor")]
mod push;
#[cfg(feature = "doctor")]
mod ses_list;

use bouncewatch_analyze::incidents::ProviderIncident;
use bouncewatch_analyze::suppress::formats::{self, SesImportFile};
use bouncewatch_analyze::suppress::model::SuppressReason;
use bouncewatch_analyze::suppress::{
    AddressList, Releases, SoftLimit, SuppressRequest, Suppressions, release, release_formats,
    suppress, suppress_and_release,
};

use super::arguments::{address_list, mass_guard};
use super::command_result::CommandResult;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{SuppressArgs, SuppressFormat, Verbosity};
use crate::config::Config;

/// What the command prints.
enum Answer {
    Suppressions(Suppressions),
    Releases(Releases),
}

#[cfg_attr(
    not(feature = "doctor"),
    expect(unused_variables, reason = "only a call of SES shows progress")
)]
pub(super) fn run(
    args: &SuppressArgs,
    config: &Config,
    now: i64,
    verbosity: Verbosity,
) -> anyhow::Result<CommandResult> {
    let classifier = config.classifier()?;
    #[cfg(feature = "doctor")]
    let ses = push::SesSync::read(args, now, verbosity)?;
    #[cfg(feature = "doctor")]
    let list_of_ses = ses.as_ref().map(push::SesSync::list);
    #[cfg(not(feature = "doctor"))]
    let list_of_ses = None::<AddressList>;
    let is_list_of_ses = list_of_ses.is_some();
    let request = SuppressRequest {
        store: store_files(&args.store, &args.aws, &args.cache, config)?,
        at: time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now),
        soft: SoftLimit { count: usize::from(args.soft), days: args.soft_days },
        mass_guard: mass_guard(args.mass_guard, config),
        known: list_of_ses
            .map_or_else(|| address_list("--diff", args.diff.as_deref()), |list| Ok(Some(list)))?,
    };
    let mut notes = Vec::new();
    let answer = if args.release {
        Answer::Releases(release(&request, &classifier)?)
    } else if is_list_of_ses {
        let (suppressions, releases) = suppress_and_release(&request, &classifier)?;
        notes.extend(contradicted_note(&releases));
        Answer::Suppressions(suppressions)
    } else {
        Answer::Suppressions(suppress(&request, &classifier)?)
    };
    let mut result = answer.result(args, request.known.is_some())?;
    if let Some(list) = &request.known {
        result.notes.splice(0..0, list_notes(list));
    }
    result.notes.append(&mut notes);
    #[cfg(feature = "doctor")]
    if let Some(ses) = &ses {
        ses.apply(&answer.ses_file(), &mut result)?;
    }
    Ok(result)
}

fn contradicted_note(releases: &Releases) -> Option<String> {
    let count = releases.release.len();
    (count > 0).then(|| {
        format!(
            "note: {count} addresses on the list of SES can leave it, because events contradict them (`bouncewatch suppress --release --pull` lists them)"
        )
    })
}

impl Answer {
    fn result(&self, args: &SuppressArgs, has_list: bool) -> anyhow::Result<CommandResult> {
        match self {
            Self::Suppressions(suppressions) => suppressions_result(suppressions, args),
            Self::Releases(releases) => release_result(releases, args, has_list),
        }
    }

    /// The file with which SES changes its list.
    #[cfg(feature = "doctor")]
    fn ses_file(&self) -> SesImportFile {
        match self {
            Self::Suppressions(suppressions) => formats::ses(suppressions),
            Self::Releases(releases) => release_formats::ses(releases),
        }
    }
}

fn suppressions_result(
    suppressions: &Suppressions,
    args: &SuppressArgs,
) -> anyhow::Result<CommandResult> {
    let format = args.format.unwrap_or(SuppressFormat::Csv);
    let mut result = match format {
        SuppressFormat::Csv => CommandResult::data(formats::csv(suppressions)),
        SuppressFormat::Json => CommandResult::json(suppressions)?,
        SuppressFormat::Txt => CommandResult::data(formats::txt(suppressions)),
        SuppressFormat::Ses => ses_import(suppressions),
    };
    result.notes.extend(hold_notes(suppressions, format));
    result.notes.extend(incident_notes(&suppressions.incidents));
    result.notes.extend(left_out_notes(suppressions));
    Ok(result)
}

fn release_result(
    releases: &Releases,
    args: &SuppressArgs,
    has_list: bool,
) -> anyhow::Result<CommandResult> {
    let mut result = match args.format.unwrap_or(SuppressFormat::Ses) {
        SuppressFormat::Csv => CommandResult::data(release_formats::csv(releases)),
        SuppressFormat::Json => CommandResult::json(releases)?,
        SuppressFormat::Txt => CommandResult::data(release_formats::txt(releases)),
        SuppressFormat::Ses => {
            ses_file(release_formats::ses(releases), "deletes", release_formats::SES_DELETE_MAX)
        }
    };
    let (count, kept) = (releases.release.len(), releases.kept);
    let source = if has_list {
        ""
    } else {
        ", as far as events show; compare with the list itself with --pull or --diff"
    };
    result.notes.push(format!(
        "note: {count} addresses can leave the suppression list of SES, {kept} stay on it{source}"
    ));
    result.notes.extend(incident_notes(&releases.incidents));
    Ok(result)
}

fn ses_import(suppressions: &Suppressions) -> CommandResult {
    let mut result = ses_file(formats::ses(suppressions), "imports", formats::SES_IMPORT_MAX);
    if let Some(unproven) = &suppressions.without_evidence {
        result.notes.push(format!(
            "note: {} addresses of the list have no evidence (--format txt or csv lists them)",
            unproven.len()
        ));
    }
    result
}

/// Returns a file for SES, with notes on addresses that are not in it. `verb` is what SES does with at most `maximum`
/// addresses in a job.
fn ses_file(list: SesImportFile, verb: &str, maximum: usize) -> CommandResult {
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
    if list.count > maximum {
        notes.push(format!(
            "note: the file has {} addresses, SES {verb} at most {maximum} per job; split the file",
            list.count,
        ));
    }
    CommandResult { notes, ..CommandResult::data(list.text) }
}

/// Notes on addresses on hold: how many, and why.
fn hold_notes(suppressions: &Suppressions, format: SuppressFormat) -> Vec<String> {
    let hint = match format {
        SuppressFormat::Csv | SuppressFormat::Json => "",
        SuppressFormat::Txt | SuppressFormat::Ses => " (--format csv lists them)",
    };
    let count = |reason| suppressions.on_hold.iter().filter(|one| one.reason == reason).count();
    let notes = [
        (count(SuppressReason::ProviderIncident), "bounced in a provider incident"),
        (count(SuppressReason::OnHold), "worked on several days before their first hard bounce"),
    ];
    let notes = notes.into_iter().filter(|(count, _)| *count > 0);
    let note = |(count, why)| {
        format!("note: {count} addresses are on hold and not listed: they {why}{hint}")
    };
    notes.map(note).collect()
}

fn incident_notes(incidents: &[ProviderIncident]) -> Vec<String> {
    let note = |one: &ProviderIncident| {
        let ProviderIncident { provider, addresses, from, to, .. } = one;
        format!(
            "note: provider incident of {provider}: {addresses} addresses bounced with one text from {from} to {to}"
        )
    };
    incidents.iter().map(note).collect()
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
            left_out.hold_ended,
            "addresses are no longer on hold; mail to them can be tried again (`bouncewatch suppress --release` lists those on the list of SES)",
        ),
        (left_out.not_an_address, "recipients of failures are not addresses"),
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
