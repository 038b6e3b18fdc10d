//! Where alerts are sent: channels in the settings.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use bouncewatch_analyze::alert::webhook::{Webhook, WebhookFormat};
use bouncewatch_store::aws::is_topic_arn;

use crate::config::{AlertSettings, WebhookSettings, secret};

/// Destination of messages.
#[derive(Debug, Clone)]
pub(super) enum Channel {
    Sns(String),
    Exec(String),
    Webhook(Box<Webhook>),
    Stdout,
}

impl Channel {
    /// Returns its name in the alert state. All commands are one channel, so that a command can be changed.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sns(topic) => format!("sns:{topic}"),
            Self::Exec(_) => "exec".to_owned(),
            Self::Webhook(webhook) => format!("webhook:{}", webhook.name),
            Self::Stdout => "stdout".to_owned(),
        }
    }
}

/// Returns the channels that messages are sent to: a topic, a command, and the webhooks in the settings.
///
/// # Errors
/// If one cannot receive messages, as far as that is known without sending one.
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
            "[[alert.webhook]]: each needs a name of its own, not `{}`\n  hint: the alert state has the name",
            one.name
        );
        let webhook = webhook(one).with_context(|| format!("[[alert.webhook]] `{}`", one.name))?;
        channels.push(Channel::Webhook(Box::new(webhook)));
    }
    Ok(channels)
}

fn webhook(settings: &WebhookSettings) -> anyhow::Result<Webhook> {
    let WebhookSettings { name, format, url_file, url_env, secret_file, secret_env } = settings;
    let format = WebhookFormat::parse(format).with_context(|| {
        let names: Vec<&str> = WebhookFormat::ALL.iter().map(|one| one.as_str()).collect();
        format!("unknown format `{format}`\n  hint: write one of {}", names.join(", "))
    })?;
    let url = secret(url_file.as_deref(), url_env.as_deref()).context("url_file, url_env")?;
    let url = url.context(
        "url_file or url_env is missing\n  hint: the URL is a secret, so it is not in the settings",
    )?;
    let secret = secret(secret_file.as_deref(), secret_env.as_deref());
    let secret = secret.context("secret_file, secret_env")?;
    Ok(Webhook::new(name.clone(), format, &url, secret.as_deref())?)
}
