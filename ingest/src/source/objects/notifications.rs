//! [`NotificationFollower`]: reads the S3 objects that messages of a queue point to (S3 event notifications).
//!
//! A message is settled when all events of its objects are durable. If an object fails with a
//! permanent error, the message is quarantined. If it fails with a temporary error, the message is
//! not settled and becomes visible again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use bouncewatch_store::aws::Buckets;
use bouncewatch_store::shutdown::stop_requested;

use crate::decode::outcome::{QuarantineReason, Rejection};
use crate::decode::pointers::S3Pointer;
use crate::source::delivery::{Delivery, Handling};
use crate::source::intake::Intake;
use crate::source::objects::error::ObjectError;
use crate::source::objects::object::S3Object;
use crate::source::objects::reader::{CONCURRENT_OBJECTS_MAX, read_object};
use crate::source::receipt::Receipt;

/// Reads the S3 objects that messages point to, several messages at a time.
#[derive(Debug)]
pub struct NotificationFollower {
    buckets: Buckets,
    permits: Arc<Semaphore>,
    is_failing: AtomicBool,
    failure: Mutex<Option<ObjectError>>,
}

/// Why not all objects of a message were sent to the workers.
enum Incomplete {
    /// The run stops.
    Stopped,
    /// An object failed with a temporary error.
    Retry(ObjectError),
}

impl NotificationFollower {
    /// A follower that reads from these buckets.
    pub fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            permits: Arc::new(Semaphore::new(CONCURRENT_OBJECTS_MAX)),
            is_failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Returns and clears the first temporary error of an object.
    pub fn take_failure(&self) -> Option<ObjectError> {
        self.failure.lock().expect("lock is never poisoned").take()
    }

    /// Waits for a permit, then reads the objects of a message in a separate task.
    pub async fn follow(
        self: &Arc<Self>,
        message: Delivery,
        pointers: Vec<S3Pointer>,
        intake: &Intake,
    ) {
        let mut stop = intake.stop.clone();
        let permit = tokio::select! {
            biased;
            // drops the receipt without settling it: the message becomes visible again
            () = stop_requested(&mut stop) => return,
            permit = Arc::clone(&self.permits).acquire_owned() => permit,
        };
        let (follower, intake) = (Arc::clone(self), intake.clone());
        tokio::spawn(async move {
            let _permit = permit;
            follower.read_and_settle(message, &pointers, &intake).await;
        });
    }

    /// Reads the objects of a message and settles its receipt if all were sent to the workers.
    async fn read_and_settle(&self, message: Delivery, pointers: &[S3Pointer], intake: &Intake) {
        // if it is dropped without settling, the message becomes visible again
        let receipt = message.receipt.clone();
        match self.send(message, pointers, intake).await {
            Ok(()) => {
                if self.is_failing.swap(false, Ordering::AcqRel) {
                    tracing::warn!("objects can be read again");
                }
                // every delivery of the message has its own clone of the receipt
                receipt.into_iter().for_each(Receipt::settle);
            }
            Err(Incomplete::Retry(error)) => self.record_failure(error),
            Err(Incomplete::Stopped) => {}
        }
    }

    /// Reads the objects of a quarantined message. If an object fails with a temporary error, the
    /// message stays in quarantine. `None` if the run stops.
    pub(crate) async fn follow_quarantined(
        &self,
        message: Delivery,
        pointers: &[S3Pointer],
        intake: &Intake,
    ) -> Option<()> {
        let (body, origin) = (message.bytes.clone(), Arc::clone(&message.origin));
        let unread = Delivery::message(body, origin, message.received_at);
        match self.send(message, pointers, intake).await {
            Ok(()) => Some(()),
            Err(Incomplete::Stopped) => None,
            Err(Incomplete::Retry(error)) => {
                let rejected =
                    Rejection::new(QuarantineReason::ObjectNotification, error.to_string());
                intake.send(unread.with_handling(Handling::Quarantine(rejected))).await
            }
        }
    }

    /// Sends a message and the documents of its objects to the workers.
    async fn send(
        &self,
        message: Delivery,
        pointers: &[S3Pointer],
        intake: &Intake,
    ) -> Result<(), Incomplete> {
        let receipt = message.receipt.clone();
        let (body, origin) = (message.bytes.clone(), Arc::clone(&message.origin));
        let received_at = message.received_at;
        let send = async |delivery| intake.send(delivery).await.ok_or(Incomplete::Stopped);
        let sent = async {
            // the message can contain documents besides the pointers
            send(message.with_handling(Handling::DecodeFollowed)).await?;
            for (reason, detail) in self.read_all(pointers, receipt.as_ref(), intake).await? {
                let delivery = Delivery::message(body.clone(), Arc::clone(&origin), received_at)
                    .with_receipt(receipt.clone())
                    .with_handling(Handling::Quarantine(Rejection::new(reason, detail)));
                send(delivery).await?;
            }
            Ok(())
        };
        sent.await?;
        receipt.into_iter().for_each(Receipt::settle);
        Ok(())
    }

    /// Reads objects. Returns the permanent errors, by reason.
    async fn read_all(
        &self,
        pointers: &[S3Pointer],
        receipt: Option<&Receipt>,
        intake: &Intake,
    ) -> Result<BTreeMap<QuarantineReason, String>, Incomplete> {
        let mut reasons: BTreeMap<QuarantineReason, String> = BTreeMap::new();
        for pointer in pointers {
            let error = match self.read(pointer, receipt, intake).await {
                Ok(true) => continue,
                Ok(false) => return Err(Incomplete::Stopped),
                Err(error) => error,
            };
            let reason = match &error {
                error if !error.is_permanent() => None,
                ObjectError::Missing(_) => Some(QuarantineReason::ObjectMissing),
                _ => Some(QuarantineReason::ObjectUnreadable),
            };
            let Some(reason) = reason else { return Err(Incomplete::Retry(error)) };
            let detail = reasons.entry(reason).or_default();
            if !detail.is_empty() {
                detail.push_str("; ");
            }
            detail.push_str(&error.to_string());
        }
        Ok(reasons)
    }

    async fn read(
        &self,
        pointer: &S3Pointer,
        receipt: Option<&Receipt>,
        intake: &Intake,
    ) -> Result<bool, ObjectError> {
        let name = format!("s3://{}/{}", pointer.bucket, pointer.key);
        let client = self
            .buckets
            .open_in(pointer.region.as_deref(), &pointer.bucket)
            .await
            .map_err(|_| ObjectError::NotAnAddress(name.clone()))?;
        let object = S3Object::head(&client, name, &pointer.key, pointer.version.clone()).await?;
        let (intake, receipt) = (intake.clone(), receipt.cloned());
        let reading = tokio::task::spawn_blocking(move || {
            let read = read_object(object, &intake, receipt.as_ref());
            let is_done =
                read.as_ref().map_or_else(ObjectError::is_permanent, |is_complete| *is_complete);
            if is_done {
                receipt.into_iter().for_each(Receipt::settle);
            }
            read
        });
        reading.await?
    }

    /// Keeps the first error. Logs only the first of consecutive failures.
    fn record_failure(&self, error: ObjectError) {
        if !self.is_failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "an object cannot be read; its message becomes visible again");
        }
        self.failure.lock().expect("lock is never poisoned").get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::decode::find_pointers;
    use crate::source::intake::WorkerInput;
    use crate::source::receipt::Settlement;
    use crate::telemetry::metrics::Telemetry;

    /// A follower of a server that answers every request with `status`.
    fn follower_of_server(status: &'static str) -> NotificationFollower {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                _ = stream.read(&mut [0; 4096]);
                let response =
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                _ = stream.write_all(response.as_bytes());
            }
        });
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(
                aws_credential_types::Credentials::new("a", "b", None, None, "test"),
            ))
            .endpoint_url(url)
            .build();
        NotificationFollower::new(Buckets::new(config))
    }

    const BODY: &[u8] = br#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"archive"},"object":{"key":"a/b"}}}]}"#;

    /// The settlement of a message, and the deliveries that the workers received.
    async fn follow(
        follower: NotificationFollower,
        stop: bool,
    ) -> (Settlement, Vec<Delivery>, Arc<NotificationFollower>) {
        let (sender, mut settlements) = mpsc::unbounded_channel();
        let halt = Arc::new(watch::Sender::new(stop));
        let telemetry = Arc::new(Telemetry::new());
        let (intake, mut receiver) =
            Intake::new(telemetry, Arc::new(|| 0), Arc::default(), Arc::clone(&halt));
        let message = Delivery::message(BODY.to_vec(), Arc::from("queue"), 0)
            .with_receipt(Some(Receipt::new(1, sender)));
        let follower = Arc::new(follower);
        follower.follow(message, find_pointers(BODY).unwrap(), &intake).await;
        drop(intake);
        let mut received = Vec::new();
        while let WorkerInput::Deliveries(group) = receiver.next().await {
            for mut delivery in group.deliveries {
                // as a worker does when its batch is durable
                delivery.receipt.take().unwrap().settle();
                received.push(delivery);
            }
        }
        (settlements.recv().await.unwrap(), received, follower)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn message_with_a_denied_object_is_not_durable_and_reports_the_error() {
        let (settlement, received, follower) =
            follow(follower_of_server("403 Forbidden"), false).await;
        assert!(!settlement.durable && received.len() == 1);
        let error = follower.take_failure().unwrap().to_string();
        let expected = "could not read `s3://archive/a/b`: access denied: s3:GetObject";
        assert!(error.starts_with(expected), "{error}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn message_with_a_missing_object_is_quarantined() {
        let (settlement, received, follower) =
            follow(follower_of_server("404 Not Found"), false).await;
        assert!(settlement.durable && follower.take_failure().is_none());
        let [decoded, quarantined] = received.as_slice() else { panic!("{received:?}") };
        assert!(matches!(decoded.handling, Handling::DecodeFollowed));
        let Handling::Quarantine(rejected) = &quarantined.handling else {
            panic!("{quarantined:?}")
        };
        assert_eq!(rejected.reason, QuarantineReason::ObjectMissing);
        assert!(rejected.detail.contains("s3://archive/a/b"));
        assert_eq!((decoded.bytes.as_slice(), quarantined.bytes.as_slice()), (BODY, BODY));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn stopped_run_follows_no_notification() {
        let (settlement, received, _) = follow(follower_of_server("404 Not Found"), true).await;
        assert!(!settlement.durable && received.is_empty());
    }
}
