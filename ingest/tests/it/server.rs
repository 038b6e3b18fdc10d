//! A server for buckets, and runs against it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bouncewatch_fixtures::bucket_server::BucketServer;
use bouncewatch_ingest::pipeline::{Settings, Source, Summary, run};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bouncewatch_store::aws::Buckets;
use tokio::sync::watch;

/// Starts a server and makes a bucket in it.
pub(crate) fn server(bucket: &str) -> (BucketServer, Buckets) {
    let tools = std::env::var("BOUNCEWATCH_TOOLS")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools"), PathBuf::from);
    let server = BucketServer::start(&tools).unwrap();
    server.make_bucket(bucket).unwrap();
    let buckets = buckets(&server.url());
    (server, buckets)
}

/// Buckets at an address.
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

/// Buckets where nobody listens, for tests that ask none.
pub(crate) fn nowhere() -> Buckets {
    buckets("http://127.0.0.1:9")
}

/// Takes sources into a store.
pub(crate) async fn ingest(sources: Vec<Source>, store: &Store, stopped: bool) -> Summary {
    let (_keep, stop) = watch::channel(stopped);
    let settings = Settings { workers: 2, ..Settings::default() };
    let clock = Arc::new(|| 1_800_000_000_000);
    run(sources, store.clone(), settings, clock, Arc::new(Telemetry::new()), stop).await.unwrap()
}

/// Events of messages that were sent to one recipient each, a line each.
pub(crate) fn sends(prefix: &str, count: usize) -> String {
    let send = |number: usize| {
        format!(
            r#"{{"eventType":"Send","mail":{{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"{prefix}-{number}","destination":["user{number}@example.org"]}},"send":{{}}}}{}"#,
            "\n"
        )
    };
    (0..count).map(send).collect()
}
