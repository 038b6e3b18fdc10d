//! Integration tests of the crate: payloads as data, sources against servers, and failures of store and network.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the environment and write files of their own"
)]

mod blocking_store;
mod compaction;
mod corpus;
mod fault_injecting_store;
mod format_version;
mod golden_segments;
mod logs;
mod maintenance;
mod metrics_endpoint;
mod objects;
mod queue;
mod retention;
mod s3_server;
mod scripted_aws;
mod scripted_sqs;
mod send_counts;
mod store_contract;
mod stored;
mod test_store;
