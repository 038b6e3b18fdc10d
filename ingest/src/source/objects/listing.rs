//! [`Objects`]: one object, or all objects below a prefix.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bouncewatch_store::aws::Buckets;
use bouncewatch_store::shutdown::stop_requested;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

use crate::source::intake::Intake;
use crate::source::objects::error::ObjectError;
use crate::source::objects::object::S3Object;
use crate::source::objects::reader::{CONCURRENT_OBJECTS_MAX, read_object};

/// Maximum number of listed objects that wait for a reader.
const LISTED_AHEAD_MAX: usize = 10_000;
/// Maximum number of failed objects that are reported individually; further ones are only counted.
const FAILURES_MAX: usize = 100;

/// One object, or all objects below a prefix, to read.
#[derive(Debug)]
pub struct Objects {
    client: Arc<dyn ObjectStore>,
    bucket: String,
    selection: ObjectSelection,
    since: Option<i64>,
}

#[derive(Debug)]
enum ObjectSelection {
    One(Box<S3Object>),
    Prefix(Path),
}

/// Result of reading objects.
#[derive(Debug, Default)]
pub struct ObjectsSummary {
    /// Errors of objects that could not be read.
    pub failures: Vec<String>,
    /// Whether the run stopped before all objects were read.
    pub interrupted: bool,
    further_failures: u64,
}

impl ObjectsSummary {
    fn add_failure(&mut self, error: &ObjectError) {
        if self.failures.len() < FAILURES_MAX {
            self.failures.push(error.to_string());
        } else {
            self.further_failures += 1;
        }
    }

    fn add(&mut self, read: Result<Result<bool, ObjectError>, JoinError>) {
        match read.map_err(ObjectError::from).and_then(|read| read) {
            Ok(is_complete) => self.interrupted |= !is_complete,
            Err(error) => self.add_failure(&error),
        }
    }
}

/// Whether an argument is an S3 address.
pub fn is_object(argument: &str) -> bool {
    argument.starts_with("s3://")
}

impl Objects {
    /// The address, `s3://BUCKET/PREFIX`.
    pub fn address(&self) -> String {
        match &self.selection {
            ObjectSelection::One(object) => object.name.to_string(),
            ObjectSelection::Prefix(prefix) => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    /// Finds the object at an address, or checks that objects exist below it. Reads no content.
    /// Objects below a prefix that were last modified before `since` (epoch milliseconds) are
    /// skipped.
    ///
    /// # Errors
    /// If no object exists, the address is invalid, or access is denied.
    pub async fn open(
        buckets: &Buckets,
        argument: &str,
        since: Option<i64>,
    ) -> Result<Self, ObjectError> {
        let not_an_address = || ObjectError::NotAnAddress(argument.to_owned());
        let address = argument.strip_prefix("s3://").ok_or_else(not_an_address)?;
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        let prefix = Path::parse(key).map_err(|_| not_an_address())?;
        if key.strip_suffix('/').unwrap_or(key) != prefix.as_ref() {
            return Err(not_an_address());
        }
        let client = buckets.open(bucket).await.map_err(|_| not_an_address())?;
        let bucket = bucket.to_owned();
        let is_prefix = prefix.is_root() || key.ends_with('/');
        let mut refused = None;
        if !is_prefix {
            match S3Object::head(&client, argument.to_owned(), key, None).await {
                Ok(object) if object.bytes > 0 => {
                    let selection = ObjectSelection::One(Box::new(object));
                    return Ok(Self { client, bucket, selection, since: None });
                }
                Ok(_) | Err(ObjectError::Missing(_)) => {}
                // without s3:ListBucket, S3 also denies access to keys that do not exist
                Err(error) => refused = Some(error),
            }
        }
        match client.list(Some(&prefix)).next().await {
            Some(Ok(_)) => {
                let selection = ObjectSelection::Prefix(prefix);
                Ok(Self { client, bucket, selection, since })
            }
            None => Err(refused.unwrap_or_else(|| ObjectError::NoneFound(argument.to_owned()))),
            Some(Err(error)) => Err(refused.unwrap_or_else(|| {
                ObjectError::from_client("list", "s3:ListBucket", argument.to_owned(), &error)
            })),
        }
    }

    /// Reads all objects, several at a time. A failed object does not stop the others.
    pub async fn run(self, intake: Intake) -> ObjectsSummary {
        let (sender, mut listed) = mpsc::channel(LISTED_AHEAD_MAX);
        let listing = tokio::spawn(self.list(sender, intake.clone()));
        let mut summary = ObjectsSummary::default();
        let mut reading = JoinSet::new();
        let mut stop = intake.stop.clone();
        loop {
            while reading.len() >= CONCURRENT_OBJECTS_MAX {
                reading.join_next().await.into_iter().for_each(|read| summary.add(read));
            }
            let next: Option<S3Object> = tokio::select! {
                biased;
                () = stop_requested(&mut stop) => { summary.interrupted = true; None }
                next = listed.recv() => next,
            };
            let Some(object) = next else { break };
            let intake = intake.clone();
            reading.spawn_blocking(move || read_object(object, &intake, None));
        }
        // ends a listing that is still running
        drop(listed);
        while let Some(read) = reading.join_next().await {
            summary.add(read);
        }
        if let Err(error) = listing.await.map_err(ObjectError::from).and_then(|listed| listed) {
            summary.add_failure(&error);
        }
        if summary.further_failures > 0 {
            let further = summary.further_failures;
            summary.failures.push(format!("{further} more objects could not be read"));
        }
        summary
    }

    /// Lists the objects while the readers read them.
    async fn list(self, out: mpsc::Sender<S3Object>, intake: Intake) -> Result<(), ObjectError> {
        let prefix = match self.selection {
            ObjectSelection::One(object) => {
                intake.input_bytes.fetch_add(object.bytes, Ordering::Relaxed);
                // an error means that the run stopped
                _ = out.send(*object).await;
                return Ok(());
            }
            ObjectSelection::Prefix(prefix) => prefix,
        };
        let mut metas = self.client.list(Some(&prefix));
        while let Some(meta) = metas.next().await {
            let meta = meta.map_err(|error| {
                let name = format!("s3://{}/{prefix}", self.bucket);
                ObjectError::from_client("list", "s3:ListBucket", name, &error)
            })?;
            let is_old =
                self.since.is_some_and(|since| meta.last_modified.timestamp_millis() < since);
            // empty objects, such as the folder markers of the S3 console, contain no event
            if meta.size == 0 || is_old {
                continue;
            }
            intake.input_bytes.fetch_add(meta.size, Ordering::Relaxed);
            let name = format!("s3://{}/{}", self.bucket, meta.location);
            if out.send(S3Object::from_meta(&self.client, name, meta)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
