//! `bouncewatch page`

mod alerts;
#[cfg(feature = "doctor")]
mod doctor;
mod document;
mod masking;
mod request;
mod store;

use std::path::Path;

use anyhow::{Context, ensure};
use bouncewatch_analyze::page::{PageReports, page};
use bouncewatch_page as html;

use self::document::PageContext;
use super::command_result::CommandResult;
use super::output_file::write_file;
use crate::cli::PageArgs;
use crate::config::Config;

/// Without `doctor` there is no snapshot to read.
#[cfg(not(feature = "doctor"))]
mod doctor {
    use bouncewatch_analyze::page::PageRequest;

    use crate::cli::PageArgs;

    #[derive(serde::Serialize)]
    pub(super) enum DoctorDocument {}

    #[expect(clippy::unnecessary_wraps, reason = "with `doctor`, a snapshot can be unreadable")]
    pub(super) fn findings(
        _: &PageArgs,
        _: &mut PageRequest,
    ) -> anyhow::Result<Option<DoctorDocument>> {
        Ok(None)
    }
}

pub(super) fn run(args: &PageArgs, config: &Config, now: i64) -> anyhow::Result<CommandResult> {
    if let Some(to) = &args.mail {
        let is_address = to.contains('@') && !to.contains(|c: char| c.is_control() || c == ' ');
        ensure!(is_address, "--mail: invalid address `{to}`\n  hint: write ops@example.com");
    }
    if let Some(path) = &args.from_json {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read `{}`", path.display()))?;
        return rendered(html::embedded_document(&text), args);
    }
    let mut request = request::request(args, config, now)?;
    let doctor = doctor::findings(args, &mut request)?;
    let store = store::content(args, config)?;
    let pages = page(&request, &*config.classifier()?)?;
    let context = PageContext::new(args, config, &request, store, doctor)?;
    if let Some(each) = &args.each {
        return write_each(args, each, pages, &context);
    }
    let page = pages.into_iter().next().context("the analyses returned no page")?;
    let exit_code = page.check.exit_code;
    let document = context.document(page)?;
    if let Some(path) = &args.data {
        write_text(path, &document)?;
    }
    Ok(CommandResult { exit_code, ..rendered(&document, args)? })
}

/// Returns the page or the message of a document.
fn rendered(document: &str, args: &PageArgs) -> anyhow::Result<CommandResult> {
    Ok(CommandResult::data(match &args.mail {
        Some(to) => html::mail(document, to)?,
        None => html::html(document)?,
    }))
}

/// Writes a page for each group, and their index. Returns the worst exit code.
fn write_each(
    args: &PageArgs,
    by: &str,
    pages: Vec<PageReports>,
    context: &PageContext<'_>,
) -> anyhow::Result<CommandResult> {
    let folder = args.output.output.as_deref().context("--each requires -o DIR")?;
    create_folder(folder)?;
    let write = |name: &str, text: &str| write_text(&folder.join(name), text);
    let mut entries = Vec::with_capacity(pages.len());
    let mut worst = bouncewatch_analyze::check::level::AlertLevel::Ok;
    let mut as_of = String::new();
    for page in pages {
        worst = worst.max(page.check.status);
        as_of.clone_from(&page.check.as_of);
        let value = page.each.as_ref().and_then(|(_, value)| value.clone());
        let document = context.document(page)?;
        let (entry, page) = html::IndexEntry::with_page(value, &document)?;
        write(&entry.file, &page)?;
        entries.push(entry);
    }
    write("index.html", &html::index(by, &as_of, &mut entries)?)?;
    let note = format!("note: {} pages and index.html written", entries.len());
    Ok(CommandResult {
        exit_code: worst.exit_code(),
        notes: vec![note],
        ..CommandResult::default()
    })
}

fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    write_file(path, |out| out.write_all(text.as_bytes()))
        .with_context(|| format!("could not write to `{}`", path.display()))
}

fn create_folder(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("could not create the folder `{}`", folder.display()))
}
