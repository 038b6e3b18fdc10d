//! AWS as the SDK's usual settings give it (environment, profile, role), for queues, logs and buckets alike.

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

/// Opens buckets with the SDK's settings.
#[derive(Debug, Clone)]
pub struct Buckets {
    config: SdkConfig,
}

impl Buckets {
    /// Buckets under some settings.
    pub fn new(config: SdkConfig) -> Self {
        Self { config }
    }

    /// Opens a bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// If its name or the settings make no address.
    pub fn open(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        let region = self.config.region().map_or("us-east-1", |region| region.as_ref());
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
