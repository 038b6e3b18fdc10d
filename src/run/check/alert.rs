//! Sends the alerts of a check: channels, and the order of saving state and sending.
//!
//! The state is saved before anything is sent, and updated after each message: a run that is killed repeats one message
//! at most, and loses none.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bouncewatch_analyze::alert::evaluation::{Evaluation, evaluate};
use bouncewatch_analyze::alert::notification::{
    Notification, drop_cleared, mark_delivered, pending_notifications,
};
use bouncewatch_analyze::alert::state::AlertState;
use bouncewatch_analyze::alert::state_file::StateFile;
use bouncewatch_analyze::alert::state_location::StateLocation;
use bouncewatch_analyze::alert::transition::{next_state, without_run_ahead};
use bouncewatch_analyze::alert::{AlertPolicy, AlertScope, Message, MessageContext, messages};
use bouncewatch_analyze::check::CheckReport;
use bouncewatch_analyze::timeline::Window;
use bouncewatch_analyze::timeline::{Dimension, Grouping};
use bouncewatch_schemas::shell::shell_word;
use bouncewatch_schemas::time::{format_ms, parse_duration_ms};

use crate::cli::CheckArgs;
use crate::config::{AlertSettings, Config};
use crate::run::check::channel::{Channel, SendOptions, channels, run_channels};
use crate::run::command_result::{AfterOutput, CommandResult};
use crate::run::store_access::store_location;

/// Channels and settings of the alerts of one run.
#[derive(Debug)]
pub(super) struct AlertRun {
    channels: Vec<Channel>,
    state: StateLocation,
    policy: AlertPolicy,
    scope: AlertScope,
    at: i64,
    /// Whether `at` is the time of the clock, not a time that was given.
    at_is_now: bool,
    /// When the run started.
    started: Instant,
    options: SendOptions,
    /// Arguments that name the store, for commands in messages.
    arguments: String,
    /// Address of the page, part of each message.
    page: Option<String>,
    dry_run: bool,
    /// Text that is part of every message.
    problem: Option<String>,
}

/// Alert state during a run.
struct OpenState {
    /// `None` if the state cannot be saved. Alerts are still sent, again in each run.
    file: Option<StateFile>,
    state: AlertState,
    notes: Vec<String>,
    /// Why the state cannot be saved; part of every message.
    warning: Option<String>,
    /// Whether another run took over the lease of the state. It sends the alerts.
    is_taken_over: bool,
}

impl OpenState {
    /// Saves the state.
    fn save(&mut self) {
        let Some(file) = &self.file else { return };
        match file.write(&self.state) {
            Ok(()) => {}
            Err(error) if error.is_other_run() => self.give_up(),
            Err(error) => {
                self.fail(&error.to_string());
                self.file = None;
            }
        }
    }

    /// Whether this run sends the next message. False if another run may have the lease of the state.
    fn may_send(&mut self) -> bool {
        if self.file.as_ref().is_some_and(|file| !file.is_locked()) {
            self.give_up();
        }
        !self.is_taken_over
    }

    /// Leaves the alerts that were not sent to the run that took over.
    fn give_up(&mut self) {
        if !self.is_taken_over {
            self.is_taken_over = true;
            self.notes.push(
                "error: the lease of the alert state was lost: this run could not renew it in time, and sends no more alerts; the next run sends them"
                    .to_owned(),
            );
        }
    }

    fn fail(&mut self, why: &str) {
        self.notes.push(format!("error: {why}"));
        self.warning.get_or_insert_with(|| {
            format!(
                "This message repeats with each run, because the alert state cannot be saved: {why}"
            )
        });
    }
}

/// Parses a duration in a section of the settings.
pub(super) fn duration(section: &str, name: &str, text: &str) -> anyhow::Result<i64> {
    parse_duration_ms(text).with_context(|| {
        format!(
            "`{name}` in [{section}] of the settings: invalid duration `{text}`\n  hint: write 0s, 90s, 30m or 24h"
        )
    })
}

/// Returns when alerts clear and repeat.
fn policy(settings: &AlertSettings) -> anyhow::Result<AlertPolicy> {
    let renotify = duration("alert", "renotify_after", &settings.renotify_after)?;
    Ok(AlertPolicy {
        clear_after_ms: duration("alert", "clear_after", &settings.clear_after)?,
        clear_below: settings.clear_below,
        renotify_after_ms: (renotify > 0).then_some(renotify),
    })
}

pub(super) fn exec_timeout(settings: &AlertSettings) -> anyhow::Result<Duration> {
    let timeout = duration("alert", "exec_timeout", &settings.exec_timeout)?;
    Ok(Duration::from_millis(timeout.unsigned_abs()))
}

/// Returns where the alert state is: what is given, or `alerts.json` in the store.
///
/// # Errors
/// If a bucket without a key is given.
pub(in crate::run) fn state_location(
    state: Option<&Path>,
    store: &str,
    endpoint_url: Option<&str>,
) -> anyhow::Result<StateLocation> {
    match state {
        Some(state) => given_location(state, endpoint_url),
        None => Ok(StateLocation::in_store(store, endpoint_url)),
    }
}

fn given_location(state: &Path, endpoint_url: Option<&str>) -> anyhow::Result<StateLocation> {
    StateLocation::parse(state, endpoint_url).with_context(|| {
        format!(
            "no key in the location of the alert state: `{}`\n  hint: write s3://BUCKET/PREFIX/alerts.json",
            state.display()
        )
    })
}

/// Returns where the alert state of a check is.
///
/// # Errors
/// If it is unknown.
pub(super) fn alert_state(args: &CheckArgs, config: &Config) -> anyhow::Result<StateLocation> {
    let state = args.alert.alert_state.as_deref().or(config.alert.state.as_deref());
    let endpoint_url = args.aws.endpoint_url.as_deref();
    match (state, &args.counts, store_location(&args.store, config)) {
        // counts need no store
        (Some(state), Some(_), _) => given_location(state, endpoint_url),
        (None, Some(_), Err(_)) => anyhow::bail!(
            "no file for the alert state: counts have no store\n  hint: use --alert-state FILE, or set `state` in [alert] of the settings"
        ),
        (state, _, store) => state_location(state, &store?, endpoint_url),
    }
}

/// Converts the settings of alerts as a run does.
///
/// # Errors
/// If one is invalid.
pub(super) fn check_settings(config: &Config) -> anyhow::Result<()> {
    let settings = &config.alert;
    policy(settings)?;
    exec_timeout(settings)?;
    let channels = channels(settings.sns.as_deref(), settings.exec.as_deref(), settings)?;
    if let Some(problem) = channels.iter().find_map(Channel::problem) {
        anyhow::bail!("{problem}");
    }
    if let (false, Some(store)) = (channels.is_empty(), &config.store) {
        state_location(settings.state.as_deref(), store, None)?;
    }
    Ok(())
}

/// Returns the arguments with which another command analyses the same store.
fn command_arguments(store: Option<&str>, config: Option<&Path>) -> String {
    let config = config.map(|path| path.display().to_string());
    let given = [("--store", store), ("--config", config.as_deref())];
    given
        .iter()
        .filter_map(|(name, value)| Some(format!(" {name} {}", shell_word((*value)?))))
        .collect()
}

/// Returns the windows and groupings that a run evaluates.
pub(super) fn scope(windows: &[Window], groupings: &[Grouping]) -> AlertScope {
    let names = |grouping: &Grouping| grouping.0.iter().map(Dimension::name).collect();
    AlertScope {
        windows: windows.iter().map(ToString::to_string).collect(),
        groupings: [Grouping::account()].iter().chain(groupings).map(names).collect(),
    }
}

impl AlertRun {
    /// Combines arguments and settings; `None` if no channel is set.
    ///
    /// # Errors
    /// If a duration is invalid, or the location of the alert state is unknown.
    pub(super) fn new(
        args: &CheckArgs,
        config: &Config,
        at: i64,
        scope: AlertScope,
    ) -> anyhow::Result<Option<Self>> {
        let (arguments, settings) = (&args.alert, &config.alert);
        let policy = policy(settings)?;
        let exec_timeout = exec_timeout(settings)?;
        if arguments.no_alert {
            return Ok(None);
        }
        let channels = run_channels(arguments, settings)?;
        if channels.is_empty() {
            return Ok(None);
        }
        let state = alert_state(args, config)?;
        Ok(Some(Self {
            channels,
            state,
            policy,
            scope,
            at,
            at_is_now: args.as_of.at.is_none(),
            started: Instant::now(),
            options: SendOptions { at, exec_timeout, endpoint_url: args.aws.endpoint_url.clone() },
            arguments: command_arguments(args.store.store.as_deref(), config.file.as_deref()),
            page: config.page.url.clone(),
            dry_run: arguments.dry_run,
            problem: None,
        }))
    }

    /// The same channels for a run that evaluates the account alone: other alerts do not change. Each message contains
    /// the `problem`.
    pub(super) fn of_account(self, scope: AlertScope, problem: String) -> Self {
        Self { scope, problem: Some(problem), ..self }
    }

    /// Text at the end of each message: why groups are missing, and why the state cannot be saved.
    fn problems(&self, warning: Option<&str>) -> Option<String> {
        let problems: Vec<&str> = self.problem.as_deref().into_iter().chain(warning).collect();
        (!problems.is_empty()).then(|| problems.join("\n"))
    }

    /// Sends new alerts, and adds errors to the result. Notes stay only if a message is due: they explain it. In other
    /// runs they would repeat every few minutes, and cron mails them.
    ///
    /// # Errors
    /// If a message cannot be written as JSON.
    pub(super) fn send(
        self,
        check: &CheckReport,
        mut result: CommandResult,
    ) -> anyhow::Result<CommandResult> {
        let run = evaluate(check, self.at, &self.scope, &self.policy);
        if self.dry_run {
            return self.print_dry_run(check, &run, result);
        }
        let (errors, explanations): (Vec<_>, Vec<_>) = std::mem::take(&mut result.notes)
            .into_iter()
            .partition(|note| note.starts_with("error"));
        let mut open = OpenState {
            file: None,
            state: AlertState::default(),
            notes: errors,
            warning: None,
            is_taken_over: false,
        };
        let mut waited = false;
        match StateFile::open(&self.state) {
            Ok((file, state)) => {
                waited = file.waited;
                (open.file, open.state) = (Some(file), state);
            }
            Err(error) if error.is_other_run() => {
                result.notes.append(&mut open.notes);
                result.notes.push(format!("error: {error}"));
                return Ok(result);
            }
            // repeated alerts are better than lost alerts
            Err(error) => open.fail(&error.to_string()),
        }
        open.notes.extend(self.drop_run_ahead(&mut open.state, &run));
        match next_state(&open.state, &run, &self.policy) {
            Ok(state) => open.state = state,
            Err(earlier) => {
                result.notes.append(&mut open.notes);
                result.notes.push(self.not_newest(earlier.last, waited));
                return Ok(result);
            }
        }
        open.save();
        let mut printed = None;
        for channel in &self.channels {
            if let Some(problem) = channel.problem() {
                open.notes.push(format!("error: {problem}"));
                continue;
            }
            let notifications =
                pending_notifications(&open.state, &channel.name(), &run, &self.policy);
            if result.notes.is_empty() && !notifications.is_empty() {
                result.notes.clone_from(&explanations);
            }
            let problems = self.problems(open.warning.as_deref());
            let messages = messages(check, &notifications, self.context(problems.as_deref()))?;
            if matches!(channel, Channel::Stdout) {
                result.data = text(&messages).into_bytes();
                printed = Some(notifications);
            } else {
                self.send_all(channel, &messages, &mut open);
            }
        }
        result.notes.append(&mut open.notes);
        if let Some(notifications) = printed {
            // delivered only after it was printed
            result.after = AfterOutput::new(move || self.finish(open, &notifications));
            return Ok(result);
        }
        drop_cleared(&mut open.state, &self.names());
        open.save();
        result.notes.append(&mut open.notes);
        Ok(result)
    }

    fn context<'a>(&'a self, problem: Option<&'a str>) -> MessageContext<'a> {
        let page = self.page.as_deref();
        MessageContext { arguments: &self.arguments, problem, page }
    }

    fn names(&self) -> Vec<String> {
        self.channels.iter().map(Channel::name).collect()
    }

    fn finish(self, mut open: OpenState, printed: &[Notification]) -> anyhow::Result<()> {
        mark_delivered(&mut open.state, &Channel::Stdout.name(), printed, self.at);
        drop_cleared(&mut open.state, &self.names());
        match &open.file {
            Some(file) => Ok(file.write(&open.state)?),
            // the reason is in the notes
            None => Ok(()),
        }
    }

    /// Sends messages until one fails. Messages that were not sent stay pending.
    fn send_all(
        &self,
        channel: &Channel,
        messages: &[(Message, Vec<Notification>)],
        open: &mut OpenState,
    ) {
        for (message, notifications) in messages {
            if !open.may_send() {
                return;
            }
            if let Err(error) = channel.send(message, &self.options) {
                let note = format!("error: {error:#}\n  the next run sends the message again");
                open.notes.push(note);
                return;
            }
            mark_delivered(&mut open.state, &channel.name(), notifications, self.at);
            open.save();
        }
    }

    /// Starts the state of the service afresh if its last run was ahead of the clock. Returns a note.
    fn drop_run_ahead(&self, state: &mut AlertState, run: &Evaluation) -> Option<String> {
        let service = run.service.as_str();
        let (afresh, last) =
            self.at_is_now.then(|| without_run_ahead(state, service, self.at)).flatten()?;
        *state = afresh;
        Some(format!(
            "error: the last run in the alert state `{}` is in the future, {}: a clock was ahead; the state starts afresh, active alerts are sent again\n  hint: check the clocks of the machines that run `bouncewatch check`",
            self.state,
            format_ms(last)
        ))
    }

    /// Returns why a run sends nothing if the state is of a later time.
    fn not_newest(&self, last: i64, waited: bool) -> String {
        let (at, last_text) = (format_ms(self.at), format_ms(last));
        let elapsed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        let is_concurrent = self.at_is_now && last <= self.at.saturating_add(elapsed);
        if waited || is_concurrent {
            return format!("note: no alerts sent: a concurrent run, as of {last_text}, sent them");
        }
        let hint = if self.at_is_now {
            "a clock was ahead or was set back; alerts are sent again from that time on, after an hour at most"
        } else {
            "to check a past time, add --no-alert, or use another file with --alert-state"
        };
        format!(
            "error: no alerts sent: {at} is before the last run in the alert state `{}`, {last_text}\n  hint: {hint}",
            self.state
        )
    }

    /// Prints the messages that would be sent.
    fn print_dry_run(
        &self,
        check: &CheckReport,
        run: &Evaluation,
        mut result: CommandResult,
    ) -> anyhow::Result<CommandResult> {
        let mut state = match StateFile::read_unlocked(&self.state) {
            Ok(state) => state,
            Err(error) => {
                result.notes.push(format!("error: {error}"));
                AlertState::default()
            }
        };
        result.notes.extend(self.drop_run_ahead(&mut state, run));
        let state = next_state(&state, run, &self.policy);
        let Ok(state) =
            state.map_err(|earlier| result.notes.push(self.not_newest(earlier.last, false)))
        else {
            return Ok(result);
        };
        let mut texts = Vec::new();
        for channel in &self.channels {
            result.notes.extend(channel.problem().map(|problem| format!("error: {problem}")));
            let name = channel.name();
            let messages = messages(
                check,
                &pending_notifications(&state, &name, run, &self.policy),
                self.context(self.problem.as_deref()),
            )?;
            let text =
                if messages.is_empty() { "no new alerts\n".to_owned() } else { text(&messages) };
            texts.push(format!("would send to {name}:\n{text}\n"));
        }
        Ok(CommandResult { data: texts.concat().into_bytes(), ..result })
    }
}

/// Returns subjects and texts of messages.
fn text(messages: &[(Message, Vec<Notification>)]) -> String {
    let each =
        messages.iter().map(|(message, _)| format!("{}\n\n{}", message.subject, message.text));
    each.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_arguments_name_store_and_settings_and_are_quoted() {
        for (store, config, expected) in [
            (None, None, ""),
            (Some("/var/lib/b"), None, " --store /var/lib/b"),
            (Some("s3://b/p"), Some("/etc/b.toml"), " --store s3://b/p --config /etc/b.toml"),
            (Some("it's here"), None, r" --store 'it'\''s here'"),
            (Some("$(id)"), None, " --store '$(id)'"),
        ] {
            assert_eq!(command_arguments(store, config.map(Path::new)), expected);
        }
    }
}
