//! [`LogGroup`]: finds a log group by name or ARN and reads its pages of log events.

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use bouncewatch_schemas::arn::Arn;

use crate::source::logs::error::LogsError;
use crate::telemetry::metrics::Telemetry;

/// Prefix of an argument that names a log group.
const PREFIX: &str = "cloudwatch-logs:";
/// Permission to read log events.
const READ: &str = "logs:FilterLogEvents";
/// Permission to find the ARN of a group by name.
const FIND: &str = "logs:DescribeLogGroups";

/// A log group.
#[derive(Debug, Clone)]
pub struct LogGroup {
    client: Client,
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) account: String,
    pub(super) region: String,
    reference: GroupReference,
}

/// How requests name the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GroupReference {
    Name,
    /// By ARN; the group may belong to another account.
    Arn,
}

/// One page of log events.
#[derive(Debug)]
pub(super) struct LogPage {
    pub(super) events: Vec<FilteredLogEvent>,
    /// Token of the next page.
    pub(super) next: Option<String>,
}

/// Whether an argument names a log group.
pub fn is_group(argument: &str) -> bool {
    argument.starts_with(PREFIX) || Arn::parse(argument).is_some_and(|arn| arn.service == "logs")
}

/// The region in the ARN of a log group, used if no region is configured.
pub fn region_of(argument: &str) -> Option<String> {
    let arn = Arn::parse(argument.strip_prefix(PREFIX).unwrap_or(argument))?;
    Some(arn.region.to_owned()).filter(|region| !region.is_empty())
}

/// Returns the ARN of a log group without the suffix `:*`, and its parts; `resource` is the name of the group.
fn parse_group_arn(arn: &str) -> Option<(&str, Arn<'_>)> {
    // `:*` at the end of an ARN includes the streams of the group
    let arn = arn.strip_suffix(":*").unwrap_or(arn);
    let parts = Arn::parse(arn)?;
    let name = parts.resource.strip_prefix("log-group:")?;
    let is_complete = parts.service == "logs"
        && !name.is_empty()
        && !name.contains(':')
        && !parts.account.is_empty();
    is_complete.then_some((arn, Arn { resource: name, ..parts }))
}

impl LogGroup {
    /// The value of the column `origin`, `cloudwatch-logs:NAME`.
    pub fn origin(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Checks the syntax of an argument of [`open`](Self::open), without AWS settings.
    ///
    /// # Errors
    /// If the argument is neither a name nor an ARN of a log group.
    pub fn check_argument(argument: &str) -> Result<(), LogsError> {
        let name_or_arn = argument.strip_prefix(PREFIX).unwrap_or(argument);
        let is_valid = if name_or_arn.starts_with("arn:") {
            parse_group_arn(name_or_arn).is_some()
        } else {
            !name_or_arn.is_empty() && !name_or_arn.contains(':')
        };
        if is_valid { Ok(()) } else { Err(LogsError::NotAGroup(argument.to_owned())) }
    }

    /// Finds a log group by name or ARN. Sends requests only for a name.
    ///
    /// # Errors
    /// If the argument is not a log group, the group does not exist, or access is denied.
    pub async fn open(config: &aws_config::SdkConfig, argument: &str) -> Result<Self, LogsError> {
        Self::check_argument(argument)?;
        let client = Client::new(config);
        let name_or_arn = argument.strip_prefix(PREFIX).unwrap_or(argument);
        if name_or_arn.starts_with("arn:") {
            let not_a_group = || LogsError::NotAGroup(argument.to_owned());
            return Self::from_arn(client, name_or_arn, GroupReference::Arn)
                .ok_or_else(not_a_group);
        }
        let arn = find_arn(&client, name_or_arn).await?;
        Self::from_arn(client, &arn, GroupReference::Name).ok_or(LogsError::NotAGroup(arn))
    }

    /// The ARN, without the suffix `:*`.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    fn from_arn(client: Client, arn: &str, reference: GroupReference) -> Option<Self> {
        let (arn, Arn { region, account, resource: name, .. }) = parse_group_arn(arn)?;
        Some(Self {
            client,
            name: name.to_owned(),
            arn: arn.to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            reference,
        })
    }

    /// Reads one page of the events since a time (inclusive, epoch milliseconds).
    pub(super) async fn page(
        &self,
        since: Option<i64>,
        token: Option<&str>,
        telemetry: &Telemetry,
    ) -> Result<LogPage, LogsError> {
        let call = self.client.filter_log_events().set_start_time(since);
        let call = match self.reference {
            GroupReference::Arn => call.log_group_identifier(&self.arn),
            GroupReference::Name => call.log_group_name(&self.name),
        };
        let response = call.set_next_token(token.map(str::to_owned)).send().await;
        telemetry.aws.started("logs", READ);
        let response = response.map_err(|error| {
            telemetry.aws.failed("logs", READ);
            LogsError::from_sdk(READ, &self.name, &error)
        })?;
        Ok(LogPage { events: response.events.unwrap_or_default(), next: response.next_token })
    }
}

/// Finds the ARN of the group with a name.
async fn find_arn(client: &Client, name: &str) -> Result<String, LogsError> {
    let mut token = None;
    loop {
        let call = client.describe_log_groups().log_group_name_prefix(name);
        let response = call.set_next_token(token).send().await;
        let response = response.map_err(|error| LogsError::from_sdk(FIND, name, &error))?;
        let mut groups = response.log_groups.unwrap_or_default().into_iter();
        if let Some(group) = groups.find(|group| group.log_group_name() == Some(name)) {
            return group.arn.ok_or_else(|| LogsError::NoSuchGroup(name.to_owned()));
        }
        token = response.next_token;
        if token.is_none() {
            return Err(LogsError::NoSuchGroup(name.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(arn: &str) -> Option<LogGroup> {
        let config = aws_sdk_cloudwatchlogs::Config::builder()
            .behavior_version(aws_sdk_cloudwatchlogs::config::BehaviorVersion::latest())
            .build();
        LogGroup::from_arn(Client::from_conf(config), arn, GroupReference::Arn)
    }

    #[test]
    fn names_and_arns_name_a_log_group_and_its_region() {
        let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/workmail/emailevents/shop";
        for (argument, region) in [
            (arn, Some("eu-west-1")),
            (&format!("{arn}:*"), Some("eu-west-1")),
            (&format!("cloudwatch-logs:{arn}"), Some("eu-west-1")),
            ("cloudwatch-logs:/aws/workmail/emailevents/shop", None),
        ] {
            assert!(is_group(argument), "{argument}");
            assert_eq!(region_of(argument).as_deref(), region, "{argument}");
        }
        assert!(!is_group("arn:aws:sqs:us-east-1:123456789012:logs"));
        assert!(!is_group("archive/2026"));
    }

    #[test]
    fn arn_with_and_without_stream_suffix_is_the_same_group() {
        let arn = "arn:aws-cn:logs:cn-north-1:123456789012:log-group:/aws/workmail/x";
        for argument in [arn.to_owned(), format!("{arn}:*")] {
            let group = group(&argument).unwrap();
            assert_eq!((group.arn.as_str(), group.name.as_str()), (arn, "/aws/workmail/x"));
            assert_eq!((&*group.account, &*group.region), ("123456789012", "cn-north-1"));
        }
        for argument in [
            "arn:aws:logs:us-east-1:123456789012:log-group:",
            "arn:aws:logs:us-east-1:123456789012:log-group:a:log-stream:b",
            "arn:aws:logs:us-east-1:123456789012:destination:a",
            "arn:aws:logs:us-east-1::log-group:a",
            "arn:aws:sqs:us-east-1:123456789012:log-group:a",
        ] {
            assert!(group(argument).is_none(), "{argument}");
        }
    }
}
