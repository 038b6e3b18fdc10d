//! SQS: receives messages with long polls and deletes them when they are durable.
//!
//! | module | purpose |
//! |---|---|
//! | `queue` | find the queue, read its attributes, make calls |
//! | `receiver_pool` | receive messages |
//! | `response` | parse the responses |
//! | `admission`, `signature` | decide how a message is handled, check its SNS signature |
//! | `receive_monitor` | warn about old and redelivered messages |
//! | `in_flight`, `elsewhere` | list the messages in flight, count those of other consumers |
//! | `settle` | delete messages, extend their visibility timeout |
//! | `records` | handle messages that AWS Lambda received |
//! | `cost` | estimate the price of requests |

mod admission;
mod context;
mod cost;
mod elsewhere;
mod error;
mod in_flight;
mod queue;
mod receive_monitor;
mod receiver_pool;
pub mod records;
mod response;
mod settings;
mod settle;
mod signature;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::source::intake::Intake;
use crate::source::objects::notifications::NotificationFollower;
use context::QueueContext;
use in_flight::InFlight;
use receiver_pool::ReceiverPool;

pub use elsewhere::InFlightElsewhere;
pub use error::QueueError;
pub use queue::{Queue, QueueAttributes, client_settings, is_queue, region_of};
pub use settings::QueueSettings;
pub use settle::QueueSummary;
pub use signature::SnsVerifier;

/// Receives messages until the queue is drained (with `follow`: until the run stops), and deletes
/// settled messages. With a `verifier`, messages without a valid SNS signature are quarantined.
pub async fn run(
    queue: Queue,
    intake: Intake,
    settings: QueueSettings,
    verifier: Option<Arc<SnsVerifier>>,
) -> QueueSummary {
    let (sender, settlements) = mpsc::unbounded_channel();
    let telemetry = Arc::clone(&intake.telemetry);
    let context = QueueContext {
        follower: Arc::new(NotificationFollower::new(queue.buckets.clone())),
        in_flight: Arc::new(InFlight::new(telemetry.in_flight.slot())),
        warnings: Arc::default(),
        queue,
        settings,
        verifier,
        telemetry,
    };
    let settling = tokio::spawn(settle::settle(context.clone(), settlements, intake.halt()));
    let extending = tokio::spawn(settle::extend_visibility(context.clone()));
    let (stop, clock) = (intake.stop.clone(), Arc::clone(&intake.clock));
    let failure = ReceiverPool::run(&context, intake, sender).await;
    let summary = settling.await.unwrap_or_else(|error| QueueSummary {
        failure: Some(context.task_failed(&error)),
        ..QueueSummary::default()
    });
    extending.abort();
    // all receipts are settled or dropped, so no object of a notification is still being read
    let object_failure = context.follower.take_failure();
    let mut failure = failure.or(summary.failure);
    let mut in_flight = None;
    if !settings.follow && failure.is_none() && !*stop.borrow() {
        let own = summary.left + summary.delete_failed;
        let query = InFlightElsewhere::query(&context, own, summary.deleted > 0, clock()).await;
        in_flight = query.map_err(|error| failure = Some(error)).ok();
    }
    QueueSummary { failure, object_failure, in_flight, ..summary }
}
