//! `bouncewatch check`

pub(super) mod alert;
#[cfg(feature = "doctor")]
mod brake;
mod channel;
mod counts;
mod notes;
mod test_alert;

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use bouncewatch_analyze::check::thresholds::{Limits, ThresholdRule, ThresholdRules, Thresholds};
use bouncewatch_analyze::check::{CheckReport, CheckRequest, check};
use bouncewatch_analyze::counts::{Counts, CountsContext, check_counts};
use bouncewatch_analyze::incidents::IncidentSearch;
use bouncewatch_analyze::report::trend::Trends;
use bouncewatch_analyze::report::{nagios, prometheus, table};
use bouncewatch_analyze::timeline::{Grouping, Window};
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::text_layout::TextLayout;
use bouncewatch_store::StoreFiles;

use self::alert::AlertRun;
use self::counts::{above_attempts, read_counts};
use super::arguments::{
    basis, contributors, counted_from, groupings, mass_guard, own_domains, positive_duration_ms,
    service, windows,
};
use super::command_result::CommandResult;
use super::store_access::store_files;
use super::times::time_ms;
use crate::cli::{CheckArgs, CheckFormat};
use crate::config::{Config, RateThresholds};

/// Width from which the table of a check has a column with the rates of the last 14 days.
const TREND_WIDTH: usize = 140;
/// Maximum number of verdicts of a table with that column.
const TREND_VERDICTS_MAX: usize = 400;

pub(super) fn run(
    args: &CheckArgs,
    config: &Config,
    now: i64,
    layout: TextLayout,
) -> anyhow::Result<CommandResult> {
    if args.alert.test_alert {
        return test_alert::send_test(args, config, now);
    }
    let input = CheckInput::new(args, config, now)?;
    let (at, counts) = (input.at, input.counts.as_ref());
    // report wrong alert settings before a store in S3 is fetched
    let alerts = AlertRun::new(args, config, at, alert::scope(&input.windows, &input.groupings))?;
    #[cfg(feature = "doctor")]
    let brake = brake::Brake::new(args, config, &input.windows, &input.groupings, at)?;
    // two formats print no contributors; they take most of the time if many groups are above a threshold
    let has_contributors = matches!(args.format, CheckFormat::Table | CheckFormat::Json);
    let request = check_request(args, config, &input, has_contributors || alerts.is_some())?;
    #[cfg_attr(not(feature = "doctor"), expect(unused_mut, reason = "the brake changes it"))]
    let DeadlineOutcome { mut report, problem } = match counts {
        Some(counts) => DeadlineOutcome { report: check_counts(&request, counts), problem: None },
        None => check_in_time(&request, &args.deadline)?,
    };
    let mut notes: Vec<String> = counts.and_then(above_attempts).into_iter().collect();
    #[cfg(feature = "doctor")]
    if let Some(brake) = brake {
        match &problem {
            None => brake.run(&mut report, &mut notes),
            Some(_) => {
                notes.push("error: the brake did not run: groups were not evaluated".to_owned());
            }
        }
    }
    let result = match args.format {
        CheckFormat::Table => {
            let trends = match counts {
                Some(_) => Trends::default(),
                None => trends(&request, &report, layout),
            };
            CommandResult::data(table::check(&report, &trends, layout))
        }
        CheckFormat::Json => CommandResult::json(&report)?,
        CheckFormat::Nagios => CommandResult::data(nagios::check(&report)),
        CheckFormat::Prometheus => CommandResult::data(prometheus::check(&report, request.at)),
    };
    notes.extend(notes::notes(&report, request.counted_from));
    notes.extend(problem.as_ref().map(|problem| format!("error: {problem}")));
    if args.format == CheckFormat::Table {
        notes.extend(notes::table_notes(&report));
    }
    notes.extend(unused_rules(&request.rules, &request.groupings));
    let result = CommandResult { notes, exit_code: report.exit_code, ..result };
    // the exit code is that of the rates, whether or not alerts can be sent
    match alerts {
        Some(alerts) => match problem {
            None => alerts.send(&report, result),
            Some(problem) => {
                let account = alert::scope(&request.windows, &[]);
                alerts.of_account(account, problem).send(&report, result)
            }
        },
        None => Ok(result),
    }
}

/// What a check evaluates: counts of another engine, or a store if there are none.
struct CheckInput {
    service: Service,
    at: i64,
    counted_from: Option<i64>,
    counts: Option<Counts>,
    windows: Vec<Window>,
    groupings: Vec<Grouping>,
}

impl CheckInput {
    fn new(args: &CheckArgs, config: &Config, now: i64) -> anyhow::Result<Self> {
        let service = service(args.service.service);
        let at = time_ms("--at", args.as_of.at.as_deref())?.unwrap_or(now);
        let counted_from = counted_from(args.counted_from.counted_from.as_deref(), config)?;
        let context = CountsContext { service, at, counted_from };
        let counts = args.counts.as_deref().map(|path| read_counts(path, context)).transpose()?;
        let (windows, groupings) = match &counts {
            Some(counts) => (counts.windows(), counts.groupings()),
            None => (
                windows(&args.window.window, &config.windows)?,
                groupings(&args.grouping.by, &config.by)?,
            ),
        };
        Ok(Self { service, at, counted_from, counts, windows, groupings })
    }
}

fn check_request(
    args: &CheckArgs,
    config: &Config,
    input: &CheckInput,
    has_contributors: bool,
) -> anyhow::Result<CheckRequest> {
    Ok(CheckRequest {
        store: match &input.counts {
            Some(_) => StoreFiles::Folder(PathBuf::new()),
            None => store_files(&args.store, &args.aws, &args.cache, config)?,
        },
        service: input.service,
        at: input.at,
        windows: input.windows.clone(),
        basis: basis(args.basis.basis),
        groupings: input.groupings.clone(),
        counted_from: input.counted_from,
        contributors: if has_contributors { contributors(config)? } else { Vec::new() },
        own_domains: own_domains(config, &args.own_domains.own_domain)?,
        bounce: thresholds(config.bounce),
        complaint: thresholds(config.complaint),
        minimum_volume: args.minimum_volume.unwrap_or(config.minimum_volume),
        rules: threshold_rules(args.minimum_volume, config)?,
        stale_after: stale_after(args.stale_after.as_deref(), config)?,
        incidents: match input.counts {
            Some(_) => None,
            None => incident_search(input.service, config)?,
        },
    })
}

/// Converts the settings of checks and analyses as the commands do.
///
/// # Errors
/// Of each section that is invalid. Notes on rules without effect are added to `notes`.
pub(super) fn check_settings(config: &Config, notes: &mut Vec<String>) -> Vec<anyhow::Error> {
    let (windows, groupings) = (windows(&[], &config.windows), groupings(&[], &config.by));
    let rules = threshold_rules(None, config);
    if let (Ok(groupings), Ok(rules)) = (&groupings, &rules) {
        notes.extend(unused_rules(rules, groupings));
    }
    #[cfg(feature = "doctor")]
    let brake = match (&windows, &groupings) {
        (Ok(windows), Ok(groupings)) => brake::check_settings(config, windows, groupings),
        _ => Ok(()),
    };
    let results = [
        #[cfg(feature = "doctor")]
        brake,
        windows.map(drop),
        groupings.map(drop),
        own_domains(config, &[]).map(drop),
        counted_from(None, config).map(drop),
        contributors(config).map(drop),
        stale_after(None, config).map(drop),
        rules.map(drop),
        alert::check_settings(config),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

fn unused_rules(rules: &ThresholdRules, groupings: &[Grouping]) -> Vec<String> {
    let note = |rule: String| {
        format!(
            "note: [[threshold]] for {rule} has no effect, because no grouping contains its dimensions\n  hint: add a grouping to `by` in the settings, or use --by"
        )
    };
    rules.unused(groupings).into_iter().map(note).collect()
}

pub(super) fn stale_after(argument: Option<&str>, config: &Config) -> anyhow::Result<i64> {
    match argument {
        Some(argument) => positive_duration_ms("--stale-after", argument),
        None => positive_duration_ms("`stale_after` in the settings", &config.stale_after),
    }
}

/// Returns the rates of the last 14 days for a terminal that is wide enough; they cost a second scan.
fn trends(request: &CheckRequest, report: &CheckReport, layout: TextLayout) -> Trends {
    let is_shown = layout.has_blocks
        && layout.width.is_some_and(|width| width >= TREND_WIDTH)
        && report.verdicts.len() <= TREND_VERDICTS_MAX;
    // trends are optional: without them, the check is complete
    if is_shown { Trends::load(request).unwrap_or_default() } else { Trends::default() }
}

/// Returns the search for provider incidents; `WorkMail` has none.
pub(super) fn incident_search(
    service: Service,
    config: &Config,
) -> anyhow::Result<Option<IncidentSearch>> {
    Ok(match service {
        Service::Ses => Some(IncidentSearch {
            classifier: config.classifier()?,
            mass_guard: mass_guard(None, config),
        }),
        Service::WorkMail => None,
    })
}

/// Result of a check with a deadline.
struct DeadlineOutcome {
    report: CheckReport,
    /// Why the report has no groups, if they were not computed in time.
    problem: Option<String>,
}

/// Runs a check. If it takes longer than `deadline`, runs one of the account alone, so that its alerts are sent.
fn check_in_time(request: &CheckRequest, deadline: &str) -> anyhow::Result<DeadlineOutcome> {
    let deadline_ms = positive_duration_ms("--deadline", deadline)?;
    if request.groupings.is_empty() {
        return Ok(DeadlineOutcome { report: check(request)?, problem: None });
    }
    let (sender, receiver) = mpsc::channel();
    let all = request.clone();
    // not joined: after the deadline, the end of the process ends it
    std::thread::spawn(move || _ = sender.send(check(&all)));
    match receiver.recv_timeout(Duration::from_millis(deadline_ms.unsigned_abs())) {
        Ok(report) => Ok(DeadlineOutcome { report: report?, problem: None }),
        Err(mpsc::RecvTimeoutError::Disconnected) => anyhow::bail!("the check ended unexpectedly"),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let account = CheckRequest { groupings: Vec::new(), ..request.clone() };
            let problem = format!(
                "groups were not evaluated: their rates were not computed within {deadline}; these are the rates of the account\n  \
                 hint: use fewer groupings, compact the store, or raise --deadline"
            );
            Ok(DeadlineOutcome { report: check(&account)?.incomplete(), problem: Some(problem) })
        }
    }
}

pub(super) fn thresholds(thresholds: RateThresholds) -> Thresholds {
    Thresholds {
        warning: thresholds.warning,
        critical: thresholds.critical,
        minimum_count: thresholds.minimum_count,
    }
}

/// Returns the thresholds of single scopes. Values that a rule omits are those of all scopes.
pub(super) fn threshold_rules(
    minimum_volume: Option<u64>,
    config: &Config,
) -> anyhow::Result<ThresholdRules> {
    let minimum_volume = minimum_volume.unwrap_or(config.minimum_volume);
    let rules = config.threshold.iter().map(|rule| {
        let default =
            if rule.metric == "complaint_rate" { config.complaint } else { config.bounce };
        let limits = Limits {
            thresholds: Thresholds {
                warning: rule.warning,
                critical: rule.critical,
                minimum_count: rule.minimum_count.unwrap_or(default.minimum_count),
            },
            minimum_volume: rule.minimum_volume.unwrap_or(minimum_volume),
        };
        let scope = rule.scope.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Ok(ThresholdRule::new(&rule.metric, scope, limits)?)
    });
    Ok(ThresholdRules::new(rules.collect::<anyhow::Result<_>>()?)?)
}
