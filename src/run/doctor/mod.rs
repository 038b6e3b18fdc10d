//! `bouncewatch doctor`

#[cfg(feature = "analyze")]
mod figures;

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, bail};
use bouncewatch_dns::{FINDING_KINDS, Relay, Resolver, ResolverSettings};
use bouncewatch_doctor::dns_request::{DnsOptions, dns_request};
use bouncewatch_doctor::finding::Check;
use bouncewatch_doctor::gather::{GatherRequest, Progress, gather};
use bouncewatch_doctor::json::FindingsDocument;
use bouncewatch_doctor::judge::{Figures, judge, worst};
use bouncewatch_doctor::snapshot::part::{CallFailure, Part};
use bouncewatch_doctor::snapshot::time::Time;
use bouncewatch_doctor::snapshot::{DnsRecords, Snapshot};
use bouncewatch_doctor::table;
use bouncewatch_schemas::printable::printable;
use bouncewatch_schemas::text_layout::TextLayout;
use bouncewatch_store::aws;

use crate::cli::{AwsArgs, BasicFormat, DoctorArgs, Verbosity};
use crate::config::Config;
use crate::run::command_result::CommandResult;
use crate::run::output_file::write_file;
use crate::run::progress::spinner;
use crate::run::stdin_argument::{argument_or_stdin, file_or_stdin};
use crate::run::store_access::block_on;

/// Name of the failed call if the resolver cannot be set up.
const DNS_ACTION: &str = "DNS";

pub(super) fn run(
    args: &DoctorArgs,
    config: &Config,
    now: i64,
    verbosity: Verbosity,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    for id in &args.skip {
        let is_known = Check::parse(id).is_some() || FINDING_KINDS.iter().any(|kind| kind.id == id);
        if !is_known {
            bail!("--skip: unknown check `{id}`\n  hint: the IDs are in the output of `doctor`");
        }
    }
    let snapshot = match &args.from {
        Some(path) => read(path)?,
        None => block_on(gathered(args, now, verbosity))?,
    };
    if let Some(path) = &args.save {
        let text = snapshot.to_json(args.keep_addresses)?;
        write_file(path, |out| writeln!(out, "{text}"))
            .with_context(|| format!("could not write to `{}`", path.display()))?;
    }
    let mut findings = judge(&snapshot, &figures_or_error(args, config, &snapshot));
    findings.retain(|finding| !args.skip.iter().any(|id| id == finding.id));
    let result = match args.format.format {
        BasicFormat::Table => CommandResult::data(table::render_table(&findings, layout)),
        BasicFormat::Json => CommandResult::json(&FindingsDocument::new(&snapshot, &findings))?,
    };
    Ok(CommandResult { exit_code: worst(&findings).status().exit_code(), ..result })
}

/// Returns the figures of the store. If it cannot be read, AWS and DNS are judged without it.
#[cfg(feature = "analyze")]
fn figures_or_error(args: &DoctorArgs, config: &Config, snapshot: &Snapshot) -> Figures {
    figures::figures(args, config, snapshot).unwrap_or_else(|error| {
        // the hint of the error names options of other commands
        let why = error.root_cause().to_string();
        let store_error = why.lines().next().map(str::to_owned);
        Figures { store_error, ..Figures::default() }
    })
}

#[cfg(not(feature = "analyze"))]
fn figures_or_error(_: &DoctorArgs, _: &Config, _: &Snapshot) -> Figures {
    Figures::default()
}

/// Reads a snapshot.
///
/// # Errors
/// If the file cannot be read, or is no snapshot.
pub(super) fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let text = file_or_stdin(path).and_then(std::io::read_to_string);
    let text = text.with_context(|| format!("could not read `{}`", path.display()))?;
    Snapshot::parse(&text).with_context(|| format!("could not read `{}`", path.display()))
}

/// Reads the account, then the DNS records that it needs.
async fn gathered(args: &DoctorArgs, now: i64, verbosity: Verbosity) -> anyhow::Result<Snapshot> {
    let recipient = args.to.as_deref().map(argument_or_stdin).transpose()?;
    let recipient = recipient.map(|address| address.trim().to_owned());
    let request = GatherRequest {
        queues: args.queue.clone(),
        sets: args.set.clone(),
        identities: args.identity.clone(),
        recipient: recipient.clone(),
        ..GatherRequest::new(Time(now))
    };
    let mut snapshot = gathered_snapshot(&request, &args.aws, verbosity).await?;
    snapshot.dns = if args.no_dns {
        Part::Skipped("--no-dns".to_owned())
    } else {
        let bar = spinner(verbosity);
        bar.set_message("DNS records");
        bar.tick();
        let records = dns_records(args, &snapshot, recipient).await;
        bar.finish_and_clear();
        records
    };
    Ok(snapshot)
}

/// Reads the account, with progress.
pub(super) async fn gathered_snapshot(
    request: &GatherRequest,
    aws: &AwsArgs,
    verbosity: Verbosity,
) -> anyhow::Result<Snapshot> {
    let bar = spinner(verbosity);
    let config = aws::load(None, aws.endpoint_url.as_deref()).await;
    let mut progress = |call: &Progress<'_>| {
        let subject = printable(call.subject);
        bar.set_message(format!("call {}: {} {subject}", call.calls + 1, call.action.as_str()));
        bar.tick();
    };
    let snapshot = gather(&config, request, &mut progress).await?;
    bar.finish_and_clear();
    Ok(snapshot)
}

async fn dns_records(
    args: &DoctorArgs,
    snapshot: &Snapshot,
    recipient: Option<String>,
) -> Part<DnsRecords> {
    let senders: Vec<Option<&String>> =
        if args.sender.is_empty() { vec![None] } else { args.sender.iter().map(Some).collect() };
    let relay = |ip, sender: Option<&String>| Relay { ip, sender: sender.cloned(), helo: None };
    let of_ip = |ip: &IpAddr| senders.iter().map(|sender| relay(*ip, *sender)).collect::<Vec<_>>();
    let options = DnsOptions { relays: args.ip.iter().flat_map(of_ip).collect(), recipient };
    let request = dns_request(snapshot, &options);
    let settings = ResolverSettings { servers: args.dns.clone(), ..ResolverSettings::default() };
    match Resolver::new(&settings) {
        Ok(resolver) => {
            let answers = bouncewatch_dns::gather(&resolver, &request).await;
            Part::Value(DnsRecords { request, answers })
        }
        Err(error) => {
            Part::Error(CallFailure { action: DNS_ACTION.to_owned(), message: error.to_string() })
        }
    }
}
