//! Telling people what is new: which channels there are, and the order of remembering and sending.
//!
//! What a run saw is written before anything is sent, and what was sent right after each message: a run that is killed
//! repeats one message at most, and forgets none.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bouncewatch_analyze::alert::advance::{Notice, advance, due, settle, tell};
use bouncewatch_analyze::alert::file::{StateError, StateFile};
use bouncewatch_analyze::alert::observe::{Run, observe};
use bouncewatch_analyze::alert::state::State;
use bouncewatch_analyze::alert::{Asked, Message, Policy, exec, messages, sns};
use bouncewatch_analyze::check::Check;
use bouncewatch_analyze::timeline::model::{Cut, ScopeWord};
use bouncewatch_analyze::timeline::windows::Window;
use bouncewatch_schemas::time::{format_ms, parse_duration_ms};
use bouncewatch_store::StoreUrl;

use super::super::{After, Answer, block_on, store_word};
use crate::cli::CheckArgs;
use crate::config::Config;

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Channel {
    Sns(String),
    Exec(String),
    Stdout,
}

impl Channel {
    /// Its name in the state. A command that is changed stays the same channel.
    fn name(&self) -> String {
        match self {
            Self::Sns(topic) => format!("sns:{topic}"),
            Self::Exec(_) => "exec".to_owned(),
            Self::Stdout => "stdout".to_owned(),
        }
    }
}

/// Whom a run tells, and by which rules.
#[derive(Debug)]
pub(super) struct Plan {
    channels: Vec<Channel>,
    state: PathBuf,
    policy: Policy,
    asked: Asked,
    at: i64,
    exec_timeout: Duration,
    endpoint_url: Option<String>,
    dry_run: bool,
}

/// How far a run has come.
struct Progress {
    file: Option<StateFile>,
    state: State,
    notes: Vec<String>,
    /// What is wrong with the state, for every message.
    trouble: Option<String>,
}

impl Progress {
    /// Writes what is to be remembered. Where it cannot be, people are told all the same, in each run once more.
    fn write(&mut self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write(&self.state) {
            self.fail(&error.to_string());
            self.file = None;
        }
    }

    fn fail(&mut self, why: &str) {
        self.notes.push(format!("error: {why}"));
        self.trouble.get_or_insert_with(|| {
            format!("This message comes again with each run, since it cannot be remembered that it was sent: {why}")
        });
    }
}

fn duration(name: &str, text: &str) -> anyhow::Result<i64> {
    parse_duration_ms(text).with_context(|| {
        format!(
            "{name} in [alert] of the settings: not a duration: `{text}`; write 0s, 90s, 30m, 24h"
        )
    })
}

/// What a run is asked.
pub(super) fn asked(windows: &[Window], cuts: &[Cut]) -> Asked {
    let names = |cut: &Cut| cut.0.iter().map(ScopeWord::name).collect();
    Asked {
        windows: windows.iter().map(ToString::to_string).collect(),
        cuts: [Cut::account()].iter().chain(cuts).map(names).collect(),
    }
}

impl Plan {
    /// Whom to tell; nobody where no channel is named.
    pub(super) fn new(
        args: &CheckArgs,
        config: &Config,
        at: i64,
        asked: Asked,
    ) -> anyhow::Result<Option<Self>> {
        let (typed, settings) = (&args.alert, &config.alert);
        let mut channels = Vec::new();
        channels.extend(typed.alert_sns.clone().or_else(|| settings.sns.clone()).map(Channel::Sns));
        channels
            .extend(typed.alert_exec.clone().or_else(|| settings.exec.clone()).map(Channel::Exec));
        if typed.alert_stdout || (typed.dry_run && channels.is_empty()) {
            channels.push(Channel::Stdout);
        }
        let renotify = duration("renotify_after", &settings.renotify_after)?;
        let policy = Policy {
            clear_after_ms: duration("clear_after", &settings.clear_after)?,
            clear_below: settings.clear_below,
            renotify_after_ms: (renotify > 0).then_some(renotify),
        };
        let exec_timeout = duration("exec_timeout", &settings.exec_timeout)?;
        if typed.no_alert || channels.is_empty() {
            return Ok(None);
        }
        let state = typed.alert_state.clone().or_else(|| settings.state.clone());
        let state = match (state, StoreUrl::parse(&store_word(&args.store, config)?)) {
            (Some(state), _) => state,
            (None, StoreUrl::Folder(folder)) => folder.join("alerts.json"),
            (None, StoreUrl::Bucket { .. }) => anyhow::bail!(
                "no place to remember what was told: the store is a bucket\n  hint: --alert-state FILE, or `state` in [alert] of the settings"
            ),
        };
        Ok(Some(Self {
            channels,
            state,
            policy,
            asked,
            at,
            exec_timeout: Duration::from_millis(exec_timeout.unsigned_abs()),
            endpoint_url: args.store.endpoint_url.clone(),
            dry_run: typed.dry_run,
        }))
    }

    /// Tells what is new, and adds to the answer what went wrong.
    pub(super) fn tell(self, check: &Check, mut answer: Answer) -> anyhow::Result<Answer> {
        let run = observe(check, self.at, &self.asked, &self.policy);
        if self.dry_run {
            return self.show(check, &run, answer);
        }
        let mut progress =
            Progress { file: None, state: State::default(), notes: Vec::new(), trouble: None };
        let mut waited = false;
        match StateFile::open(&self.state) {
            Ok((file, state)) => {
                waited = file.waited;
                (progress.file, progress.state) = (Some(file), state);
            }
            Err(error @ StateError::Busy(_)) => {
                answer.notes.push(format!("error: {error}"));
                return Ok(answer);
            }
            // an alarm that repeats is better than one that nobody hears
            Err(error) => progress.fail(&error.to_string()),
        }
        match advance(&progress.state, &run, &self.policy) {
            Ok(state) => progress.state = state,
            Err(earlier) => {
                answer.notes.push(self.behind(earlier.last, waited));
                return Ok(answer);
            }
        }
        progress.write();
        let mut printed = None;
        for channel in &self.channels {
            let notices = due(&progress.state, &channel.name(), &run, &self.policy);
            let messages = messages(check, &notices, progress.trouble.as_deref())?;
            if *channel == Channel::Stdout {
                answer.data = shown(&messages).into_bytes();
                printed = Some(notices);
            } else {
                self.send_all(channel, &messages, &mut progress);
            }
        }
        answer.notes.append(&mut progress.notes);
        if let Some(notices) = printed {
            // people read it when it is printed, and not before
            answer.after = After::new(move || self.finish(progress, &notices));
            return Ok(answer);
        }
        settle(&mut progress.state, &self.names());
        progress.write();
        answer.notes.append(&mut progress.notes);
        Ok(answer)
    }

    fn names(&self) -> Vec<String> {
        self.channels.iter().map(Channel::name).collect()
    }

    fn finish(self, mut progress: Progress, printed: &[Notice]) -> anyhow::Result<()> {
        tell(&mut progress.state, &Channel::Stdout.name(), printed, self.at);
        settle(&mut progress.state, &self.names());
        match &progress.file {
            Some(file) => Ok(file.write(&progress.state)?),
            // that it cannot be used was told
            None => Ok(()),
        }
    }

    /// What is not sent now stays due, and so does what is less bad on the same channel.
    fn send_all(
        &self,
        channel: &Channel,
        messages: &[(Message, Vec<Notice>)],
        progress: &mut Progress,
    ) {
        for (message, notices) in messages {
            if let Err(error) = self.send(channel, message) {
                progress.notes.push(format!("error: {error:#}"));
                return;
            }
            tell(&mut progress.state, &channel.name(), notices, self.at);
            progress.write();
        }
    }

    fn send(&self, channel: &Channel, message: &Message) -> anyhow::Result<()> {
        match channel {
            Channel::Sns(topic) => block_on(async {
                Ok(sns::publish(topic, self.endpoint_url.as_deref(), message).await?)
            }),
            Channel::Exec(command) => Ok(exec::run(command, &message.json, self.exec_timeout)?),
            Channel::Stdout => Ok(()),
        }
    }

    /// Why a run of the past tells nothing.
    fn behind(&self, last: i64, waited: bool) -> String {
        let (at, last) = (format_ms(self.at), format_ms(last));
        if waited {
            return format!("note: another run, as of {last}, has told what was new");
        }
        format!(
            "error: nobody was told anything: {at} lies before the last run that is remembered in `{}`, {last}\n  hint: to look at the past, add --no-alert; to tell it elsewhere, --alert-state FILE",
            self.state.display()
        )
    }

    /// What would be told.
    fn show(&self, check: &Check, run: &Run, mut answer: Answer) -> anyhow::Result<Answer> {
        let state = match StateFile::peek(&self.state) {
            Ok(state) => state,
            Err(error) => {
                answer.notes.push(format!("error: {error}"));
                State::default()
            }
        };
        let state = advance(&state, run, &self.policy);
        let Ok(state) =
            state.map_err(|earlier| answer.notes.push(self.behind(earlier.last, false)))
        else {
            return Ok(answer);
        };
        let mut shown_all = Vec::new();
        for channel in &self.channels {
            let name = channel.name();
            let messages = messages(check, &due(&state, &name, run, &self.policy), None)?;
            let said =
                if messages.is_empty() { "nothing new\n".to_owned() } else { shown(&messages) };
            shown_all.push(format!("would tell {name}:\n{said}\n"));
        }
        Ok(Answer { data: shown_all.concat().into_bytes(), ..answer })
    }
}

/// Messages for people, one after the other.
fn shown(messages: &[(Message, Vec<Notice>)]) -> String {
    let each =
        messages.iter().map(|(message, _)| format!("{}\n\n{}", message.subject, message.text));
    each.collect::<Vec<_>>().join("\n")
}
