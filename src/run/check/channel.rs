//! Where alerts are sent: channels in arguments and settings.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bouncewatch_analyze::alert::webhook::{Webhook, WebhookFormat};
use bouncewatch_analyze::alert::{Message, exec, sns};
use bouncewatch_store::aws::is_topic_arn;

use crate::cli::AlertArgs;
use crate::config::{AlertSettings, SecretSource, WebhookSettings};
use crate::run::store_access::block_on;

/// How messages are sent.
#[derive(Debug)]
pub(super) struct SendOptions {
    /// Time in the signature of a webhook, epoch milliseconds.
    pub(super) at: i64,
    /// Time limit of a command.
    pub(super) exec_timeout: Duration,
    /// Endpoint of SNS, if it is not that of AWS.
    pub(super) endpoint_url: Option<String>,
}

/// Destination of messages.
#[derive(Debug, Clone)]
pub(super) enum Channel {
    Sns(String),
    Exec(String),
    Webhook(Box<Webhook>),
    /// The URL or secret of a webhook cannot be read: an error in each run, while the other channels are notified.
    Unusable {
        /// Name of the webhook.
        name: String,
        /// Reason and hint.
        why: String,
    },
    Stdout,
}

impl Channel {
    /// Returns its name in the alert state. All commands are one channel, so that a command can be changed.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sns(topic) => format!("sns:{topic}"),
            Self::Exec(_) => "exec".to_owned(),
            Self::Webhook(webhook) => webhook_channel(&webhook.name),
            Self::Unusable { name, .. } => webhook_channel(name),
            Self::Stdout => "stdout".to_owned(),
        }
    }

    /// Returns why it cannot receive messages, if that is known without sending one.
    pub(super) fn problem(&self) -> Option<&str> {
        match self {
            Self::Unusable { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the channel does not accept it.
    pub(super) fn send(&self, message: &Message, options: &SendOptions) -> anyhow::Result<()> {
        let SendOptions { at, exec_timeout, endpoint_url } = options;
        match self {
            Self::Sns(topic) => {
                block_on(async { Ok(sns::publish(topic, endpoint_url.as_deref(), message).await?) })
            }
            Self::Webhook(webhook) => block_on(async { Ok(webhook.post(message, *at).await?) }),
            Self::Exec(command) => Ok(exec::run(command, &message.json, *exec_timeout)?),
            Self::Unusable { why, .. } => bail!("{why}"),
            Self::Stdout => Ok(()),
        }
    }
}

fn webhook_channel(name: &str) -> String {
    format!("webhook:{name}")
}

/// Returns the channels of a run: those of the settings, where arguments name no other, and stdout if requested.
///
/// # Errors
/// See [`channels`].
pub(super) fn run_channels(
    arguments: &AlertArgs,
    settings: &AlertSettings,
) -> anyhow::Result<Vec<Channel>> {
    let topic = arguments.alert_sns.as_deref().or(settings.sns.as_deref());
    let command = arguments.alert_exec.as_deref().or(settings.exec.as_deref());
    let mut channels = channels(topic, command, settings)?;
    if arguments.alert_stdout || (arguments.dry_run && channels.is_empty()) {
        channels.push(Channel::Stdout);
    }
    Ok(channels)
}

/// Returns the channels that messages are sent to: a topic, a command, and the webhooks in the settings.
///
/// # Errors
/// If the settings of one are invalid. A URL or secret that cannot be read is no error here, see [`Channel::Unusable`].
pub(super) fn channels(
    topic: Option<&str>,
    command: Option<&str>,
    settings: &AlertSettings,
) -> anyhow::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    if let Some(topic) = topic {
        ensure!(
            is_topic_arn(topic),
            "alerts: not the ARN of an SNS topic: `{topic}`\n  hint: write arn:aws:sns:REGION:ACCOUNT:NAME; `aws sns list-topics` lists the topics of a region"
        );
        channels.push(Channel::Sns(topic.to_owned()));
    }
    if let Some(command) = command {
        ensure!(
            !command.trim().is_empty(),
            "alerts: the command is empty\n  hint: omit --alert-exec, or `exec` in [alert] of the settings, to run none"
        );
        channels.push(Channel::Exec(command.to_owned()));
    }
    channels.extend(webhooks(settings)?);
    Ok(channels)
}

fn webhooks(settings: &AlertSettings) -> anyhow::Result<Vec<Channel>> {
    let mut names = BTreeSet::new();
    let mut channels = Vec::with_capacity(settings.webhook.len());
    for one in &settings.webhook {
        ensure!(
            !one.name.trim().is_empty() && names.insert(&one.name),
            "[[alert.webhook]]: `name` is empty or not unique: `{}`\n  hint: give each webhook its own name; the alert state refers to it",
            one.name
        );
        let section = || format!("[[alert.webhook]] `{}`", one.name);
        let settings = ValidWebhook::new(one).with_context(section)?;
        channels.push(match settings.read().with_context(section) {
            Ok(webhook) => Channel::Webhook(Box::new(webhook)),
            Err(error) => Channel::Unusable { name: one.name.clone(), why: format!("{error:#}") },
        });
    }
    Ok(channels)
}

/// Valid settings of a webhook; the files and variables that they name are not read yet.
struct ValidWebhook<'s> {
    name: &'s str,
    format: WebhookFormat,
    url: SecretSource<'s>,
    secret: Option<SecretSource<'s>>,
}

impl<'s> ValidWebhook<'s> {
    fn new(settings: &'s WebhookSettings) -> anyhow::Result<Self> {
        let WebhookSettings { name, format, url_file, url_env, secret_file, secret_env } = settings;
        let format = WebhookFormat::parse(format).with_context(|| {
            let names: Vec<&str> = WebhookFormat::ALL.iter().map(|one| one.as_str()).collect();
            format!("unknown format `{format}`\n  hint: write one of {}", names.join(", "))
        })?;
        let url = SecretSource::new(url_file.as_deref(), url_env.as_deref())?;
        let url = url.context(
            "url_file or url_env is missing\n  hint: the URL is a secret, so it is not in the settings",
        )?;
        let secret = SecretSource::new(secret_file.as_deref(), secret_env.as_deref())?;
        Ok(Self { name, format, url, secret })
    }

    fn read(&self) -> anyhow::Result<Webhook> {
        let url = self.url.read().context("url_file, url_env")?;
        let secret = self.secret.map(SecretSource::read).transpose();
        let secret = secret.context("secret_file, secret_env")?;
        Ok(Webhook::new(self.name.to_owned(), self.format, &url, secret.as_deref())?)
    }
}
