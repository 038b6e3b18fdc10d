//! Calls that the emulator does not know, against scripted responses: WorkMail, reputation of tenants, dedicated
//! addresses, recommendations, suppression, identity feedback, receipt rules.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bouncewatch_doctor::finding::FindingLevel;
use bouncewatch_doctor::gather::{GatherError, GatherRequest, SES_PACE, gather};
use bouncewatch_doctor::judge::{Figures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::snapshot::part::Part;
use bouncewatch_doctor::snapshot::time::Time;
use serde_json::Value;

/// Actions that the emulator permits to every user or does not know, with the end of their operation.
pub(crate) const NOT_CHECKED_BY_EMULATOR: [(&str, &str); 9] = [
    ("cloudwatch:GetMetricData", "/operation/GetMetricData"),
    ("ses:DescribeActiveReceiptRuleSet", "DescribeActiveReceiptRuleSet"),
    ("ses:GetBlacklistReports", "/deliverability-dashboard/blacklist-report"),
    ("ses:GetDeliverabilityDashboardOptions", "/deliverability-dashboard"),
    (
        "workmail:DescribeEmailMonitoringConfiguration",
        "WorkMailService.DescribeEmailMonitoringConfiguration",
    ),
    ("workmail:DescribeInboundDmarcSettings", "WorkMailService.DescribeInboundDmarcSettings"),
    ("workmail:GetMailDomain", "WorkMailService.GetMailDomain"),
    ("workmail:ListMailDomains", "WorkMailService.ListMailDomains"),
    ("workmail:ListOrganizations", "WorkMailService.ListOrganizations"),
];

/// SDK settings that send all calls to `respond`, which maps an operation to status and body. The operation is
/// `SERVICE.ACTION` of JSON services, `Action` of XML services, `METHOD /path` of SES v2.
fn config(respond: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> SdkConfig {
    let client = infallible_client_fn(move |request| {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        let action = body.strip_prefix("Action=").and_then(|rest| rest.split('&').next());
        let operation = match (target, action) {
            (Some(target), _) => target.to_owned(),
            (None, Some(action)) => action.to_owned(),
            (None, None) => format!("{} {}", request.method(), request.uri().path()),
        };
        let (status, response) = respond(&operation);
        let code = response.split('"').nth(3).unwrap_or_default().to_owned();
        let is_cbor = operation.contains("/operation/");
        let body = if is_cbor {
            cbor(&serde_json::from_str(&response).unwrap_or_default())
        } else {
            response.into_bytes()
        };
        let mut response = http::Response::builder().status(status);
        if is_cbor {
            response = response.header("smithy-protocol", "rpc-v2-cbor");
        } else if status != 200 {
            response = response.header("x-amzn-errortype", code);
        }
        response.body(SdkBody::from(body)).unwrap()
    });
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(client)
        .build()
}

/// JSON as CBOR: null, texts of less than 24 bytes, and lists and objects with less than 24 entries.
fn cbor(value: &Value) -> Vec<u8> {
    let head = |kind: u8, length: usize| vec![kind + u8::try_from(length).unwrap()];
    let text = |text: &str| [head(0x60, text.len()), text.as_bytes().to_vec()].concat();
    match value {
        Value::String(value) => text(value),
        Value::Array(values) => {
            head(0x80, values.len()).into_iter().chain(values.iter().flat_map(cbor)).collect()
        }
        Value::Object(fields) => {
            let fields = fields.iter().flat_map(|(key, value)| [text(key), cbor(value)].concat());
            fields.fold(head(0xa0, value.as_object().unwrap().len()), |mut all, byte| {
                all.push(byte);
                all
            })
        }
        _ => vec![0xf6],
    }
}

const DENIED: &str = r#"{"__type": "AccessDeniedException", "message": "not authorized"}"#;
const DENIED_XML: &str = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
    <Message>not authorized</Message></Error></ErrorResponse>";

/// Responses of an account with everything; `None` for other operations.
fn response(operation: &str) -> Option<String> {
    let xml = |action: &str, result: &str| {
        format!("<{action}Response><{action}Result>{result}</{action}Result></{action}Response>")
    };
    let json = match operation {
        "GetCallerIdentity" => return Some(xml(operation, "<Account>123456789012</Account>")),
        "GetIdentityNotificationAttributes" => {
            let entry = "<NotificationAttributes><entry><key>example.com</key><value>\
                <BounceTopic>arn:aws:sns:eu-west-1:123456789012:classic</BounceTopic>\
                <ForwardingEnabled>false</ForwardingEnabled></value></entry></NotificationAttributes>";
            return Some(xml(operation, entry));
        }
        "DescribeActiveReceiptRuleSet" => {
            let rules = "<Metadata><Name>inbound</Name></Metadata><Rules><member><Name>m-1</Name>\
                <Enabled>true</Enabled><Recipients><member>example.com</member></Recipients><Actions>\
                <member><LambdaAction><FunctionArn>arn:x</FunctionArn></LambdaAction></member>\
                <member><WorkmailAction><OrganizationArn>arn:y</OrganizationArn></WorkmailAction></member>\
                </Actions></Rules>"
                .replace("</Actions></Rules>", "</Actions></member></Rules>");
            return Some(xml(operation, &rules));
        }
        "POST /v2/email/list-identities" => {
            r#"{"EmailIdentities": [{"IdentityType": "DOMAIN", "IdentityName": "example.com",
                "SendingEnabled": true, "VerificationStatus": "SUCCESS"}]}"#
        }
        "POST /v2/email/tenants/list" => {
            r#"{"Tenants": [{"TenantName": "shop", "TenantArn": "arn:aws:ses:eu-west-1:123456789012:tenant/shop/t-1"}]}"#
        }
        path if path.starts_with("GET /v2/email/reputation/entities/RESOURCE/") => {
            r#"{"ReputationEntity": {"AwsSesManagedStatus": {"Status": "DISABLED", "Cause": "bounces",
                "LastUpdatedTimestamp": 1795000000}, "SendingStatusAggregate": "DISABLED",
                "ReputationImpact": "HIGH",
                "ReputationManagementPolicy": "arn:aws:ses:eu-west-1:aws:reputation-policy/strict"}}"#
        }
        "POST /v2/email/vdm/recommendations" => {
            r#"{"Recommendations": [{"ResourceArn": "arn:aws:ses:eu-west-1:123456789012:identity/example.com",
                "Type": "DMARC", "Description": "no record", "Status": "OPEN", "Impact": "HIGH",
                "LastUpdatedTimestamp": 1795000000}]}"#
        }
        "GET /v2/email/dedicated-ips" => {
            r#"{"DedicatedIps": [{"Ip": "192.0.2.1", "WarmupStatus": "IN_PROGRESS",
                "WarmupPercentage": 40, "PoolName": "own"}]}"#
        }
        "GET /v2/email/deliverability-dashboard" => r#"{"DashboardEnabled": true}"#,
        "GET /v2/email/deliverability-dashboard/blacklist-report" => {
            r#"{"BlacklistReport": {"192.0.2.1": [{"RblName": "list.example", "ListingTime": 1795000000}]}}"#
        }
        path if path.starts_with("GET /v2/email/suppression/addresses/") => {
            r#"{"SuppressedDestination": {"EmailAddress": "bob@example.org", "Reason": "COMPLAINT",
                "LastUpdateTime": 1795000000}}"#
        }
        path if path.ends_with("/operation/GetMetricData") => r#"{"MetricDataResults": []}"#,
        "WorkMailService.ListOrganizations" => {
            r#"{"OrganizationSummaries": [
                {"OrganizationId": "m-1", "Alias": "example", "State": "Active"},
                {"OrganizationId": "m-0", "Alias": "old", "State": "Deleted"}]}"#
        }
        "WorkMailService.ListMailDomains" => r#"{"MailDomains": [{"DomainName": "example.com"}]}"#,
        "WorkMailService.GetMailDomain" => {
            r#"{"Records": [{"Type": "MX", "Hostname": "example.com.",
                "Value": "10 inbound-smtp.eu-west-1.amazonaws.com."}],
                "OwnershipVerificationStatus": "VERIFIED", "DkimVerificationStatus": "PENDING"}"#
        }
        "WorkMailService.DescribeInboundDmarcSettings" => r#"{"Enforced": true}"#,
        "WorkMailService.DescribeEmailMonitoringConfiguration" => {
            r#"{"RoleArn": "arn:r", "LogGroupArn": "arn:aws:logs:eu-west-1:123456789012:log-group:x"}"#
        }
        _ => return None,
    };
    Some(json.to_owned())
}

fn request() -> GatherRequest {
    let mut request = GatherRequest::new(Time(1_795_694_400_000));
    request.pace = Duration::ZERO;
    request.recipient = Some("Bob@example.org".to_owned());
    request
}

async fn gathered(respond: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Snapshot {
    gather(&config(respond), &request(), &mut |_| {}).await.unwrap()
}

fn denied(operation: &str) -> (u16, String) {
    // XML services have operations without a blank or a point
    let is_xml = !operation.contains(['.', ' ']);
    (403, if is_xml { DENIED_XML } else { DENIED }.to_owned())
}

/// Responses of an account with everything; other operations are denied.
fn response_or_denied(operation: &str) -> (u16, String) {
    response(operation).map_or_else(|| denied(operation), |response| (200, response))
}

#[tokio::test]
async fn gather_converts_each_response_to_a_snapshot_part() {
    let snapshot = gathered(response_or_denied).await;
    let json = snapshot.to_json(true).unwrap();
    let notifications = &snapshot.identities.value().unwrap()[0].notifications;
    let topic = "arn:aws:sns:eu-west-1:123456789012:classic";
    assert_eq!(notifications.value().unwrap().bounce_topic.as_deref(), Some(topic), "{json}");
    let reputation = snapshot.tenants.value().unwrap()[0].reputation.value().unwrap();
    assert_eq!(reputation.aws.as_ref().unwrap().cause.as_deref(), Some("bounces"), "{json}");
    assert_eq!(snapshot.recommendations.value().unwrap()[0].kind, "DMARC");
    assert_eq!(snapshot.dedicated_ips.value().unwrap()[0].warmup_percent, 40);
    assert_eq!(snapshot.block_lists.value().unwrap()[0].list, "list.example");
    let recipient = snapshot.recipient.value().unwrap();
    assert_eq!(recipient.suppressed, Part::Value(Some("COMPLAINT".to_owned())), "{json}");
    let organizations = snapshot.workmail.value().unwrap();
    assert_eq!(organizations.len(), 1, "{json}");
    assert_eq!(organizations[0].dmarc_enforced, Part::Value(true));
    assert!(organizations[0].tracing.value().unwrap().is_some(), "{json}");
    let domain = organizations[0].domains.value().unwrap()[0].details.value().unwrap();
    assert_eq!((domain.dkim.as_str(), domain.records[0].kind.as_str()), ("PENDING", "MX"));
    let rules = snapshot.receipt_rules.value().unwrap().as_ref().unwrap();
    assert_eq!(rules[0].actions, ["lambda", "workmail"], "{json}");
}

#[tokio::test]
async fn denied_responses_name_their_action() {
    // lists are allowed, so that the calls about single resources are made
    let lists = [
        "GetCallerIdentity",
        "POST /v2/email/list-identities",
        "POST /v2/email/tenants/list",
        "WorkMailService.ListOrganizations",
        "GET /v2/email/dedicated-ips",
    ];
    let snapshot = gathered(move |operation| match response(operation) {
        Some(response) if lists.contains(&operation) => (200, response),
        _ => denied(operation),
    })
    .await;
    let action = |action: &str| Part::<()>::Denied(action.to_owned());
    let identity = &snapshot.identities.value().unwrap()[0];
    assert_eq!(
        identity.notifications.clone().map(drop),
        action("ses:GetIdentityNotificationAttributes")
    );
    let tenant = &snapshot.tenants.value().unwrap()[0];
    assert_eq!(tenant.reputation.clone().map(drop), action("ses:GetReputationEntity"));
    assert_eq!(snapshot.recommendations.map(drop), action("ses:ListRecommendations"));
    assert_eq!(snapshot.block_lists.map(drop), action("ses:GetDeliverabilityDashboardOptions"));
    let organization = &snapshot.workmail.value().unwrap()[0];
    assert_eq!(organization.domains.clone().map(drop), action("workmail:ListMailDomains"));
    assert_eq!(
        organization.dmarc_enforced.clone().map(drop),
        action("workmail:DescribeInboundDmarcSettings")
    );
    assert_eq!(
        organization.tracing.clone().map(drop),
        action("workmail:DescribeEmailMonitoringConfiguration")
    );
    assert_eq!(snapshot.receipt_rules.map(drop), action("ses:DescribeActiveReceiptRuleSet"));
    assert_eq!(
        snapshot.recipient.value().unwrap().suppressed.clone().map(drop),
        action("ses:GetSuppressedDestination")
    );
    assert_eq!(snapshot.send_statistics.map(drop), action("ses:GetSendStatistics"));
    assert_eq!(snapshot.metrics.map(drop), action("cloudwatch:GetMetricData"));
}

#[tokio::test]
async fn each_action_that_the_emulator_does_not_check_is_named() {
    for (action, end) in NOT_CHECKED_BY_EMULATOR {
        let snapshot = gathered(move |operation| match response(operation) {
            Some(response) if !operation.ends_with(end) => (200, response),
            _ => denied(operation),
        })
        .await;
        let findings = judge(&snapshot, &Figures::default());
        let needed: BTreeSet<&str> = findings
            .iter()
            .filter(|finding| finding.level == FindingLevel::Unknown)
            .filter_map(|finding| Some(finding.fix.split_once("needs ")?.1.split_once(": ")?.0))
            .collect();
        assert!(needed.contains(action), "{action}: {findings:?}");
    }
}

#[tokio::test]
async fn missing_entry_is_no_suppression_and_throttling_is_an_error() {
    let snapshot = gathered(|operation| {
        if operation.starts_with("GET /v2/email/suppression") {
            (404, r#"{"__type": "NotFoundException", "message": "no entry"}"#.to_owned())
        } else if operation == "GET /v2/email/account" {
            (429, r#"{"__type": "TooManyRequestsException", "message": "slow down"}"#.to_owned())
        } else {
            response_or_denied(operation)
        }
    })
    .await;
    assert_eq!(snapshot.recipient.value().unwrap().suppressed, Part::Value(None));
    let Part::Error(failure) = &snapshot.account else { panic!("{:?}", snapshot.account) };
    assert_eq!(failure.action, "ses:GetAccount");
    assert_eq!(failure.message, "TooManyRequestsException slow down");
}

#[tokio::test]
async fn failed_metric_is_an_error_not_a_missing_point() {
    let snapshot = gathered(|operation| {
        if operation.contains("/operation/GetMetricData") {
            let result = r#"{"MetricDataResults": [{"Id": "m0", "StatusCode": "InternalError"}]}"#;
            return (200, result.to_owned());
        }
        response_or_denied(operation)
    })
    .await;
    let Part::Error(failure) = &snapshot.metrics else { panic!("{:?}", snapshot.metrics) };
    assert_eq!(failure.message, "StatusCode InternalError");
}

#[tokio::test]
async fn identity_is_found_in_any_case_and_account_is_required() {
    let config = config(|operation| match operation {
        "GetCallerIdentity" => {
            (200, response(operation).unwrap().replace("<Account>123456789012</Account>", ""))
        }
        "GET /v2/email/identities/example.com" => (200, "{}".to_owned()),
        _ => response_or_denied(operation),
    });
    let request = GatherRequest { identities: vec!["EXAMPLE.com".to_owned()], ..request() };
    let snapshot = gather(&config, &request, &mut |_| {}).await.unwrap();
    let identities = snapshot.identities.value().unwrap();
    assert_eq!(identities.len(), 1, "{identities:?}");
    assert!(identities[0].details.value().is_some(), "{identities:?}");
    assert!(matches!(snapshot.account_id, Part::Error(_)), "{:?}", snapshot.account_id);
}

#[tokio::test]
async fn rejected_credentials_end_the_run_after_one_call() {
    let config = config(|operation| {
        assert_eq!(operation, "GetCallerIdentity");
        let error = DENIED_XML.replace("AccessDenied", "InvalidClientTokenId");
        (403, error)
    });
    let mut calls = 0;
    let result = gather(&config, &request(), &mut |_| calls += 1).await;
    assert!(matches!(result, Err(GatherError::Credentials(_))), "{result:?}");
    assert_eq!(calls, 1);
}

#[tokio::test]
async fn queue_of_an_unknown_form_is_an_error_before_any_call() {
    let config = config(|operation| panic!("{operation}"));
    let mut request = request();
    request.queues = vec!["bounces".to_owned()];
    let result = gather(&config, &request, &mut |_| {}).await;
    let error = result.unwrap_err().to_string();
    assert_eq!(error, "`bounces` is neither the URL nor the ARN of a queue");
}

/// Responses of an account with everything and with 40 identities.
fn response_with_40_identities(operation: &str) -> (u16, String) {
    if operation == "POST /v2/email/list-identities" {
        let entry =
            |at| format!(r#"{{"IdentityType": "DOMAIN", "IdentityName": "d{at}.example"}}"#);
        let entries: Vec<String> = (0..40).map(entry).collect();
        return (200, format!(r#"{{"EmailIdentities": [{}]}}"#, entries.join(",")));
    }
    response_or_denied(operation)
}

/// Returns settings with a latency of each call.
fn with_latency(config: &SdkConfig, latency: Duration) -> SdkConfig {
    let client = config.http_client().unwrap();
    let client = http_client_fn(move |settings, components| {
        let connector = client.http_connector(settings, components);
        SharedHttpConnector::new(SlowConnector { connector, latency })
    });
    config.to_builder().http_client(client).build()
}

#[derive(Debug)]
struct SlowConnector {
    connector: SharedHttpConnector,
    latency: Duration,
}

impl HttpConnector for SlowConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (call, latency) = (self.connector.call(request), self.latency);
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(latency).await;
            call.await
        })
    }
}

/// The pace of SES holds between any two calls of SES; other services are not delayed. The clock is paused.
#[tokio::test(start_paused = true)]
async fn calls_of_ses_are_paced_and_40_identities_take_less_than_a_minute() {
    for (latency, gap_min, total_max) in [(0, 1_050, 60), (150, 1_050, 60), (400, 1_450, 90)] {
        let config = config(response_with_40_identities);
        let config = with_latency(&config, Duration::from_millis(latency));
        let mut request = request();
        request.pace = SES_PACE;
        let start = tokio::time::Instant::now();
        let mut times = Vec::new();
        let result = gather(&config, &request, &mut |progress| {
            if progress.action.as_str().starts_with("ses:") {
                times.push(start.elapsed());
            }
        })
        .await;
        let identities = result.unwrap().identities;
        assert_eq!(identities.value().unwrap().len(), 40);
        let mut gaps = times.windows(2).map(|pair| pair[1].checked_sub(pair[0]).unwrap());
        assert!(gaps.all(|gap| gap >= Duration::from_millis(gap_min)), "{latency}: {times:?}");
        assert!(
            start.elapsed() < Duration::from_secs(total_max),
            "{latency}: {:?}",
            start.elapsed()
        );
    }
}
