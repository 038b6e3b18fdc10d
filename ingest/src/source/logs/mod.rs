//! CloudWatch Logs: pulls the log events of a group, such as the mail event log of WorkMail (facts 4.2).
//!
//! This file knows the group, the calls and what can be wrong with them; `pull` goes through the pages from a cursor
//! on, `cursor` knows up to where everything is durable.

mod cursor;
mod pull;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;

use crate::telemetry::metrics::Telemetry;
use bouncewatch_store::StoreError;
use bouncewatch_store::aws::is_credential_code;

pub use pull::run;

/// How a word on the command line begins that names a log group.
const PREFIX: &str = "cloudwatch-logs:";
/// The call that reads log events.
const READ: &str = "logs:FilterLogEvents";
/// The call that finds the account of a group that is given by its name.
const FIND: &str = "logs:DescribeLogGroups";

/// How a log group is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Whether it is followed until the run is stopped, or drained until nothing newer is there.
    pub follow: bool,
    /// Where a group begins that was never read, epoch milliseconds; `None` for its beginning.
    pub since: Option<i64>,
}

/// A log group that can be read.
#[derive(Debug, Clone)]
pub struct Group {
    client: Client,
    name: String,
    arn: String,
    account: String,
    region: String,
    /// Whether it is asked for by its ARN, which may lie in another account.
    by_arn: bool,
}

/// What is wrong with a log group, and the way out.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// There is no such log group.
    #[error(
        "no such log group: {0}\n  hint: check the account, the region and the name; `aws logs describe-log-groups` tells what there is, and WorkMail logs only where that is switched on"
    )]
    NoSuchGroup(String),
    /// An IAM action is missing.
    #[error(
        "access to the log group is denied: {action} on {group}\n  hint: allow {action} for these credentials; a group that is given by its ARN needs logs:FilterLogEvents, one given by its name logs:DescribeLogGroups too"
    )]
    Denied {
        /// What was tried.
        action: &'static str,
        /// On which group.
        group: String,
    },
    /// The credentials are missing, wrong or expired.
    #[error(
        "AWS does not accept the credentials: {action} on {group}: {why}\n  hint: `aws sts get-caller-identity` tells which are used; renew them (`aws sso login`, a new session, the instance's role), the run goes on by itself"
    )]
    Credentials {
        /// What was tried.
        action: &'static str,
        /// On which group.
        group: String,
        /// What AWS said.
        why: String,
    },
    /// CloudWatch Logs does not take a parameter; of the pages of a pull that is a token that is too old.
    #[error("{action} on the log group {group} was refused: {why}")]
    Refused {
        /// What was tried.
        action: &'static str,
        /// On which group.
        group: String,
        /// What CloudWatch Logs said.
        why: String,
    },
    /// Something else.
    #[error("could not use the log group {group}: {action} failed: {why}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On which group.
        group: String,
        /// What CloudWatch Logs or the network said.
        why: String,
    },
    /// The word is no log group.
    #[error(
        "not a log group: {0}; give cloudwatch-logs:NAME or its ARN (arn:aws:logs:REGION:ACCOUNT:log-group:NAME)"
    )]
    NotAGroup(String),
    /// What was pulled could not be stored.
    #[error("what was pulled from the log group {0} could not be stored; it is pulled again")]
    NotStored(String),
    /// The cursor cannot be read.
    #[error(
        "could not read the cursor `{path}`: {why}\n  hint: remove it, and the group is read from its beginning or from --since; that changes no number"
    )]
    Cursor {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store of the cursor cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LogsError {
    /// Whether trying again can help.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Credentials { .. } | Self::Failed { .. } | Self::Refused { .. })
    }
}

/// Whether a word on the command line names a log group.
pub fn is_group(word: &str) -> bool {
    word.starts_with(PREFIX) || parts_of(word).is_some_and(|parts| parts.service == "logs")
}

/// The region in a log group's ARN, for those who have configured none.
pub fn region_of(word: &str) -> Option<String> {
    let parts = parts_of(word.strip_prefix(PREFIX).unwrap_or(word))?;
    Some(parts.region.to_owned()).filter(|region| !region.is_empty())
}

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`
struct Parts<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

fn parts_of(arn: &str) -> Option<Parts<'_>> {
    let mut parts = arn.splitn(6, ':');
    let is_arn = parts.next()? == "arn" && parts.next().is_some();
    let (service, region) = (parts.next()?, parts.next()?);
    let (account, resource) = (parts.next()?, parts.next()?);
    is_arn.then_some(Parts { service, region, account, resource })
}

/// One page of log events, and where the next one is.
#[derive(Debug)]
struct Page {
    events: Vec<FilteredLogEvent>,
    next: Option<String>,
}

impl Group {
    /// Its name in messages and in the table: `cloudwatch-logs:NAME`.
    pub fn shown(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Finds the log group that a word names. One that is given by its ARN is not asked for yet.
    ///
    /// # Errors
    /// If the word names none, there is no such group, or access is denied.
    pub async fn open(config: &aws_config::SdkConfig, word: &str) -> Result<Self, LogsError> {
        let client = Client::new(config);
        let named = word.strip_prefix(PREFIX).unwrap_or(word);
        if named.starts_with("arn:") {
            let not_a_group = || LogsError::NotAGroup(word.to_owned());
            return Self::of_arn(client, named, true).ok_or_else(not_a_group);
        }
        if named.is_empty() || named.contains(':') {
            return Err(LogsError::NotAGroup(word.to_owned()));
        }
        let arn = arn_of(&client, named).await?;
        Self::of_arn(client, &arn, false).ok_or(LogsError::NotAGroup(arn))
    }

    /// Its ARN, without what stands for its streams.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    fn of_arn(client: Client, arn: &str, by_arn: bool) -> Option<Self> {
        // the ARN of all streams in the group ends so
        let arn = arn.strip_suffix(":*").unwrap_or(arn);
        let parts = parts_of(arn).filter(|parts| parts.service == "logs")?;
        let name = parts.resource.strip_prefix("log-group:")?;
        let is_whole = !name.is_empty() && !name.contains(':') && !parts.account.is_empty();
        is_whole.then(|| Self {
            client,
            name: name.to_owned(),
            arn: arn.to_owned(),
            account: parts.account.to_owned(),
            region: parts.region.to_owned(),
            by_arn,
        })
    }

    /// One page of the events since a moment (inclusive).
    async fn page(
        &self,
        since: Option<i64>,
        token: Option<&str>,
        telemetry: &Telemetry,
    ) -> Result<Page, LogsError> {
        let call = self.client.filter_log_events().set_start_time(since);
        let call = if self.by_arn {
            call.log_group_identifier(&self.arn)
        } else {
            call.log_group_name(&self.name)
        };
        let answer = call.set_next_token(token.map(str::to_owned)).send().await;
        telemetry.request("logs", READ, answer.is_err());
        let answer = answer.map_err(|error| failed(READ, &self.name, error))?;
        Ok(Page { events: answer.events.unwrap_or_default(), next: answer.next_token })
    }
}

/// The ARN of the group of a name.
async fn arn_of(client: &Client, name: &str) -> Result<String, LogsError> {
    let mut token = None;
    loop {
        let call = client.describe_log_groups().log_group_name_prefix(name);
        let answer = call.set_next_token(token).send().await;
        let answer = answer.map_err(|error| failed(FIND, name, error))?;
        let mut groups = answer.log_groups.unwrap_or_default().into_iter();
        if let Some(arn) = groups.find(|group| group.log_group_name() == Some(name)) {
            return arn.arn.ok_or_else(|| LogsError::NoSuchGroup(name.to_owned()));
        }
        token = answer.next_token;
        if token.is_none() {
            return Err(LogsError::NoSuchGroup(name.to_owned()));
        }
    }
}

fn failed<E>(action: &'static str, group: &str, error: E) -> LogsError
where
    E: ProvideErrorMetadata + std::error::Error,
{
    let group = group.to_owned();
    let said = || {
        let message = error.message().unwrap_or_default();
        format!("{} {message}", error.code().unwrap_or_default()).trim().to_owned()
    };
    match error.code() {
        Some("ResourceNotFoundException") => LogsError::NoSuchGroup(group),
        Some("AccessDenied" | "AccessDeniedException") => LogsError::Denied { action, group },
        Some(code) if is_credential_code(code) => {
            LogsError::Credentials { action, group, why: said() }
        }
        Some("InvalidParameterException") => LogsError::Refused { action, group, why: said() },
        Some(_) => LogsError::Failed { action, group, why: said() },
        None => {
            let why = DisplayErrorContext(error).to_string();
            if why.contains("credential") {
                let why = "no credentials were found".to_owned();
                LogsError::Credentials { action, group, why }
            } else {
                LogsError::Failed { action, group, why }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(arn: &str) -> Option<Group> {
        let config = aws_sdk_cloudwatchlogs::Config::builder()
            .behavior_version(aws_sdk_cloudwatchlogs::config::BehaviorVersion::latest())
            .build();
        Group::of_arn(Client::from_conf(config), arn, true)
    }

    #[test]
    fn words_that_name_a_log_group() {
        let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/workmail/emailevents/shop";
        for (word, region) in [
            (arn, Some("eu-west-1")),
            (&format!("{arn}:*"), Some("eu-west-1")),
            (&format!("cloudwatch-logs:{arn}"), Some("eu-west-1")),
            ("cloudwatch-logs:/aws/workmail/emailevents/shop", None),
        ] {
            assert!(is_group(word), "{word}");
            assert_eq!(region_of(word).as_deref(), region, "{word}");
        }
        assert!(!is_group("arn:aws:sqs:us-east-1:123456789012:logs"));
        assert!(!is_group("archive/2026"));
    }

    #[test]
    fn a_group_is_the_same_with_and_without_its_streams() {
        let arn = "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/aws/workmail/x";
        for word in [arn.to_owned(), format!("{arn}:*")] {
            let group = group(&word).unwrap();
            assert_eq!((group.arn.as_str(), group.name.as_str()), (arn, "/aws/workmail/x"));
            assert_eq!((&*group.account, &*group.region), ("123456789012", "cn-north-1"));
        }
        for word in [
            "arn:aws:logs:us-east-1:123456789012:log-group:",
            "arn:aws:logs:us-east-1:123456789012:log-group:a:log-stream:b",
            "arn:aws:logs:us-east-1:123456789012:destination:a",
            "arn:aws:logs:us-east-1::log-group:a",
            "arn:aws:sqs:us-east-1:123456789012:log-group:a",
        ] {
            assert!(group(word).is_none(), "{word}");
        }
    }
}
