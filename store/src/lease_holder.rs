//! [`LeaseHolder`]: a thread that renews the lease of an object while other code blocks.

use std::sync::mpsc as sync_mpsc;
use std::thread::JoinHandle;

use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use crate::aws::{Buckets, S3Error};
use crate::leased_object::{LeaseError, LeasedObject, RENEW_INTERVAL};

/// A request to the thread, with the channel for its result.
enum Request {
    Save(Vec<u8>, sync_mpsc::Sender<Result<(), LeaseError>>),
    IsHeld(sync_mpsc::Sender<bool>),
}

/// Holds the lease of an object until it is dropped. All calls block.
#[derive(Debug)]
pub struct LeaseHolder {
    /// `None` after the drop has started.
    requests: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
    /// True if another process had the lease first.
    pub waited: bool,
}

impl LeaseHolder {
    /// Waits for the lease of an object and reads the object; its content is `None` if it does not exist.
    ///
    /// # Errors
    /// If the bucket cannot be opened, another process keeps the lease, or a request fails.
    pub fn open(
        bucket: &str,
        key: &str,
        endpoint_url: Option<&str>,
    ) -> Result<(Self, Option<Vec<u8>>), LeaseError> {
        let (sender, requests) = mpsc::unbounded_channel();
        let (opened_sender, opened_receiver) = sync_mpsc::channel();
        let buckets = Buckets::load_on_first_use(endpoint_url);
        let (bucket, key) = (bucket.to_owned(), Path::from(key));
        let work = async move {
            let acquired = async {
                let objects = buckets.open(&bucket).await;
                let objects = objects.map_err(|error| s3(&error))?;
                LeasedObject::acquire(objects, key).await
            };
            match acquired.await {
                Ok((lease, content)) => {
                    // the send fails if the caller is gone; then `hold` ends at once
                    _ = opened_sender.send(Ok((lease.waited, content)));
                    hold(lease, requests).await;
                }
                Err(error) => _ = opened_sender.send(Err(error)),
            }
        };
        let thread = spawn(work)?;
        let (waited, content) = opened_receiver.recv().map_err(|_| ended())??;
        Ok((Self { requests: Some(sender), thread: Some(thread), waited }, content))
    }

    /// Reads an object without a lease; `None` if it does not exist.
    ///
    /// # Errors
    /// If the bucket cannot be opened, or the object cannot be read.
    pub fn read_unlocked(
        bucket: &str,
        key: &str,
        endpoint_url: Option<&str>,
    ) -> Result<Option<Vec<u8>>, LeaseError> {
        let (result_sender, result_receiver) = sync_mpsc::channel();
        let buckets = Buckets::load_on_first_use(endpoint_url);
        let (bucket, key) = (bucket.to_owned(), Path::from(key));
        let thread = spawn(async move {
            let read = async {
                let objects = buckets.open(&bucket).await.map_err(|error| s3(&error))?;
                LeasedObject::read(objects, &key).await
            };
            _ = result_sender.send(read.await);
        })?;
        let read = result_receiver.recv().map_err(|_| ended())?;
        _ = thread.join();
        read
    }

    /// Replaces the object. It is durable when this returns.
    ///
    /// # Errors
    /// If the lease was lost, or a request fails.
    pub fn save(&self, bytes: Vec<u8>) -> Result<(), LeaseError> {
        self.request(|reply| Request::Save(bytes, reply))?
    }

    /// Whether the lease is still valid: no other process can have taken it over.
    pub fn is_held(&self) -> bool {
        self.request(Request::IsHeld).unwrap_or(false)
    }

    fn request<T>(
        &self,
        request: impl FnOnce(sync_mpsc::Sender<T>) -> Request,
    ) -> Result<T, LeaseError> {
        let (reply, result) = sync_mpsc::channel();
        let requests = self.requests.as_ref().ok_or_else(ended)?;
        requests.send(request(reply)).map_err(|_| ended())?;
        result.recv().map_err(|_| ended())
    }
}

impl Drop for LeaseHolder {
    /// Releases the lease.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // this fails if the thread panicked; the lease then expires
            _ = thread.join();
        }
    }
}

/// Handles requests and renews the lease until all senders of requests are dropped, then releases
/// the lease.
async fn hold(mut lease: LeasedObject, mut requests: mpsc::UnboundedReceiver<Request>) {
    let mut renewals = interval_at(Instant::now() + RENEW_INTERVAL, RENEW_INTERVAL);
    renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                // a send fails if the caller is gone
                Some(Request::Save(bytes, reply)) => _ = reply.send(lease.save(bytes).await),
                Some(Request::IsHeld(reply)) => _ = reply.send(lease.is_held()),
                None => break,
            },
            _ = renewals.tick() => {
                // without a time limit, a network failure would block requests for minutes
                let renewed = timeout(2 * RENEW_INTERVAL, lease.renew()).await;
                if !matches!(renewed, Ok(Ok(()))) {
                    tracing::debug!("could not renew the lease");
                }
            }
        }
    }
    lease.release().await;
}

/// Starts a thread with an async runtime. Connections belong to the runtime on which they were opened.
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>, LeaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| LeaseError::S3(plain(error.to_string())))?;
    let thread = std::thread::Builder::new().name("lease".to_owned());
    let thread = thread.spawn(move || runtime.block_on(work));
    thread.map_err(|error| LeaseError::S3(plain(error.to_string())))
}

fn s3(error: &object_store::Error) -> LeaseError {
    LeaseError::S3(S3Error::new(error, "s3:GetObject"))
}

fn ended() -> LeaseError {
    LeaseError::S3(plain("the thread that holds the lease has ended".to_owned()))
}

fn plain(why: String) -> S3Error {
    S3Error { why, hint: None }
}
