//! Keys of topics and queues.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyMetadata;

use crate::gather::action::Action;
use crate::gather::call::{Caller, text};
use crate::gather::regions::{AwsResource, config_in, no_arn};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Key, Keys, key_arn};
use crate::snapshot::part::Part;

pub(super) async fn keys(config: &SdkConfig, snapshot: &Snapshot, caller: &mut Caller<'_>) -> Keys {
    let mut keys = Keys::new();
    for name in names(snapshot) {
        let Some(resource) = AwsResource::of_arn(&name) else {
            keys.insert(name, no_arn(Action::KmsDescribeKey));
            continue;
        };
        let client = Client::new(&config_in(config, &resource.region));
        let call = client.describe_key().key_id(&name).send();
        let response = caller.call(Action::KmsDescribeKey, &name, call).await;
        let mut key = response.map(|response| {
            let metadata = response.key_metadata();
            let key = Key {
                manager: text(metadata.and_then(|key| Some(key.key_manager()?.as_str()))),
                state: text(metadata.and_then(|key| Some(key.key_state()?.as_str()))),
                ..Key::default()
            };
            (key, text(metadata.map(KeyMetadata::key_id)))
        });
        if let Part::Value((key, id)) = &mut key {
            // the policy of a key is read by its ID, not by an alias
            let call = client.get_key_policy().key_id(id.as_str()).policy_name("default").send();
            let response = caller.call(Action::KmsGetKeyPolicy, &name, call).await;
            key.policy = response.map(|response| response.policy.unwrap_or_default());
        }
        keys.insert(name, key.map(|(key, _)| key));
    }
    keys
}

/// ARNs of the keys of topics and queues. Keys that AWS manages are known by their alias.
fn names(snapshot: &Snapshot) -> BTreeSet<String> {
    let topics = snapshot
        .topics
        .iter()
        .filter_map(|(arn, topic)| Some((arn, topic.attributes.value()?.key.as_ref()?)));
    let queues =
        snapshot.queues.iter().filter_map(|(arn, queue)| Some((arn, queue.value()?.key.as_ref()?)));
    topics
        .chain(queues)
        .filter(|(_, key)| !key.contains("alias/aws/"))
        .map(|(arn, key)| key_arn(key, arn))
        .collect()
}
