//! `check --brake`: pauses sending while a rate is critical.

mod ses_switch;

use anyhow::{Context, bail, ensure};
use bouncewatch_analyze::alert::state_file::StateFile;
use bouncewatch_analyze::alert::state_location::StateLocation;
use bouncewatch_analyze::brake::report::{BrakeReport, cause_text};
use bouncewatch_analyze::brake::rule::{BrakeRule, BrakeTarget};
use bouncewatch_analyze::brake::run::{BrakeOutcome, BrakeRun, SendingSwitch};
use bouncewatch_analyze::brake::state::{BrakeCause, BrakePhase};
use bouncewatch_analyze::check::CheckReport;
use bouncewatch_analyze::timeline::{Dimension, Grouping, Window, WindowSpan};

use self::ses_switch::SesSwitch;
use super::alert::{alert_state, duration};
use crate::cli::CheckArgs;
use crate::config::{BrakeSettings, Config};

/// The brake of a run.
#[derive(Debug)]
pub(super) struct Brake {
    rule: BrakeRule,
    switch: SesSwitch,
    state: StateLocation,
    is_dry_run: bool,
    at: i64,
}

/// Returns the target of the settings.
fn target(settings: &BrakeSettings) -> anyhow::Result<BrakeTarget> {
    let Some(text) = &settings.target else {
        bail!(
            "[brake] of the settings: no target\n  hint: set target = \"configuration_set:NAME\""
        );
    };
    text.parse().map_err(|hint| {
        anyhow::anyhow!("[brake] of the settings: invalid target `{text}`\n  hint: {hint}")
    })
}

/// Returns the rule of the settings, without account and region.
fn rule(settings: &BrakeSettings, target: BrakeTarget) -> anyhow::Result<BrakeRule> {
    let duration = |name: &str, text: &str| duration("brake", name, text);
    let release_after = duration("release_after", &settings.release_after)?;
    Ok(BrakeRule {
        target,
        account: String::new(),
        region: String::new(),
        window: settings.window.clone(),
        minimum_attempts: settings.minimum_attempts,
        minimum_bounces: settings.minimum_bounces,
        minimum_complaints: settings.minimum_complaints,
        confirm_after_ms: duration("confirm_after", &settings.confirm_after)?,
        cool_down_ms: duration("cool_down", &settings.cool_down)?,
        release_after_ms: (release_after > 0).then_some(release_after),
    })
}

/// Checks that the run computes the rate that decides.
fn check_rate(rule: &BrakeRule, windows: &[Window], groupings: &[Grouping]) -> anyhow::Result<()> {
    let window = windows.iter().find(|window| window.to_string() == rule.window);
    let is_duration = window.is_some_and(|window| matches!(window.span(), WindowSpan::Millis(_)));
    ensure!(
        is_duration,
        "[brake] of the settings: `{}` is not a window of time of this check\n  hint: add it to `windows`, or use --window",
        rule.window
    );
    if let Some((dimension, _)) = rule.target.dimension() {
        let has_dimension = |grouping: &Grouping| {
            let added = grouping.0.get(Grouping::account().0.len()..);
            added.is_some_and(|added| matches!(added, [one] if Dimension::name(one) == dimension))
        };
        ensure!(
            groupings.iter().any(has_dimension),
            "[brake] of the settings: this check has no rate of {}\n  hint: add \"{dimension}\" to `by`, or use --by",
            rule.target
        );
    }
    Ok(())
}

/// Checks the settings of the brake, if it has a target.
///
/// # Errors
/// If one is invalid.
pub(super) fn check_settings(
    config: &Config,
    windows: &[Window],
    groupings: &[Grouping],
) -> anyhow::Result<()> {
    if config.brake.target.is_none() {
        return Ok(());
    }
    let rule = rule(&config.brake, target(&config.brake)?)?;
    check_rate(&rule, windows, groupings)
}

impl Brake {
    /// Combines arguments and settings, and finds out the account of the credentials; `None` without `--brake`.
    ///
    /// # Errors
    /// If a setting is invalid, the check is about another time, or there are no credentials.
    pub(super) fn new(
        args: &CheckArgs,
        config: &Config,
        windows: &[Window],
        groupings: &[Grouping],
        at: i64,
    ) -> anyhow::Result<Option<Self>> {
        if !args.brake.brake {
            return Ok(None);
        }
        ensure!(
            args.as_of.at.is_none(),
            "--brake: a check of a past time pauses nothing\n  hint: omit --at"
        );
        let target = target(&config.brake)?;
        ensure!(
            target != BrakeTarget::Account || args.brake.brake_account,
            "[brake] of the settings: the target is the whole account\n  hint: add --brake-account; mail such as password resets stops too"
        );
        let mut rule = rule(&config.brake, target)?;
        check_rate(&rule, windows, groupings)?;
        let state = alert_state(args, config)?;
        let endpoint_url = args.aws.endpoint_url.as_deref();
        let switch;
        (switch, rule.account, rule.region) =
            SesSwitch::new(rule.target.clone(), endpoint_url).context("the brake")?;
        Ok(Some(Self { rule, switch, state, is_dry_run: args.alert.dry_run, at }))
    }

    /// Pauses sending if the check demands it, and adds its report to the check.
    pub(super) fn run(mut self, check: &mut CheckReport, notes: &mut Vec<String>) {
        let demand = self.rule.demand(check);
        if self.is_dry_run {
            notes.push(self.dry_run(demand.as_ref().map(cause_text)));
            return;
        }
        let why = demand.as_ref().err().map(|why| (*why).to_owned());
        let (phase, error) = self.run_saved(demand.ok().as_ref());
        if let Some(error) = &error {
            notes.push(format!("error: the brake: {error}"));
        }
        let (scope, release_command) =
            (self.rule.scope(), self.switch.release_command(&self.rule.region));
        let failed = error.is_some();
        let why = error.or(why);
        check.brake = Some(BrakeReport { scope, phase, why, failed, release_command });
    }

    /// Runs the brake with the state file locked. Returns the phase, and what failed.
    fn run_saved(&mut self, demand: Option<&BrakeCause>) -> BrakeOutcome {
        let (file, mut state) = match StateFile::open(&self.state) {
            Ok(open) => open,
            // without its state, the brake could pause sending that the operator allowed again
            Err(error) => return (BrakePhase::default(), Some(error.to_string())),
        };
        let key = self.rule.scope().to_string();
        let before = state.brake.get(&key).cloned().unwrap_or_default();
        let mut save = |phase: &BrakePhase| {
            state.brake.insert(key.clone(), phase.clone());
            file.write(&state).map_err(|error| error.to_string())
        };
        let (rule, now) = (&self.rule, self.at);
        let run = BrakeRun { rule, demand, switch: &mut self.switch, save: &mut save, now };
        let (phase, error) = run.run(before.clone());
        let saved = if phase == before { Ok(()) } else { save(&phase) };
        (phase, error.or(saved.err()))
    }

    /// What the brake would do.
    fn dry_run(&mut self, demand: Result<String, &&str>) -> String {
        let call = self.switch.pause_call();
        let status = match self.switch.read() {
            Ok(state) if state.is_allowed => "it may send now".to_owned(),
            Ok(_) => "it is paused now".to_owned(),
            Err(error) => return format!("error: the brake: {error}"),
        };
        match demand {
            Ok(cause) => format!(
                "note: dry run of the brake: {cause}; if the next check agrees, it would call {call} ({status})"
            ),
            Err(why) => format!(
                "note: dry run of the brake: no pause, {why}; the call would be {call} ({status})"
            ),
        }
    }
}
