//! ARNs and URLs of topics and queues, and SDK settings for their regions.

use aws_config::{Region, SdkConfig};
use bouncewatch_schemas::arn::Arn;

use crate::gather::action::Action;
use crate::snapshot::part::{CallFailure, Part};

/// A topic or queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AwsResource {
    pub(super) arn: String,
    pub(super) region: String,
    pub(super) account: String,
    pub(super) name: String,
}

impl AwsResource {
    /// Reads an ARN; `None` if it has no name, or a region that could change the host of a URL.
    pub(super) fn of_arn(arn: &str) -> Option<Self> {
        let Arn { region, account, resource: name, .. } = Arn::parse(arn)?;
        let is_plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        (is_plain(region) && !region.is_empty() && !name.is_empty()).then(|| Self {
            arn: arn.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Reads the ARN or the URL of a queue: `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`. `region` is the one of URLs
    /// of other forms.
    pub(super) fn of_queue(queue: &str, region: &str) -> Option<Self> {
        if queue.starts_with("arn:") {
            return Self::of_arn(queue)
                .filter(|_| Arn::parse(queue).is_some_and(|arn| arn.service == "sqs"));
        }
        let (_, rest) = queue.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let (account, name) = path.trim_end_matches('/').rsplit_once('/')?;
        let account = account.rsplit('/').next()?;
        let labels: Vec<&str> = host.split('.').collect();
        let region = match labels.as_slice() {
            ["sqs" | "sqs-fips", region, "amazonaws" | "api", ..]
            | [region, "queue", "amazonaws", ..] => region,
            _ => region,
        };
        let partition = if region.starts_with("cn-") {
            "aws-cn"
        } else if region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        };
        Self::of_arn(&format!("arn:{partition}:sqs:{region}:{account}:{name}"))
    }
}

/// The part of a text that is no ARN.
pub(super) fn no_arn<T>(action: Action) -> Part<T> {
    let action = action.as_str().to_owned();
    Part::Error(CallFailure { action, message: "not called: no valid ARN".to_owned() })
}

/// Settings for a region.
pub(super) fn config_in(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(Region::new(region.to_owned())).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_read_from_arns_and_urls() {
        let cases = [
            ("arn:aws:sqs:us-east-1:123456789012:q", Some("arn:aws:sqs:us-east-1:123456789012:q")),
            (
                "https://sqs.eu-west-1.amazonaws.com/123456789012/q.fifo",
                Some("arn:aws:sqs:eu-west-1:123456789012:q.fifo"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q",
                Some("arn:aws-cn:sqs:cn-north-1:123456789012:q"),
            ),
            (
                "http://localhost:4566/000000000000/q/",
                Some("arn:aws:sqs:eu-central-1:000000000000:q"),
            ),
            (
                "https://sqs.eu-west-1.api.aws/123456789012/q",
                Some("arn:aws:sqs:eu-west-1:123456789012:q"),
            ),
            (
                "https://sqs-fips.us-east-1.amazonaws.com/123456789012/q",
                Some("arn:aws:sqs:us-east-1:123456789012:q"),
            ),
            ("https://sqs.eu-west-1.amazonaws.com/q", None),
            ("arn:aws:sns:eu-west-1:123456789012:q", None),
            ("arn:aws:sqs:evil.example/:123456789012:q", None),
            ("bounces", None),
        ];
        for (queue, arn) in cases {
            let resource = AwsResource::of_queue(queue, "eu-central-1");
            assert_eq!(resource.map(|resource| resource.arn).as_deref(), arn, "{queue}");
        }
    }
}
