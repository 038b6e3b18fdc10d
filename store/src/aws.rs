//! AWS settings from the default chain of the SDK (environment, profile, role), S3 buckets, and descriptions of S3
//! errors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use bouncewatch_schemas::arn::Arn;
use bouncewatch_schemas::text::error_chain;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::path::Path;
use object_store::{CredentialProvider, ObjectStore, ObjectStoreExt};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::Instant;

/// Read timeout of a connection, longer than the longest poll of a queue (20 s).
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// Time for which credentials are cached. The SDK renews them minutes before they expire.
const CREDENTIALS_TTL: Duration = Duration::from_mins(1);

/// Loads the AWS settings. `region` overrides the region of the settings; `endpoint_url` overrides the endpoints of all
/// services.
pub async fn load(region: Option<String>, endpoint_url: Option<&str>) -> SdkConfig {
    let region = RegionProviderChain::first_try(region.map(Region::new)).or_default_provider();
    // the SDK has no read timeout: a connection lost during a long poll would hang forever
    let timeouts = TimeoutConfig::builder().read_timeout(READ_TIMEOUT).build();
    let loader =
        aws_config::defaults(BehaviorVersion::latest()).region(region).timeout_config(timeouts);
    match endpoint_url {
        Some(url) => loader.endpoint_url(url).load().await,
        None => loader.load().await,
    }
}

/// Maximum number of cached clients, one per bucket. Most runs read far fewer buckets.
const BUCKETS_OPEN_MAX: usize = 64;

/// Region and name of a bucket.
type BucketKey = (String, String);

/// Opens buckets with the AWS settings. Caches one client per region and bucket.
#[derive(Debug, Clone)]
pub struct Buckets {
    config: Arc<OnceCell<SdkConfig>>,
    /// Endpoint for settings that are not loaded yet.
    endpoint_url: Option<String>,
    open: Arc<std::sync::Mutex<BTreeMap<BucketKey, Arc<dyn ObjectStore>>>>,
}

impl Buckets {
    /// Opens buckets with these settings.
    pub fn new(config: SdkConfig) -> Self {
        let config = Arc::new(OnceCell::new_with(Some(config)));
        Self { config, endpoint_url: None, open: Arc::default() }
    }

    /// Opens buckets with the settings of [`load`], which are loaded when the first bucket is opened.
    pub fn load_on_first_use(endpoint_url: Option<&str>) -> Self {
        let endpoint_url = endpoint_url.map(str::to_owned);
        Self { config: Arc::default(), endpoint_url, open: Arc::default() }
    }

    /// Opens a bucket in the region of the settings. Sends no request to S3.
    ///
    /// # Errors
    /// If the name or the settings do not form a valid URL.
    pub async fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        self.open_in(None, bucket).await
    }

    /// Opens a bucket in a region. Sends no request to S3. Checks name and region, because both can
    /// come from a message and become part of a URL to which credentials are sent.
    ///
    /// # Errors
    /// If the name, the region or the settings do not form a valid URL.
    pub async fn open_in(
        &self,
        region: Option<&str>,
        bucket: &str,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let invalid = |region: &str| object_store::Error::Generic {
            store: "S3",
            source: format!("`{bucket}` in region `{region}` is not a valid bucket").into(),
        };
        // checked before the settings are loaded
        if !is_bucket_name(bucket) {
            return Err(invalid(region.unwrap_or_default()));
        }
        let load = || load(None, self.endpoint_url.as_deref());
        let config = self.config.get_or_init(load).await;
        let region = region.or_else(|| config.region().map(AsRef::as_ref)).unwrap_or("us-east-1");
        if !is_region_name(region) {
            return Err(invalid(region));
        }
        let key = (region.to_owned(), bucket.to_owned());
        let lock = || self.open.lock().expect("lock is never poisoned: no panic while held");
        if let Some(objects) = lock().get(&key) {
            return Ok(Arc::clone(objects));
        }
        let objects = build(config, region, bucket)?;
        let mut open = lock();
        if open.len() >= BUCKETS_OPEN_MAX {
            open.clear();
        }
        open.insert(key, Arc::clone(&objects));
        Ok(objects)
    }
}

/// Writes and removes single objects.
impl Buckets {
    /// Writes an object.
    ///
    /// # Errors
    /// If the bucket cannot be opened or written.
    pub async fn write(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), S3Error> {
        let failed = |error| S3Error::new(&error, "s3:PutObject");
        let objects = self.open(bucket).await.map_err(failed)?;
        objects.put(&Path::from(key), bytes.into()).await.map(drop).map_err(failed)
    }

    /// Removes an object.
    ///
    /// # Errors
    /// If the bucket cannot be opened or the object cannot be removed.
    pub async fn remove(&self, bucket: &str, key: &str) -> Result<(), S3Error> {
        let failed = |error| S3Error::new(&error, "s3:DeleteObject");
        let objects = self.open(bucket).await.map_err(failed)?;
        objects.delete(&Path::from(key)).await.map_err(failed)
    }
}

fn build(
    config: &SdkConfig,
    region: &str,
    bucket: &str,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(region);
    if let Some(provider) = config.credentials_provider() {
        let cached = Mutex::new(None);
        builder = builder.with_credentials(Arc::new(CachedCredentials { provider, cached }));
    }
    if let Some(url) = config.endpoint_url() {
        builder = builder.with_endpoint(url).with_allow_http(url.starts_with("http://"));
    }
    Ok(Arc::new(builder.build()?))
}

/// An error of S3: the cause in one line, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    /// Cause.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
}

impl S3Error {
    /// Describes an error of the S3 client. `action` is the IAM action of the request.
    pub fn new(error: &object_store::Error, action: &str) -> Self {
        let text = error.to_string();
        let between = |from: &str, to: &str| {
            text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(value, _)| value)
        };
        let code = between("<Code>", "</Code>").unwrap_or_default();
        let hinted = |why: String, hint: &str| Self { why, hint: Some(hint.to_owned()) };
        // without credentials no request is sent, so there is no error code
        let no_credentials = !text.contains("Error performing") && text.contains("credential");
        if CREDENTIAL_CODES.contains(&code) || no_credentials {
            let code = if code.is_empty() { "no credentials found" } else { code };
            let hint = "`aws sts get-caller-identity` shows the credentials in use; renew them (`aws sso login`, a new session, the instance role)";
            return hinted(format!("AWS does not accept the credentials: {code}"), hint);
        }
        if matches!(
            error,
            object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
        ) {
            let hint = format!(
                "allow {action} for these credentials, and kms:Decrypt if the bucket is encrypted with a customer managed key; without s3:ListBucket, S3 also reports a missing object as access denied"
            );
            return hinted(format!("access denied: {action}"), &hint);
        }
        if text.contains("Received redirect") || code == "PermanentRedirect" {
            return hinted(
                "the bucket is in another region".to_owned(),
                "set AWS_REGION to its region",
            );
        }
        if code == "NoSuchBucket" {
            return hinted(
                "no such bucket".to_owned(),
                "check the name; `aws s3 ls` lists the buckets",
            );
        }
        if matches!(error, object_store::Error::InvalidPath { .. }) {
            let hint = "keys with an empty part (`a//b`), with a part `.` or `..`, or with control characters are not supported; use a prefix without such keys, or copy the object to another key";
            return hinted(text, hint);
        }
        let why = match between("<Message>", "</Message>") {
            Some(message) => format!("{code}: {message}"),
            None => error_chain(error),
        };
        let hint = if code.is_empty() { connection_hint(&text) } else { None };
        Self { why, hint: hint.map(str::to_owned) }
    }

    /// Cause and hint in one line.
    pub fn one_line(&self) -> String {
        match &self.hint {
            None => self.why.clone(),
            Some(hint) => format!("{} ({hint})", self.why),
        }
    }
}

impl std::fmt::Display for S3Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Error codes of S3 for missing, wrong or expired credentials (S3 API reference, "Error responses").
const CREDENTIAL_CODES: [&str; 5] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Describes an SDK error without an error code, which means that no response arrived. Adds a hint
/// for common causes.
pub fn no_response_reason(error: &dyn std::error::Error) -> String {
    let chain = error_chain(error);
    let hint = connection_hint(&chain).map(|hint| format!("\n  hint: {hint}"));
    chain + &hint.unwrap_or_default()
}

/// Returns a hint for a connection error; `None` for other errors.
fn connection_hint(chain: &str) -> Option<&'static str> {
    let has = |parts: &[&str]| parts.iter().any(|part| chain.contains(part));
    if has(&["Missing Region", "missing signing region"]) {
        return Some(
            "set the region: AWS_REGION=eu-west-1, `region` in the AWS profile, or a full ARN",
        );
    }
    let no_connection = ["(Connect)", "tcp connect error", "error sending request", "timeout"];
    has(&no_connection).then_some(
        "check the network, the name of the region, and --endpoint-url or AWS_ENDPOINT_URL if one is set",
    )
}

/// Whether a text has the form of a region name, and can be part of a URL to which credentials are sent.
pub fn is_region_name(text: &str) -> bool {
    consists_of(text, b"-")
}

/// Whether a text has the form of an AWS account ID: 12 digits.
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is the ARN of an SNS topic: `arn:aws:sns:REGION:ACCOUNT:NAME`.
pub fn is_topic_arn(text: &str) -> bool {
    Arn::parse(text).is_some_and(|arn| {
        arn.partition.starts_with("aws")
            && arn.service == "sns"
            && is_region_name(arn.region)
            && is_account_id(arn.account)
            && consists_of(arn.resource, b"-_.")
    })
}

/// Whether a text can be the name of a bucket.
pub fn is_bucket_name(text: &str) -> bool {
    consists_of(text, b"-._") && !text.starts_with('.')
}

/// Whether a text is not empty and consists of ASCII letters, digits and some other bytes.
fn consists_of(text: &str, others: &[u8]) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Provides SDK credentials to the S3 client, which requests them for each call. Caches them for
/// [`CREDENTIALS_TTL`].
#[derive(Debug)]
struct CachedCredentials {
    provider: SharedCredentialsProvider,
    cached: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

#[async_trait]
impl CredentialProvider for CachedCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, object_store::Error> {
        let mut cached = self.cached.lock().await;
        if let Some((since, credential)) = cached.as_ref()
            && since.elapsed() < CREDENTIALS_TTL
        {
            return Ok(Arc::clone(credential));
        }
        let found = self.provider.provide_credentials().await.map_err(|source| {
            object_store::Error::Generic { store: "S3", source: Box::new(source) }
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *cached = Some((Instant::now(), Arc::clone(&credential)));
        Ok(credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets() -> Buckets {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .build();
        Buckets::new(config)
    }

    #[tokio::test]
    async fn open_in_refuses_invalid_bucket_and_region_names() {
        let buckets = buckets();
        for (region, bucket) in [
            (None, "archive/../x"),
            (None, ""),
            (None, "a?b"),
            (None, "a@b"),
            (Some("evil.example/#"), "archive"),
            (Some("evil.example"), "archive"),
            (Some(""), "archive"),
        ] {
            let error = buckets.open_in(region, bucket).await.unwrap_err().to_string();
            assert!(error.contains("is not a valid bucket"), "{region:?} {bucket}: {error}");
        }
        assert!(buckets.open_in(Some("us-gov-west-1"), "a.b-c_d").await.is_ok());
    }

    #[test]
    fn topic_arn_needs_service_region_account_and_name() {
        for (text, expected) in [
            ("arn:aws:sns:eu-west-1:123456789012:alarms", true),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:alarms.fifo", true),
            ("arn:aws:sqs:eu-west-1:123456789012:alarms", false),
            ("arn:aws:sns::123456789012:alarms", false),
            ("arn:aws:sns:eu-west-1:12345:alarms", false),
            ("arn:aws:sns:eu-west-1:123456789012:", false),
            ("arn:aws:sns:eu-west-1:123456789012:alarms:0a1b", false),
            ("alarms", false),
        ] {
            assert_eq!(is_topic_arn(text), expected, "{text}");
        }
    }

    #[test]
    fn missing_region_and_refused_connection_have_a_hint() {
        let hint = |chain| connection_hint(chain).unwrap_or_default();
        assert!(hint("other: Invalid Configuration: Missing Region").contains("AWS_REGION"));
        assert!(hint("client error (Connect): tcp connect error").contains("--endpoint-url"));
        assert_eq!(connection_hint("InvalidParameter"), None);
    }

    #[tokio::test]
    async fn open_returns_the_same_client_for_the_same_bucket() {
        let buckets = buckets();
        let one = buckets.open("archive").await.unwrap();
        let open_in = async |region| buckets.open_in(Some(region), "archive").await.unwrap();
        assert!(Arc::ptr_eq(&one, &open_in("eu-west-1").await));
        assert!(!Arc::ptr_eq(&one, &open_in("us-east-1").await));
        for number in 0..BUCKETS_OPEN_MAX * 2 {
            buckets.open(&format!("bucket-{number}")).await.unwrap();
        }
        assert!(buckets.open.lock().unwrap().len() <= BUCKETS_OPEN_MAX);
    }

    #[test]
    fn s3_error_has_cause_and_hint() {
        let generic = |text: &str| object_store::Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        };
        let denied = object_store::Error::PermissionDenied {
            path: "k".to_owned(),
            source: "Error performing GET".into(),
        };
        assert_eq!(S3Error::new(&denied, "s3:GetObject").why, "access denied: s3:GetObject");
        let expired = generic("status: 400: <Error><Code>ExpiredToken</Code><Message>x</Message>");
        assert!(S3Error::new(&expired, "a").to_string().contains("ExpiredToken\n  hint: "));
        let slow = generic("503: <Error><Code>SlowDown</Code><Message>Reduce it</Message></Error>");
        assert_eq!(
            S3Error::new(&slow, "a"),
            S3Error { why: "SlowDown: Reduce it".into(), hint: None }
        );
        let elsewhere = generic("Received redirect without LOCATION");
        assert!(S3Error::new(&elsewhere, "a").one_line().contains("AWS_REGION"));
    }
}
