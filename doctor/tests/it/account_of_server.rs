//! Gathers an account of the emulator, which checks permissions: with the recommended policy, and without any.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum};
use aws_sdk_sesv2::types::{EventDestinationDefinition, EventType, SnsDestination};
use aws_sdk_sqs::types::QueueAttributeName;
use aws_smithy_types::DateTime;
use bouncewatch_doctor::finding::{Check, FindingLevel};
use bouncewatch_doctor::gather::{Action, GatherRequest, bounce_rate, gather};
use bouncewatch_doctor::judge::{Figures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::snapshot::metrics::{MetricPoint, QueueFlow};
use bouncewatch_doctor::snapshot::part::Part;
use bouncewatch_doctor::snapshot::time::Time;
use bouncewatch_fixtures::account_server::{AccessKey, AccountServer};

use crate::{policy, scripted};

const REGION: &str = "eu-west-1";

fn config(server: &AccountServer, id: &str, secret: &str) -> SdkConfig {
    let credentials = Credentials::new(id, secret, None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(server.url())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .build()
}

/// Time of the snapshot.
const NOW_MS: i64 = 1_795_694_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Points of two and one hours ago, and of 30 hours ago.
async fn put_metrics(config: &SdkConfig) {
    let client = aws_sdk_cloudwatch::Client::new(config);
    let queue = Dimension::builder().name("QueueName").value("bounces").build();
    let age = "ApproximateAgeOfOldestMessage";
    let points = [
        ("AWS/SQS", age, 2, 7_200.0),
        ("AWS/SES", "Reputation.BounceRate", 2, 0.021),
        ("AWS/SES", "Reputation.BounceRate", 1, 0.023),
        ("AWS/SQS", "NumberOfMessagesSent", 30, 1_000.0),
        ("AWS/SQS", "NumberOfMessagesSent", 2, 3.0),
        ("AWS/SQS", "NumberOfMessagesSent", 1, 4.0),
    ];
    for (namespace, name, hours, value) in points {
        let dimensions = (namespace == "AWS/SQS").then(|| vec![queue.clone()]);
        let datum = MetricDatum::builder()
            .metric_name(name)
            .set_dimensions(dimensions)
            .timestamp(DateTime::from_millis(NOW_MS - hours * HOUR_MS))
            .value(value)
            .build();
        client.put_metric_data().namespace(namespace).metric_data(datum).send().await.unwrap();
    }
}

/// An account with every kind of resource that the emulator knows.
struct Account {
    server: AccountServer,
    topic: String,
    queue_url: String,
    key: String,
    _state: tempfile::TempDir,
}

impl Account {
    async fn make() -> Self {
        let tools = std::env::var("BOUNCEWATCH_TOOLS").map_or_else(
            |_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"),
            PathBuf::from,
        );
        let state = tempfile::tempdir().unwrap();
        let server = AccountServer::start(&tools, state.path()).unwrap();
        let config = config(&server, "test", "test");
        let kms = aws_sdk_kms::Client::new(&config);
        let key = kms.create_key().send().await.unwrap().key_metadata.unwrap().key_id;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let queue_url = sqs
            .create_queue()
            .queue_name("bounces")
            .attributes(QueueAttributeName::KmsMasterKeyId, &key)
            .send()
            .await
            .unwrap()
            .queue_url
            .unwrap();
        let sns = aws_sdk_sns::Client::new(&config);
        let topic = sns.create_topic().name("bounces").send().await.unwrap().topic_arn.unwrap();
        let queue = format!("arn:aws:sqs:{REGION}:000000000000:bounces");
        sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(queue).send().await.unwrap();
        let account = Self { server, topic, queue_url, key, _state: state };
        account.set_up_ses(&config).await;
        put_metrics(&config).await;
        account
    }

    fn key_arn(&self) -> String {
        format!("arn:aws:kms:{REGION}:000000000000:key/{}", self.key)
    }

    async fn set_up_ses(&self, config: &SdkConfig) {
        let ses = aws_sdk_sesv2::Client::new(config);
        ses.create_email_identity().email_identity("example.com").send().await.unwrap();
        ses.create_configuration_set().configuration_set_name("main").send().await.unwrap();
        ses.create_tenant().tenant_name("shop").send().await.unwrap();
        let sns = SnsDestination::builder().topic_arn(&self.topic).build().unwrap();
        let destination = EventDestinationDefinition::builder()
            .enabled(true)
            .matching_event_types(EventType::Bounce)
            .sns_destination(sns)
            .build();
        ses.create_configuration_set_event_destination()
            .configuration_set_name("main")
            .event_destination_name("feed")
            .event_destination(destination)
            .send()
            .await
            .unwrap();
    }

    /// Gathers with the key of a user; returns the snapshot and the actions in order.
    async fn gather_as(&self, key: &AccessKey) -> (Snapshot, Vec<Action>) {
        let mut request = GatherRequest::new(Time(NOW_MS));
        request.pace = Duration::ZERO;
        request.queues = vec![self.queue_url.clone()];
        request.recipient = Some("bob@example.org".to_owned());
        request.sets = vec!["main".to_owned()];
        let mut actions = Vec::new();
        let config = config(&self.server, &key.id, &key.secret);
        let snapshot =
            gather(&config, &request, &mut |progress| actions.push(progress.action)).await.unwrap();
        (snapshot, actions)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recommended_policy_reads_the_account_of_the_emulator() {
    let account = Account::make().await;
    let user = account.server.create_user("doctor", &policy::text()).unwrap();
    let (snapshot, actions) = account.gather_as(&user).await;
    let json = snapshot.to_json(true).unwrap();
    assert!(!json.contains("\"denied\""), "{json}");
    assert_eq!(snapshot.account_id.value().map(String::as_str), Some("000000000000"));
    assert!(snapshot.account.value().unwrap().production_access, "{json}");
    let identities = snapshot.identities.value().unwrap();
    assert!(identities[0].details.value().unwrap().dkim.is_some(), "{json}");
    let set = &snapshot.sets["main"];
    assert!(set.options.value().unwrap().sending_enabled, "{json}");
    assert_eq!(set.destinations.value().unwrap()[0].event_types, ["BOUNCE"]);
    let topic = &snapshot.topics[&account.topic];
    assert!(topic.attributes.value().unwrap().policy.is_some(), "{json}");
    let queue = format!("arn:aws:sqs:{REGION}:000000000000:bounces");
    let subscription = &topic.subscriptions.value().unwrap()[0];
    assert_eq!(subscription.endpoint, queue);
    assert!(subscription.attributes.value().is_some(), "{json}");
    assert_eq!(snapshot.own_queues, std::slice::from_ref(&queue));
    assert_eq!(snapshot.queues[&queue].value().unwrap().key.as_ref(), Some(&account.key));
    let key = snapshot.keys[&account.key_arn()].value().unwrap();
    assert_eq!((key.manager.as_str(), key.state.as_str()), ("CUSTOMER", "Enabled"));
    assert!(key.policy.value().unwrap().contains("kms:*"), "{json}");
    assert!(snapshot.send_statistics.value().is_some(), "{json}");
    let metrics = snapshot.metrics.value().unwrap();
    // the newest point of a rate, the sum of a day of a count, and nothing for metrics without points
    let newest = MetricPoint { at: Time(NOW_MS - HOUR_MS), value: 0.023 };
    assert_eq!(metrics.bounce_rate, Some(newest), "{json}");
    let config = config(&account.server, &user.id, &user.secret);
    assert_eq!(bounce_rate(&config, Time(NOW_MS)).await, Part::Value(Some(newest)));
    let earlier = Time(NOW_MS - 30 * 24 * HOUR_MS);
    assert_eq!(bounce_rate(&config, earlier).await, Part::Value(None));
    let expected = QueueFlow { sent: Some(7.0), ..QueueFlow::default() };
    assert_eq!(metrics.queues["bounces"], expected, "{json}");
    assert_eq!(snapshot.tenants.value().unwrap()[0].name, "shop");
    assert_eq!(actions[0], Action::StsGetCallerIdentity);
    // the emulator is a faulty account: the queue has no policy, so SNS may not send
    let findings = judge(&snapshot, &Figures::default());
    let critical: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.level == FindingLevel::Critical)
        .map(|finding| finding.id)
        .collect();
    assert!(critical.contains(&Check::QueuePolicy.as_str()), "{findings:?}");
    assert!(critical.contains(&Check::QueueKey.as_str()), "{findings:?}");
    assert!(critical.contains(&Check::FeedbackEvents.as_str()), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_without_permissions_gets_a_snapshot_that_names_the_actions() {
    let account = Account::make().await;
    // the lists are allowed, so that the calls about single resources are made
    let lists = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*",
        "Action": ["ses:ListEmailIdentities"]}}"#;
    let user = account.server.create_user("nobody", lists).unwrap();
    let (snapshot, _) = account.gather_as(&user).await;
    let denied = |action: &str| Some(action.to_owned());
    let of = |json: serde_json::Value| json["denied"].as_str().map(str::to_owned);
    let of_part = |part: &str| of(serde_json::to_value(&snapshot).unwrap()[part].clone());
    assert_eq!(of_part("account"), denied("ses:GetAccount"));
    assert_eq!(of_part("send_statistics"), denied("ses:GetSendStatistics"));
    assert_eq!(of_part("set_names"), denied("ses:ListConfigurationSets"));
    assert_eq!(of_part("tenants"), denied("ses:ListTenants"));
    let identity = &snapshot.identities.value().unwrap()[0];
    assert_eq!(identity.details, Part::Denied("ses:GetEmailIdentity".to_owned()));
    assert_eq!(
        snapshot.sets["main"].destinations,
        Part::Denied("ses:GetConfigurationSetEventDestinations".to_owned())
    );
    let queue = &snapshot.queues[&format!("arn:aws:sqs:{REGION}:000000000000:bounces")];
    assert_eq!(*queue, Part::Denied("sqs:GetQueueUrl".to_owned()));
    let findings = judge(&snapshot, &Figures::default());
    let needs = findings.iter().filter(|finding| finding.fix.contains(" needs ")).count();
    assert!(needs >= 6, "{findings:?}");
    // nothing is critical, and no check of a denied part has passed; the emulator lets all users read metrics
    assert!(findings.iter().all(|finding| finding.level < FindingLevel::Critical), "{findings:?}");
    let passed = findings.iter().filter(|finding| finding.level == FindingLevel::Ok);
    let passed: Vec<&str> = passed.map(|finding| finding.id).collect();
    let expected = [
        Check::IdentityExists,
        Check::IdentityVerified,
        Check::IdentityAlignment,
        Check::ReputationBounceRate,
    ];
    assert_eq!(passed, expected.map(Check::as_str), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_action_that_the_policy_lacks_is_named() {
    let account = Account::make().await;
    let mut not_denied = Vec::new();
    for action in Action::ALL.iter().copied().filter(|action| action.needs_permission()) {
        let name = action.as_str();
        let user = format!("without-{}", name.replace(':', "-"));
        let user = account.server.create_user(&user, &policy::without(action)).unwrap();
        let (snapshot, _) = account.gather_as(&user).await;
        if !snapshot.to_json(true).unwrap().contains(&format!("\"denied\": \"{name}\"")) {
            not_denied.push(name);
            continue;
        }
        let findings = judge(&snapshot, &Figures::default());
        let is_named = findings.iter().any(|finding| {
            finding.level == FindingLevel::Unknown && finding.fix.contains(&format!("needs {name}"))
        });
        assert!(is_named, "{name}: {findings:?}");
    }
    // the emulator does not check these, or has nothing to read with them; `scripted` denies each
    let expected = scripted::NOT_CHECKED_BY_EMULATOR.map(|(action, _)| action);
    assert_eq!(not_denied, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_topic_and_key_are_named() {
    let account = Account::make().await;
    let ses_and_queue = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Resource": "*",
        "Action": ["ses:*", "sqs:*"]}}"#;
    let user = account.server.create_user("half", ses_and_queue).unwrap();
    let (snapshot, _) = account.gather_as(&user).await;
    let topic = &snapshot.topics[&account.topic];
    assert_eq!(topic.attributes, Part::Denied("sns:GetTopicAttributes".to_owned()));
    assert_eq!(topic.subscriptions, Part::Denied("sns:ListSubscriptionsByTopic".to_owned()));
    assert_eq!(snapshot.keys[&account.key_arn()], Part::Denied("kms:DescribeKey".to_owned()));
}
