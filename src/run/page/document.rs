//! Results of the analyses -> the JSON document of a page.

use std::fmt::Write;

use anyhow::Context;
use bouncewatch_analyze::causes::CausesReport;
use bouncewatch_analyze::check::level::AlertLevel;
use bouncewatch_analyze::check::reconcile::Reconciliation;
use bouncewatch_analyze::check::{CheckReport, Verdict};
use bouncewatch_analyze::page::{GroupTable, PageReports, PageRequest};
use bouncewatch_analyze::report::{RateReport, RateRow};
use bouncewatch_analyze::suppress::SuppressionCounts;
use bouncewatch_analyze::timeline::{Denominator, Scope};
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use super::alerts::{self, AlertsDocument};
use super::doctor::DoctorDocument;
use super::masking::Masking;
use super::store::StoreDocument;
use crate::cli::PageArgs;
use crate::config::Config;
use crate::run::store_access::store_location;

/// What all pages of a run have in common.
pub(super) struct PageContext<'a> {
    settings: SettingsDocument<'a>,
    store: StoreDocument,
    alerts: Option<AlertsDocument>,
    doctor: Option<DoctorDocument>,
    masking: Masking,
    /// Most verdicts of groups below the account.
    top: usize,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    page: &'a SettingsDocument<'a>,
    check: &'a CheckReport,
    report: ReportDocument<'a>,
    groups: &'a [GroupTable],
    causes: Option<CausesDocument<'a>>,
    reconcile: Option<&'a Reconciliation>,
    suppress: Option<&'a SuppressionCounts>,
    alerts: Option<&'a AlertsDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doctor: Option<&'a DoctorDocument>,
    store: &'a StoreDocument,
}

#[derive(Clone, Serialize)]
struct SettingsDocument<'a> {
    title: Option<&'a str>,
    command: String,
    bouncewatch: &'static str,
    store: String,
    service: &'static str,
    counted_from: Option<String>,
    settings: Vec<(&'static str, String)>,
    show_senders: bool,
    each: Option<(String, Option<String>)>,
}

#[derive(Serialize)]
struct ReportDocument<'a> {
    from: &'a str,
    every_seconds: f64,
    rows: Vec<ReportRowDocument>,
}

/// The keys of a row of `report` that the page shows.
#[derive(Serialize)]
struct ReportRowDocument {
    to: String,
    window: String,
    scope: Scope,
    attempts: Option<u64>,
    denominator: Option<Denominator>,
    bounces: u64,
    soft: u64,
    complaints: u64,
    delays: u64,
    bounce_rate: Option<f64>,
    bounce_interval: Option<[f64; 2]>,
    complaint_rate: Option<f64>,
    complaint_interval: Option<[f64; 2]>,
}

#[derive(Serialize)]
struct CausesDocument<'a> {
    #[serde(flatten)]
    causes: &'a CausesReport,
    unknown_bounces: u64,
}

impl<'a> PageContext<'a> {
    pub(super) fn new(
        args: &'a PageArgs,
        config: &Config,
        request: &PageRequest,
        store: StoreDocument,
        doctor: Option<DoctorDocument>,
    ) -> anyhow::Result<Self> {
        let location = store_location(&args.store, config)?;
        let name = location.trim_end_matches('/').rsplit(['/', '\\']).next().unwrap_or_default();
        let masking = Masking { shows_senders: args.show_senders };
        let settings = SettingsDocument {
            title: args.title.as_deref(),
            command: command(args, request),
            bouncewatch: env!("CARGO_PKG_VERSION"),
            store: name.to_owned(),
            service: request.check.service.as_str(),
            counted_from: request.check.counted_from.map(format_ms),
            settings: changed_settings(config)?,
            show_senders: args.show_senders,
            each: None,
        };
        let alerts = alerts::read(args, config, masking)?;
        Ok(Self { settings, store, alerts, doctor, masking, top: request.top })
    }

    /// Returns the document of a page as text.
    pub(super) fn document(&self, mut page: PageReports) -> anyhow::Result<String> {
        self.prepare(&mut page);
        let first = page.first_event_at.map(format_ms);
        let store = StoreDocument {
            rows: page.stored_rows,
            history_from: first.clone(),
            ..self.store.clone()
        };
        let settings = SettingsDocument { each: page.each.clone(), ..self.settings.clone() };
        let unknown_bounces =
            page.causes.as_ref().map_or(0, |of| of.unknown.iter().map(|one| one.count).sum());
        if let Some(causes) = &mut page.causes {
            causes.unknown.clear();
        }
        let document = Document {
            version: bouncewatch_page::VERSION,
            page: &settings,
            check: &page.check,
            report: report(&page.report, first.as_deref(), self.masking),
            groups: &page.groups,
            causes: page.causes.as_ref().map(|causes| CausesDocument { causes, unknown_bounces }),
            reconcile: page.reconcile.as_ref(),
            suppress: page.suppress.as_ref(),
            // the alerts of a group are those of its verdicts; others do not belong to its page
            alerts: self.alerts.as_ref().filter(|_| page.each.is_none()),
            doctor: self.doctor.as_ref().filter(|_| page.each.is_none()),
            store: &store,
        };
        bouncewatch_page::document_text(&document).context("could not write JSON")
    }

    /// Removes addresses, and verdicts that the page does not show.
    fn prepare(&self, page: &mut PageReports) {
        let mut groups = 0;
        let is_base = |verdict: &Verdict| page.each.is_some() || verdict.scope.is_account();
        page.check.verdicts.retain(|verdict| {
            let is_group =
                !is_base(verdict) && verdict.level >= AlertLevel::Warning && groups < self.top;
            groups += usize::from(is_group);
            is_base(verdict) || is_group
        });
        page.check.verdicts.iter_mut().for_each(|verdict| self.masking.verdict(verdict));
        self.masking.sending(&mut page.check.sending);
        for row in page.groups.iter_mut().flat_map(|group| &mut group.rows) {
            self.masking.scope(&mut row.scope);
        }
        page.causes.iter_mut().for_each(|causes| self.masking.causes(causes));
        for one in page.reconcile.iter_mut().flat_map(|of| &mut of.accounts) {
            self.masking.scope(&mut one.scope);
        }
        if let Some((name, value)) = &mut page.each {
            self.masking.value(name, value);
        }
    }
}

/// Returns the rows after the first event.
fn report<'a>(report: &'a RateReport, first: Option<&str>, masking: Masking) -> ReportDocument<'a> {
    let row = |row: RateRow| {
        let mut scope = row.scope;
        masking.scope(&mut scope);
        ReportRowDocument {
            to: row.to,
            window: row.window,
            scope,
            attempts: row.attempts,
            denominator: row.denominator,
            bounces: row.bounces,
            soft: row.soft,
            complaints: row.complaints,
            delays: row.delays,
            bounce_rate: row.bounce_rate,
            bounce_interval: row.bounce_interval,
            complaint_rate: row.complaint_rate,
            complaint_interval: row.complaint_interval,
        }
    };
    let is_after = |row: &RateRow| first.is_some_and(|first| row.to.as_str() >= first);
    ReportDocument {
        from: &report.from,
        every_seconds: report.every_seconds,
        rows: report.rows.iter().filter(is_after).map(row).collect(),
    }
}

/// Returns the command that makes the page, without paths and addresses.
fn command(args: &PageArgs, request: &PageRequest) -> String {
    let mut command =
        format!("bouncewatch page --store STORE --at {}", format_ms(request.check.at));
    // writing to a String cannot fail
    let mut add = |flag: &str, value: &str| _ = write!(command, " {flag} {value}");
    if !args.window.window.is_empty() {
        add("--window", &args.window.window.join(","));
    }
    args.by.iter().for_each(|by| add("--by", by));
    args.each.iter().for_each(|each| add("--each", each));
    if args.top != 50 {
        add("--top", &args.top.to_string());
    }
    args.from.iter().for_each(|from| add("--from", from));
    args.every.iter().for_each(|every| add("--every", every));
    args.counted_from.counted_from.iter().for_each(|from| add("--counted-from", from));
    args.own_domains.own_domain.iter().for_each(|domain| add("--own-domain", domain));
    args.aws_rate.iter().for_each(|rate| add("--aws-rate", rate));
    if request.check.service.as_str() != "ses" {
        add("--service", request.check.service.as_str());
    }
    if request.check.basis.as_str() != "event" {
        add("--basis", request.check.basis.as_str());
    }
    command
}

/// Returns settings of the rates that differ from their defaults.
fn changed_settings(config: &Config) -> anyhow::Result<Vec<(&'static str, String)>> {
    let of = |config: &Config| {
        [
            ("minimum_volume", config.minimum_volume.to_string()),
            ("stale_after", config.stale_after.clone()),
            ("own_domains", config.own_domains.join(" ")),
            ("bounce.warning", config.bounce.warning.to_string()),
            ("bounce.critical", config.bounce.critical.to_string()),
            ("bounce.minimum_count", config.bounce.minimum_count.to_string()),
            ("complaint.warning", config.complaint.warning.to_string()),
            ("complaint.critical", config.complaint.critical.to_string()),
            ("complaint.minimum_count", config.complaint.minimum_count.to_string()),
            ("thresholds of single scopes", config.threshold.len().to_string()),
            ("custom cause rules", config.rule.len().to_string()),
        ]
    };
    let defaults = of(&Config::read(None)?);
    Ok(of(config)
        .into_iter()
        .zip(defaults)
        .filter(|(own, default)| own != default)
        .map(|(own, _)| own)
        .collect())
}
