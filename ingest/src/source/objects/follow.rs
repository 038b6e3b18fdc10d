//! Messages that point to objects: the objects are read, and the message is settled when all that is in them is
//! durable. What can never be read goes to quarantine with the message; what may be read later lets it come again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Semaphore;

use crate::decode::outcome::{Reason, Rejected};
use crate::decode::pointers::Pointer;
use crate::source::objects::{Found, OBJECTS_AT_ONCE, ObjectError};
use crate::source::{Handling, Intake, Parcel, Receipt};
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::shutdown::stopped;

/// Follows the pointers of messages, some messages at a time.
#[derive(Debug)]
pub struct Follower {
    buckets: Buckets,
    places: Arc<Semaphore>,
    failing: AtomicBool,
    failure: Mutex<Option<ObjectError>>,
}

/// Why the objects of a message were not all handed over.
enum Unfinished {
    /// The run ends.
    Stopped,
    /// Some could not be read now.
    NotNow(ObjectError),
}

impl Follower {
    /// One that opens buckets so.
    pub fn new(buckets: Buckets) -> Self {
        Self {
            buckets,
            places: Arc::new(Semaphore::new(OBJECTS_AT_ONCE)),
            failing: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    /// Why objects could not be read, the first time; their messages come again.
    pub fn failure(&self) -> Option<ObjectError> {
        self.failure.lock().expect("nobody panics while holding this lock").take()
    }

    /// Takes a message, when there is a place for it, and goes on with it by itself.
    pub async fn take(self: &Arc<Self>, message: Parcel, pointers: Vec<Pointer>, intake: &Intake) {
        let mut stop = intake.stop.clone();
        let place = tokio::select! {
            biased;
            // a receipt that is dropped makes the message come again
            () = stopped(&mut stop) => return,
            place = Arc::clone(&self.places).acquire_owned() => place,
        };
        let (follower, intake) = (Arc::clone(self), intake.clone());
        tokio::spawn(async move {
            let _place = place;
            follower.settle(message, &pointers, &intake).await;
        });
    }

    /// Reads what a message points to, and settles it unless it has to come again.
    async fn settle(&self, message: Parcel, pointers: &[Pointer], intake: &Intake) {
        // dropped unsettled, it makes the message come again
        let receipt = message.receipt.clone();
        match self.hand_over(message, pointers, intake).await {
            Ok(()) => {
                if self.failing.swap(false, Ordering::AcqRel) {
                    tracing::warn!("objects can be read again");
                }
                // all its parts were handed over; each has a receipt of its own
                receipt.into_iter().for_each(Receipt::settle);
            }
            Err(Unfinished::NotNow(error)) => self.not_now(error),
            Err(Unfinished::Stopped) => {}
        }
    }

    /// Reads what a message of the quarantine points to; what cannot be read now stays there. `None` when the run ends.
    pub(crate) async fn again(
        &self,
        message: Parcel,
        pointers: &[Pointer],
        intake: &Intake,
    ) -> Option<()> {
        let (body, origin) = (message.bytes.clone(), Arc::clone(&message.origin));
        let stays = Parcel::message(body, origin, message.received_at);
        match self.hand_over(message, pointers, intake).await {
            Ok(()) => Some(()),
            Err(Unfinished::Stopped) => None,
            Err(Unfinished::NotNow(error)) => {
                let rejected = Rejected::new(Reason::ObjectNotification, error.to_string());
                intake.send(Parcel { handling: Handling::SetAside(rejected), ..stays }).await
            }
        }
    }

    /// Hands over a message and everything that it points to.
    async fn hand_over(
        &self,
        message: Parcel,
        pointers: &[Pointer],
        intake: &Intake,
    ) -> Result<(), Unfinished> {
        let receipt = message.receipt.clone();
        let (body, origin) = (message.bytes.clone(), Arc::clone(&message.origin));
        let received_at = message.received_at;
        let send = async |parcel| intake.send(parcel).await.ok_or(Unfinished::Stopped);
        let done = async {
            // the workers look for what else is in it
            send(Parcel { handling: Handling::Followed, ..message }).await?;
            for (reason, detail) in self.read_all(pointers, receipt.as_ref(), intake).await? {
                let handling = Handling::SetAside(Rejected::new(reason, detail));
                let parcel = Parcel::message(body.clone(), Arc::clone(&origin), received_at)
                    .with_receipt(receipt.clone());
                send(Parcel { handling, ..parcel }).await?;
            }
            Ok(())
        };
        done.await?;
        receipt.into_iter().for_each(Receipt::settle);
        Ok(())
    }

    /// Reads objects; those that will never be read are returned, by reason.
    async fn read_all(
        &self,
        pointers: &[Pointer],
        receipt: Option<&Receipt>,
        intake: &Intake,
    ) -> Result<BTreeMap<Reason, String>, Unfinished> {
        let mut reasons: BTreeMap<Reason, String> = BTreeMap::new();
        for pointer in pointers {
            let error = match self.read(pointer, receipt, intake).await {
                Ok(true) => continue,
                Ok(false) => return Err(Unfinished::Stopped),
                Err(error) => error,
            };
            let reason = match &error {
                error if !error.is_lasting() => None,
                ObjectError::Missing(_) => Some(Reason::ObjectMissing),
                _ => Some(Reason::ObjectUnreadable),
            };
            let Some(reason) = reason else { return Err(Unfinished::NotNow(error)) };
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
        pointer: &Pointer,
        receipt: Option<&Receipt>,
        intake: &Intake,
    ) -> Result<bool, ObjectError> {
        let name = format!("s3://{}/{}", pointer.bucket, pointer.key);
        let objects = self
            .buckets
            .open_in(pointer.region.as_deref(), &pointer.bucket)
            .map_err(|_| ObjectError::NotAnAddress(name.clone()))?;
        let found = Found::look(&objects, name, &pointer.key, pointer.version.clone()).await?;
        let (intake, receipt) = (intake.clone(), receipt.cloned());
        let reading = tokio::task::spawn_blocking(move || {
            let read = found.read(&intake, receipt.as_ref());
            let is_done = read.as_ref().map_or_else(ObjectError::is_lasting, |to_end| *to_end);
            if is_done {
                receipt.into_iter().for_each(Receipt::settle);
            }
            read
        });
        reading.await?
    }

    /// Tells that objects cannot be read: once, however many messages come again.
    fn not_now(&self, error: ObjectError) {
        if !self.failing.swap(true, Ordering::AcqRel) {
            tracing::warn!(%error, "an object cannot be read; its message comes again");
        }
        self.failure.lock().expect("nobody panics while holding this lock").get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::decode::pointers;
    use crate::source::{Next, Outcome};
    use crate::telemetry::metrics::Telemetry;

    /// What answers every request with the same words.
    fn answering(words: &'static str) -> Follower {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                _ = stream.read(&mut [0; 4096]);
                let answer =
                    format!("HTTP/1.1 {words}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                _ = stream.write_all(answer.as_bytes());
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
        Follower::new(Buckets::new(config))
    }

    const BODY: &[u8] = br#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"archive"},"object":{"key":"a/b"}}}]}"#;

    /// What is told of a message, and the parcels that the workers got of it.
    async fn followed(follower: Follower, stop: bool) -> (Outcome, Vec<Parcel>, Arc<Follower>) {
        let (outcomes, mut told) = mpsc::unbounded_channel();
        let halt = Arc::new(watch::Sender::new(stop));
        let (intake, delivered) =
            Intake::new(Arc::new(Telemetry::new()), Arc::new(|| 0), Arc::clone(&halt));
        let message = Parcel::message(BODY.to_vec(), Arc::from("queue"), 0)
            .with_receipt(Some(Receipt::new(1, outcomes)));
        let follower = Arc::new(follower);
        follower.take(message, pointers(BODY).unwrap(), &intake).await;
        drop(intake);
        let (mut delivered, mut got) = (delivered, Vec::new());
        while let Next::Delivery(delivery) = delivered.next().await {
            for mut parcel in delivery.parcels {
                // what the workers do when a batch is durable
                parcel.receipt.take().unwrap().settle();
                got.push(parcel);
            }
        }
        (told.recv().await.unwrap(), got, follower)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_denied_now_comes_again_and_is_told() {
        let (outcome, got, follower) = followed(answering("403 Forbidden"), false).await;
        assert!(!outcome.durable && got.len() == 1);
        let told = follower.failure().unwrap().to_string();
        assert!(told.starts_with("could not read `s3://archive/a/b`: access denied: s3:GetObject"));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_there_is_set_aside_with_its_message() {
        let (outcome, got, follower) = followed(answering("404 Not Found"), false).await;
        assert!(outcome.durable && follower.failure().is_none());
        let [read, aside] = got.as_slice() else { panic!("{got:?}") };
        assert!(matches!(read.handling, Handling::Followed));
        let Handling::SetAside(rejected) = &aside.handling else { panic!("{aside:?}") };
        assert_eq!(rejected.reason, Reason::ObjectMissing);
        assert!(rejected.detail.contains("s3://archive/a/b"));
        assert_eq!((read.bytes.as_slice(), aside.bytes.as_slice()), (BODY, BODY));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_that_shall_end_follows_nothing() {
        let (outcome, got, _) = followed(answering("404 Not Found"), true).await;
        assert!(!outcome.durable && got.is_empty());
    }
}
