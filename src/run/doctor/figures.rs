//! Figures of the store on an account and a recipient: rates, counts, last events, suppression.

use anyhow::Context;
use bouncewatch_analyze::check::newest_event;
use bouncewatch_analyze::history::model::HistoryEvent;
use bouncewatch_analyze::history::{HistoryRequest, HistorySubject, history};
use bouncewatch_analyze::report::{RateRow, ReportRequest, report};
use bouncewatch_analyze::timeline::{Basis, Scope};
use bouncewatch_classify::advice;
use bouncewatch_doctor::judge::{Figures, RecipientEvent, RecipientFigures, StoreFigures};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::snapshot::time::Time;
use bouncewatch_schemas::cause::Cause;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, parse_ms};
use bouncewatch_store::StoreFiles;

use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::run::arguments::{counted_from, mass_guard, own_domains};
use crate::run::store_access::store_files;

/// Hours before the snapshot that are compared with the counts of SES.
const HOURS: u32 = 24;
/// Newest events of a recipient.
const EVENTS_MAX: usize = 20;

/// Returns the figures of the store at the time of the snapshot; none without a store.
pub(super) fn figures(
    args: &DoctorArgs,
    config: &Config,
    snapshot: &Snapshot,
) -> anyhow::Result<Figures> {
    if args.store.store.is_none() && config.store.is_none() {
        return Ok(Figures::default());
    }
    let store = store_files(&args.store, &args.aws, &args.cache, config)?;
    let address = snapshot.recipient.value().map(|recipient| recipient.address.as_str());
    let recipient = address.map(|address| recipient_figures(&store, config, address, snapshot));
    Ok(Figures {
        recipient: recipient.transpose()?.flatten(),
        store: Some(store_figures(store, config, snapshot)?),
        ..Figures::default()
    })
}

fn store_figures(
    store: StoreFiles,
    config: &Config,
    snapshot: &Snapshot,
) -> anyhow::Result<StoreFigures> {
    let at = snapshot.taken_at.0;
    let newest = newest_event(&store, Service::Ses, at)?.map(Time);
    let request = ReportRequest {
        store,
        service: Service::Ses,
        from: at - DAY_MS,
        to: at,
        every: DAY_MS,
        windows: vec![format!("{HOURS}h").parse()?],
        basis: Basis::Event,
        counted_from: counted_from(None, config)?,
        groupings: Vec::new(),
        top: None,
        own_domains: own_domains(config, &[])?,
    };
    let mut figures = StoreFigures { hours: HOURS, newest, ..StoreFigures::default() };
    let rows = report(&request)?.rows;
    for row in rows.iter().filter(|row| is_of_snapshot(&row.scope, snapshot)) {
        add(&mut figures, &row);
    }
    Ok(figures)
}

/// Whether a scope is the account and region of a snapshot. An account that is not known is any account.
fn is_of_snapshot(scope: &Scope, snapshot: &Snapshot) -> bool {
    scope.0.iter().all(|(name, value)| match name.as_str() {
        "account" => snapshot.account_id.value().is_none_or(|id| value.as_ref() == Some(id)),
        _ => value.as_ref() == Some(&snapshot.region),
    })
}

fn add(figures: &mut StoreFigures, row: &RateRow) {
    figures.sends += row.sends;
    figures.events += row.sends
        + row.deliveries
        + row.hard
        + row.soft
        + row.undetermined
        + row.suppressed
        + row.auto_replies
        + row.complaints
        + row.delays
        + row.rejects
        + row.rendering_failures;
    figures.bounce_rate = row.bounce_rate;
    figures.complaint_rate = row.complaint_rate;
}

fn recipient_figures(
    store: &StoreFiles,
    config: &Config,
    address: &str,
    snapshot: &Snapshot,
) -> anyhow::Result<Option<RecipientFigures>> {
    let Some(subject) = HistorySubject::parse(address, None) else { return Ok(None) };
    let request = HistoryRequest {
        store: store.clone(),
        subject,
        from: None,
        to: snapshot.taken_at.0,
        mass_guard: mass_guard(None, config),
        top: EVENTS_MAX,
    };
    let classifier = config.classifier()?;
    let history = history(&request, &classifier)?;
    let listed = history.suppressed.iter().chain(&history.on_hold);
    let listed = listed.map(|one| format!("{} since {}", one.reason.as_str(), one.first_at));
    let events = history.events.iter().map(event).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Some(RecipientFigures { events, suppressed: listed.reduce(|all, one| all + ", " + &one) }))
}

fn event(event: &HistoryEvent) -> anyhow::Result<RecipientEvent> {
    let remedy = event.cause.and_then(Cause::parse).map(|cause| advice(cause).remedy.to_owned());
    Ok(RecipientEvent {
        at: Time(parse_ms(&event.at).context("an event has no time")?),
        kind: event.kind.to_owned(),
        cause: event.cause.map(str::to_owned),
        remedy,
        text: event.text.clone(),
    })
}
