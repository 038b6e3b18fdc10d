//! SDK settings with a scripted server, for responses that real servers send rarely.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::infallible_client_fn;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// SDK settings that send all calls to `respond`, which maps action and body to status and response.
pub(crate) fn config(
    respond: impl Fn(&str, &Value) -> (u16, Value) + Send + Sync + 'static,
) -> SdkConfig {
    let client = infallible_client_fn(move |request| {
        // `SERVICE.ACTION`
        let target = request.headers().get("x-amz-target").unwrap().to_str().unwrap();
        let action = target.split('.').nth(1).unwrap();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, response) = respond(action, &body);
        http::Response::builder().status(status).body(SdkBody::from(response.to_string())).unwrap()
    });
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(client)
        .build()
}
