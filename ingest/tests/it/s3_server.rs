//! An S3 server, and runs that read from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bouncewatch_fixtures::bucket_server::BucketServer;
use bouncewatch_ingest::pipeline::{IngestSettings, IngestSummary, Source, run};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bouncewatch_store::aws::Buckets;
use tokio::sync::watch;

/// Starts a server with one bucket.
pub(crate) fn server(bucket: &str) -> (BucketServer, Buckets) {
    let tools = std::env::var("BOUNCEWATCH_TOOLS")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"), PathBuf::from);
    let server = BucketServer::start(&tools).unwrap();
    server.make_bucket(bucket).unwrap();
    let buckets = buckets(&server.url());
    (server, buckets)
}

/// S3 clients for an endpoint.
pub(crate) fn buckets(url: &str) -> Buckets {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    Buckets::new(config)
}

/// S3 clients for an endpoint that does not exist, for tests that send no request.
pub(crate) fn unreachable_buckets() -> Buckets {
    buckets("http://127.0.0.1:9")
}

/// Ingests sources into a store; `stopped` stops the run at its start.
pub(crate) async fn ingest(sources: Vec<Source>, store: &Store, stopped: bool) -> IngestSummary {
    let (_keep, stop) = watch::channel(stopped);
    let settings = IngestSettings { workers: 2, ..IngestSettings::default() };
    let clock = Arc::new(|| 1_800_000_000_000);
    run(sources, store.clone(), settings, clock, Arc::new(Telemetry::new()), stop).await.unwrap()
}

/// Send events with one recipient each, one event per line.
pub(crate) fn sends(prefix: &str, count: usize) -> String {
    let send = |number: usize| {
        format!(
            r#"{{"eventType":"Send","mail":{{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"{prefix}-{number}","destination":["user{number}@example.org"]}},"send":{{}}}}{}"#,
            "\n"
        )
    };
    (0..count).map(send).collect()
}
