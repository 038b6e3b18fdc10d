//! AWS as the SDK's usual settings give it (environment, profile, role), for queues, logs and buckets alike.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::{CredentialProvider, ObjectStore};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Longest silence of a connection: more than the longest poll of a queue.
const READ_TIMEOUT: Duration = Duration::from_secs(45);
/// How long credentials are used before they are asked for again; the SDK renews them minutes before they expire.
const CREDENTIALS_KEPT: Duration = Duration::from_mins(1);

/// Loads the settings.
///
/// The region is the given one, else that of the settings. `endpoint_url` is where AWS is, if not where it always is.
pub async fn load(region: Option<String>, endpoint_url: Option<&str>) -> SdkConfig {
    let region = RegionProviderChain::first_try(region.map(Region::new)).or_default_provider();
    // the SDK has no read timeout of its own, and a connection that died during a long poll would never tell
    let timeouts = TimeoutConfig::builder().read_timeout(READ_TIMEOUT).build();
    let loader =
        aws_config::defaults(BehaviorVersion::latest()).region(region).timeout_config(timeouts);
    match endpoint_url {
        Some(url) => loader.endpoint_url(url).load().await,
        None => loader.load().await,
    }
}

/// Buckets that are kept open; more than one account points to.
const BUCKETS_OPEN_MAX: usize = 64;

/// A bucket by its region and its name.
type Place = (String, String);

/// Opens buckets with the SDK's settings, each once.
#[derive(Debug, Clone)]
pub struct Buckets {
    config: SdkConfig,
    open: Arc<std::sync::Mutex<BTreeMap<Place, Arc<dyn ObjectStore>>>>,
}

impl Buckets {
    /// Buckets under some settings.
    pub fn new(config: SdkConfig) -> Self {
        Self { config, open: Arc::default() }
    }

    /// Opens a bucket in the region of the settings; nothing is asked of it yet.
    ///
    /// # Errors
    /// If its name or the settings make no address.
    pub fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        self.open_in(None, bucket)
    }

    /// Opens a bucket in a region. Its name and the region become a part of an address to which credentials go, so
    /// both are checked: they may come from a message.
    ///
    /// # Errors
    /// If its name, the region or the settings make no address.
    pub fn open_in(
        &self,
        region: Option<&str>,
        bucket: &str,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let region =
            region.or_else(|| self.config.region().map(AsRef::as_ref)).unwrap_or("us-east-1");
        let is_plain = |text: &str, further: &[u8]| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || further.contains(&byte);
            !text.is_empty() && text.bytes().all(plain)
        };
        if !is_plain(bucket, b"-._") || bucket.starts_with('.') || !is_plain(region, b"-") {
            return Err(object_store::Error::Generic {
                store: "S3",
                source: format!("`{bucket}` in region `{region}` is no bucket").into(),
            });
        }
        let place = (region.to_owned(), bucket.to_owned());
        let lock = || self.open.lock().expect("nobody panics while holding this lock");
        if let Some(objects) = lock().get(&place) {
            return Ok(Arc::clone(objects));
        }
        let objects = self.build(region, bucket)?;
        let mut open = lock();
        if open.len() >= BUCKETS_OPEN_MAX {
            open.clear();
        }
        open.insert(place, Arc::clone(&objects));
        Ok(objects)
    }

    fn build(
        &self,
        region: &str,
        bucket: &str,
    ) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(region);
        if let Some(provider) = self.config.credentials_provider() {
            let known = Mutex::new(None);
            builder = builder.with_credentials(Arc::new(Credentials { provider, known }));
        }
        if let Some(url) = self.config.endpoint_url() {
            builder = builder.with_endpoint(url).with_allow_http(url.starts_with("http://"));
        }
        Ok(Arc::new(builder.build()?))
    }
}

/// What S3 has against a request, in a line, and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refusal {
    /// Reads an error of the S3 client; `action` is the IAM action that was in use.
    pub fn of(error: &object_store::Error, action: &str) -> Self {
        let text = error.to_string();
        let between = |from: &str, to: &str| {
            text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(word, _)| word)
        };
        let code = between("<Code>", "</Code>").unwrap_or_default();
        let told = |why: String, hint: &str| Self { why, hint: Some(hint.to_owned()) };
        // an answer of S3 has a code; before there is one, the credentials may be missing
        let none_found = !text.contains("Error performing") && text.contains("credential");
        if CREDENTIAL_CODES.contains(&code) || none_found {
            let code = if code.is_empty() { "none were found" } else { code };
            let hint = "`aws sts get-caller-identity` tells which are used; renew them (`aws sso login`, a new session, the instance's role)";
            return told(format!("AWS does not accept the credentials: {code}"), hint);
        }
        if matches!(
            error,
            object_store::Error::PermissionDenied { .. }
                | object_store::Error::Unauthenticated { .. }
        ) {
            let hint = format!(
                "allow {action} for these credentials, and kms:Decrypt where the bucket is encrypted with a key of yours; without s3:ListBucket, S3 also says so of what is not there"
            );
            return told(format!("access denied: {action}"), &hint);
        }
        if text.contains("Received redirect") || code == "PermanentRedirect" {
            return told(
                "the bucket is in another region".to_owned(),
                "set AWS_REGION to its region",
            );
        }
        if code == "NoSuchBucket" {
            return told(
                "no such bucket".to_owned(),
                "check its name; `aws s3 ls` tells what there is",
            );
        }
        if matches!(error, object_store::Error::InvalidPath { .. }) {
            let hint = "keys with an empty part (`a//b`), with `.` or `..` as a part, or with control characters cannot be read; give a prefix that has none, or copy the object to another key";
            return told(text, hint);
        }
        let why = match between("<Message>", "</Message>") {
            Some(message) => format!("{code}: {message}"),
            None => text,
        };
        Self { why, hint: None }
    }

    /// The same in one line.
    pub fn line(&self) -> String {
        match &self.hint {
            None => self.why.clone(),
            Some(hint) => format!("{} ({hint})", self.why),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

/// Codes by which S3 says that credentials are missing, wrong or expired.
const CREDENTIAL_CODES: [&str; 5] = [
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
];

/// Whether a code by which another service refuses a call says that credentials are missing, wrong or expired.
pub fn is_credential_code(code: &str) -> bool {
    matches!(
        code,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidSecurity"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
    )
}

/// An error and what is behind it, in their own words. Not as `Debug` has it: an answer that cannot be read is in there,
/// with messages and the mailboxes in them (invariant I-8).
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |told, cause| format!("{told}: {cause}"))
}

/// Whether a word may become a part of an address to which credentials go, as a region does.
pub fn is_region(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The SDK's credentials for the S3 client, which asks for them with each request.
#[derive(Debug)]
struct Credentials {
    provider: SharedCredentialsProvider,
    known: Mutex<Option<(Instant, Arc<AwsCredential>)>>,
}

#[async_trait]
impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> Result<Arc<AwsCredential>, object_store::Error> {
        let mut known = self.known.lock().await;
        if let Some((since, credential)) = known.as_ref()
            && since.elapsed() < CREDENTIALS_KEPT
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
        *known = Some((Instant::now(), Arc::clone(&credential)));
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

    #[test]
    fn credentials_go_to_buckets_only() {
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
            let error = buckets.open_in(region, bucket).unwrap_err().to_string();
            assert!(error.contains("is no bucket"), "{region:?} {bucket}: {error}");
        }
        assert!(buckets.open_in(Some("us-gov-west-1"), "a.b-c_d").is_ok());
    }

    #[test]
    fn a_bucket_is_opened_once() {
        let buckets = buckets();
        let one = buckets.open("archive").unwrap();
        assert!(Arc::ptr_eq(&one, &buckets.open_in(Some("eu-west-1"), "archive").unwrap()));
        assert!(!Arc::ptr_eq(&one, &buckets.open_in(Some("us-east-1"), "archive").unwrap()));
        for number in 0..BUCKETS_OPEN_MAX * 2 {
            buckets.open(&format!("bucket-{number}")).unwrap();
        }
        assert!(buckets.open.lock().unwrap().len() <= BUCKETS_OPEN_MAX);
    }

    #[test]
    fn what_s3_says_names_the_way_out() {
        let generic = |text: &str| object_store::Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        };
        let denied = object_store::Error::PermissionDenied {
            path: "k".to_owned(),
            source: "Error performing GET".into(),
        };
        assert_eq!(Refusal::of(&denied, "s3:GetObject").why, "access denied: s3:GetObject");
        let expired = generic("status: 400: <Error><Code>ExpiredToken</Code><Message>x</Message>");
        assert!(Refusal::of(&expired, "a").to_string().contains("ExpiredToken\n  hint: "));
        let slow = generic("503: <Error><Code>SlowDown</Code><Message>Reduce it</Message></Error>");
        assert_eq!(
            Refusal::of(&slow, "a"),
            Refusal { why: "SlowDown: Reduce it".into(), hint: None }
        );
        let elsewhere = generic("Received redirect without LOCATION");
        assert!(Refusal::of(&elsewhere, "a").line().contains("AWS_REGION"));
    }
}
