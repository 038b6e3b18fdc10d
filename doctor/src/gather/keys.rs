//! Keys of topics and queues.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyMetadata;

use crate::gather::action::Action;
use crate::gather::call::{Caller, text};
use crate::gather::regions::{Place, config_in};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Key, Keys};

pub(super) async fn keys(config: &SdkConfig, snapshot: &Snapshot, caller: &mut Caller<'_>) -> Keys {
    let mut keys = Keys::new();
    for (name, region) in names(snapshot) {
        let client = Client::new(&config_in(config, &region));
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
        if let crate::snapshot::part::Part::Value((key, id)) = &mut key {
            // the policy of a key is read by its ID, not by an alias
            let call = client.get_key_policy().key_id(id.as_str()).policy_name("default").send();
            let response = caller.call(Action::KmsGetKeyPolicy, &name, call).await;
            key.policy = response.map(|response| response.policy.unwrap_or_default());
        }
        keys.insert(name, key.map(|(key, _)| key));
    }
    keys
}

/// Keys with the regions of their topics and queues. Keys that AWS manages are known by their alias.
fn names(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let topics = snapshot
        .topics
        .iter()
        .filter_map(|(arn, topic)| Some((arn, topic.attributes.value()?.key.as_ref()?)));
    let queues =
        snapshot.queues.iter().filter_map(|(arn, queue)| Some((arn, queue.value()?.key.as_ref()?)));
    topics
        .chain(queues)
        .filter(|(_, key)| !key.contains("alias/aws/"))
        .filter_map(|(arn, key)| Some((key.clone(), Place::of_arn(arn)?.region)))
        .collect()
}
