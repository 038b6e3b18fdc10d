//! [`LeasedObject`]: an object in a bucket that one process at a time changes.
//!
//! A bucket has no locks. A lease object beside the object, `NAME.lock`, names the owner of the
//! lease. The owner renews the lease, and every renewal changes the `ETag` of the lease object. A
//! waiting process takes the lease over if this `ETag` stays the same for the term of the lease,
//! measured by its own monotonic clock. The clocks of two machines are never compared. Every write
//! is conditional on the last `ETag` (compare-and-swap), so a process that lost its lease cannot
//! replace a newer state.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::aws::S3Error;
use crate::compare_and_swap::{OBJECT_BYTES_MAX, SwapError, read, swap};
use crate::layout::unique_name;

/// Time for which a lease is valid after its last renewal. After a process is killed, the next one
/// waits for this time.
pub const LEASE_TERM: Duration = Duration::from_secs(15);
/// Interval of renewals.
pub(crate) const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// Interval at which a waiting process polls the lease of another process.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Maximum time to wait for the lease of another process, which renews the lease while it sends
/// messages.
pub const LEASE_WAIT_MAX: Duration = Duration::from_mins(4);

/// Errors of leased objects.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process kept the lease for [`LEASE_WAIT_MAX`].
    #[error("could not get the lease within {} seconds: other runs hold it", LEASE_WAIT_MAX.as_secs())]
    Busy,
    /// Another process took over the lease, or may take it over now.
    #[error("the lease was not renewed for {} seconds: another run may have taken it over", LEASE_TERM.as_secs())]
    Lost,
    /// The object is too large.
    #[error("it has {0} bytes, more than {OBJECT_BYTES_MAX}")]
    TooLarge(u64),
    /// A request to the bucket failed.
    #[error("{0}")]
    S3(S3Error),
}

/// Content of a lease object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseRecord {
    /// Owner; `None` after the lease was released.
    owner: Option<String>,
    /// Time for which the lease is valid after each renewal, seconds.
    term_secs: u64,
    /// Number of renewals. It changes the content, and so the `ETag`, at each renewal.
    renewals: u64,
}

impl LeaseRecord {
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers can be written as JSON")
    }

    /// Returns the time for which another process must wait; `None` if the lease is free.
    fn wait_term(bytes: &[u8]) -> Option<Duration> {
        // an unreadable record may be from a newer version; assume that it has an owner
        let Ok(record) = serde_json::from_slice::<Self>(bytes) else { return Some(LEASE_TERM) };
        record.owner.is_some().then(|| Duration::from_secs(record.term_secs))
    }
}

/// An object and the lease on it. The lease is valid for [`LEASE_TERM`] after the last renewal.
#[derive(Debug)]
pub struct LeasedObject {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    /// `ETag` of the object; `None` if it does not exist.
    tag: Option<String>,
    lease_path: Path,
    lease_tag: String,
    record: LeaseRecord,
    valid_until: Instant,
    /// True if another process had the lease first.
    pub waited: bool,
}

impl LeasedObject {
    /// Waits for the lease of an object, then reads the object; its content is `None` if it does not exist.
    ///
    /// # Errors
    /// If another process keeps the lease, or a request fails.
    pub async fn acquire(
        objects: Arc<dyn ObjectStore>,
        path: Path,
    ) -> Result<(Self, Option<Vec<u8>>), LeaseError> {
        let lease_path = Path::from(format!("{path}.lock"));
        let owner = Some(unique_name(0));
        let record = LeaseRecord { owner, term_secs: LEASE_TERM.as_secs(), renewals: 0 };
        let started = Instant::now();
        // the last ETag of another process's lease, and the time when it was first seen
        let mut seen: Option<(String, Instant)> = None;
        let mut waited = false;
        let (lease_tag, valid_until) = loop {
            let found = read(&objects, &lease_path).await?;
            let term = found.as_ref().and_then(|(bytes, _)| LeaseRecord::wait_term(bytes));
            let tag = found.map(|(_, tag)| tag);
            if let (Some(term), Some(tag)) = (term, &tag) {
                if !waited {
                    tracing::info!("waiting for another run that has the lease");
                }
                waited = true;
                let since = match &seen {
                    Some((same, since)) if same == tag => *since,
                    _ => seen.insert((tag.clone(), Instant::now())).1,
                };
                if since.elapsed() < term {
                    if started.elapsed() > LEASE_WAIT_MAX {
                        return Err(LeaseError::Busy);
                    }
                    sleep(POLL_INTERVAL).await;
                    continue;
                }
                tracing::warn!(
                    "the lease of another run has expired: it was killed, or lost its network"
                );
            }
            let attempted = Instant::now();
            if let Some(tag) = swap(&objects, &lease_path, tag.as_deref(), record.to_json()).await?
            {
                break (tag, attempted + LEASE_TERM);
            }
        };
        let (content, tag) = read(&objects, &path).await?.unzip();
        Ok((
            Self { objects, path, tag, lease_path, lease_tag, record, valid_until, waited },
            content,
        ))
    }

    /// Reads an object without a lease; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn read(
        objects: Arc<dyn ObjectStore>,
        path: &Path,
    ) -> Result<Option<Vec<u8>>, LeaseError> {
        Ok(read(&objects, path).await?.map(|(bytes, _)| bytes))
    }

    /// Whether the lease is still valid: no other process can have taken it over.
    pub fn is_held(&self) -> bool {
        Instant::now() < self.valid_until
    }

    /// Replaces the object.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] if the lease has expired, or another process changed the object.
    /// Another error if a request fails.
    pub async fn save(&mut self, bytes: Vec<u8>) -> Result<(), LeaseError> {
        if !self.is_held() {
            return Err(LeaseError::Lost);
        }
        let saved = swap(&self.objects, &self.path, self.tag.as_deref(), bytes).await?;
        self.tag = Some(saved.ok_or(LeaseError::Lost)?);
        Ok(())
    }

    /// Extends the lease. If the stored lease has another `ETag` but still this owner, only reads the new
    /// `ETag`; the next call extends the lease.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] if another process has the lease. Another error if a request fails.
    pub async fn renew(&mut self) -> Result<(), LeaseError> {
        let attempted = Instant::now();
        self.record.renewals += 1;
        let json = self.record.to_json();
        match swap(&self.objects, &self.lease_path, Some(&self.lease_tag), json).await? {
            Some(tag) => {
                self.lease_tag = tag;
                self.valid_until = attempted + LEASE_TERM;
                Ok(())
            }
            None => self.refresh_tag().await,
        }
    }

    /// Reads the new `ETag` if this process still owns the lease: a renewal without a response may
    /// have changed the `ETag`.
    async fn refresh_tag(&mut self) -> Result<(), LeaseError> {
        let found = read(&self.objects, &self.lease_path).await?;
        let record = |bytes: &[u8]| serde_json::from_slice::<LeaseRecord>(bytes).ok();
        if let Some((bytes, tag)) = found
            && record(&bytes).is_some_and(|record| record.owner == self.record.owner)
        {
            self.lease_tag = tag;
            return Ok(());
        }
        self.valid_until = Instant::now();
        Err(LeaseError::Lost)
    }

    /// Releases the lease, so that the next process does not wait until it expires. Does nothing if
    /// the lease was lost.
    pub async fn release(mut self) {
        self.record.owner = None;
        let json = self.record.to_json();
        let released = swap(&self.objects, &self.lease_path, Some(&self.lease_tag), json).await;
        if let Err(error) = released.map_err(LeaseError::from) {
            tracing::warn!(%error, "could not release the lease; it expires");
        }
    }
}

impl From<SwapError> for LeaseError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::TooLarge(bytes) => Self::TooLarge(bytes),
            SwapError::NoTag => Self::S3(S3Error {
                why: "the server returns no ETag".to_owned(),
                hint: Some("use a bucket of Amazon S3, or a file for the alert state".to_owned()),
            }),
            SwapError::Read(error) => Self::S3(S3Error::new(&error, "s3:GetObject")),
            SwapError::Write(error) => Self::S3(S3Error::new(&error, "s3:PutObject")),
        }
    }
}

#[cfg(test)]
#[path = "leased_object/tests.rs"]
mod tests;
