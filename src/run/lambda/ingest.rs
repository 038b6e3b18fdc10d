//! [`IngestJob`]: stores the messages of an invocation, and reports those that are not durable.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use bouncewatch_ingest::pipeline::{self, IngestSettings, Source};
use bouncewatch_ingest::source::objects::notifications::NotificationFollower;
use bouncewatch_ingest::source::sqs::records::{QueueEvent, RecordBatch};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use bouncewatch_store::aws::Buckets;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::environment::Environment;
use crate::cli::Command;
use crate::config::Config;
use crate::run::ingest::ingest_settings;
use crate::run::store_access::{MissingStore, open_store};

/// Time before the end of an invocation at which it stops waiting for the store: the answer must arrive in time.
const STOP_BEFORE: Duration = Duration::from_secs(5);
/// How long the last batch waits for the store after that.
const LAST_FLUSH: Duration = Duration::from_secs(3);

/// The job `ingest`.
pub(super) struct IngestJob {
    store: Store,
    settings: IngestSettings,
    buckets: Buckets,
    telemetry: Arc<Telemetry>,
}

impl IngestJob {
    /// Opens the store with the settings of the function.
    ///
    /// # Errors
    /// If a setting is invalid.
    pub(super) async fn new(environment: &Environment) -> anyhow::Result<Self> {
        let config = environment.config_file().await?;
        // the source is the event
        let cli = environment.parse(&["ingest", "-"], &environment.arguments, config.as_ref())?;
        let Command::Ingest(args) = cli.command else {
            return Err(anyhow!("the options are not options of `ingest`"));
        };
        let config = Config::read(config.as_deref())?;
        let store = open_store(&args.store, &args.aws, &config, MissingStore::Create).await?;
        let mut settings = ingest_settings(&args, &config)?;
        settings.workers = 1;
        settings.queue.follow = true;
        settings.limits.last_flush = LAST_FLUSH;
        let buckets = Buckets::load_on_first_use(args.aws.endpoint_url.as_deref());
        Ok(Self { store, settings, buckets, telemetry: Arc::new(Telemetry::new()) })
    }

    /// Stores the messages of an event. Returns those that are not durable; Lambda deletes all others from the queue.
    ///
    /// # Errors
    /// If the event has another form, or the store failed and no message is durable. Lambda deletes none then.
    pub(super) async fn invoke(&self, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
        let records = parse(event.payload)?.records;
        let ids: Vec<String> = records.iter().map(|record| record.message_id.clone()).collect();
        let (settlements, mut settled) = mpsc::unbounded_channel();
        let follower = Arc::new(NotificationFollower::new(self.buckets.clone()));
        let batch = RecordBatch { records, settlements, follower: Arc::clone(&follower) };
        let (request_stop, stop) = watch::channel(false);
        let stopping = tokio::spawn(stop_after(time_left(event.context.deadline), request_stop));
        let (store, settings) = (self.store.clone(), self.settings.clone());
        let (clock, telemetry) = (Arc::new(crate::now_ms), Arc::clone(&self.telemetry));
        let sources = vec![Source::Records(batch)];
        let ended = pipeline::run(sources, store, settings, clock, telemetry, stop).await;
        stopping.abort();
        let mut durable = BTreeSet::new();
        while let Ok(settlement) = settled.try_recv() {
            if settlement.durable {
                durable.insert(settlement.id);
            }
        }
        let failed: Vec<&String> = (0_u64..)
            .zip(&ids)
            .filter_map(|(id, name)| (!durable.contains(&id)).then_some(name))
            .collect();
        if let Some(error) = follower.take_failure() {
            tracing::error!(%error, "an object that a message points to was not read");
        }
        match ended {
            Ok(summary) => {
                let counts = &summary.counts;
                tracing::info!(
                    messages = ids.len(),
                    events = counts.events,
                    rows = counts.rows,
                    ignored = counts.ignored_total(),
                    quarantined = counts.quarantined_total(),
                    not_durable = failed.len(),
                    "messages ingested"
                );
            }
            // an error of the invocation raises the alarm, and lets Lambda send fewer messages
            Err(error) if durable.is_empty() => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, not_durable = failed.len(), "messages were not stored");
            }
        }
        let failed: Vec<Value> =
            failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
        Ok(json!({ "batchItemFailures": failed }))
    }
}

/// Parses the event. An error does not contain its content (invariant I-8).
fn parse(event: Value) -> anyhow::Result<QueueEvent> {
    let hint = "add an SQS trigger to this function, and no other one";
    let event: QueueEvent = serde_json::from_value(event).ok().with_context(|| {
        format!("not an event of an SQS trigger: no `Records` with messageId, body and eventSource\n  hint: {hint}")
    })?;
    let foreign = event.foreign_source();
    ensure!(
        foreign.is_none(),
        "not an event of an SQS trigger: eventSource is not aws:sqs\n  hint: {hint}"
    );
    Ok(event)
}

/// Time until the deadline of an invocation, epoch milliseconds.
fn time_left(deadline: u64) -> Duration {
    let now = u64::try_from(crate::now_ms()).unwrap_or_default();
    Duration::from_millis(deadline.saturating_sub(now))
}

async fn stop_after(time_left: Duration, request_stop: watch::Sender<bool>) {
    tokio::time::sleep(time_left.saturating_sub(STOP_BEFORE)).await;
    tracing::warn!("the time of the invocation ends; messages that are not stored are redelivered");
    request_stop.send_replace(true);
    // the receiver waits for the value
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_of_another_form_is_refused_without_its_content() {
        for event in [
            json!({}),
            json!({"Records": "user@example.com"}),
            json!({"Records": [{"messageId": "1", "body": "user@example.com"}]}),
            json!({"Records": [{"messageId": "1", "body": "b", "eventSource": "aws:sns"}]}),
            json!("user@example.com"),
        ] {
            let error = parse(event.clone()).unwrap_err().to_string();
            assert!(error.contains("hint: ") && !error.contains('@'), "{event}: {error}");
        }
        let record = json!({"messageId": "1", "body": "b", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:r:1:q", "md5OfBody": "x", "attributes": {}});
        let event = parse(json!({"Records": [record]})).unwrap();
        assert_eq!(event.records[0].queue_arn.as_deref(), Some("arn:aws:sqs:r:1:q"));
        assert_eq!(event.records[0].md5_of_body.as_deref(), Some("x"));
    }
}
