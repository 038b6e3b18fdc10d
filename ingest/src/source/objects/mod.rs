//! Objects in S3: archives of events, as Firehose, EventBridge or Lambda leave them, in every form in which files
//! are read.
//!
//! This file knows one object or all below a prefix and what can be wrong with them; `reader` streams one object,
//! `follow` reads those that messages point to.

pub mod follow;
mod reader;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt;
use object_store::path::Path;
use object_store::{GetOptions, ObjectMeta, ObjectStore};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::source::files::{self, FileError};
use crate::source::{Intake, Receipt};
use bouncewatch_store::aws::{Buckets, Refusal};
use bouncewatch_store::shutdown::stopped;
use reader::ObjectReader;

/// Objects that are read at the same time: enough to wait for the network only once.
const OBJECTS_AT_ONCE: usize = 4;
/// Objects that are listed ahead of those that are read.
const LISTED_AHEAD_MAX: usize = 10_000;
/// Objects that could not be read and are told one by one; the others are counted.
const FAILURES_TOLD_MAX: usize = 100;

/// What is done with an object.
const READ: &str = "read";

/// What can go wrong with objects.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The word is no address.
    #[error("not an object or a prefix in S3: `{0}`\n  hint: write s3://BUCKET/PREFIX")]
    NotAnAddress(String),
    /// Nothing is there.
    #[error(
        "no object is at `{0}`, and none below it\n  hint: a prefix ends where a folder does; patterns are not read here"
    )]
    NothingThere(String),
    /// An object is not there, or not any more.
    #[error("could not read `{0}`: there is no such object (any more)")]
    Missing(String),
    /// An object has a key that cannot be asked for.
    #[error("could not read `{name}`: {why}")]
    Key {
        /// The object.
        name: String,
        /// What is wrong with its key.
        why: String,
    },
    /// An object is of no form in which events are read, or broken. What was read before is stored.
    #[error(transparent)]
    Content(#[from] FileError),
    /// S3 or the network refuses.
    #[error("could not {act} `{name}`: {why}")]
    Refused {
        /// What was tried.
        act: &'static str,
        /// On what.
        name: String,
        /// Why it failed.
        why: Refusal,
    },
    /// A part of the program failed.
    #[error("a reader of objects failed: {0}; this is a bug")]
    Task(#[from] tokio::task::JoinError),
}

impl ObjectError {
    /// Whether trying again cannot help.
    pub fn is_lasting(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Task(_))
    }

    /// Tells what S3 has against a request.
    fn refused(act: &'static str, action: &str, name: String, error: &object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } if act == READ => Self::Missing(name),
            object_store::Error::InvalidPath { source } if act == READ => {
                Self::Key { name, why: source.to_string() }
            }
            _ => Self::Refused { act, name, why: Refusal::of(error, action) },
        }
    }
}

/// One object, as it was found.
#[derive(Debug, Clone)]
struct Found {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    /// `s3://bucket/key`
    name: Arc<str>,
    bytes: u64,
    e_tag: Option<String>,
    version: Option<String>,
}

impl Found {
    /// Looks for an object.
    async fn look(
        objects: &Arc<dyn ObjectStore>,
        name: String,
        key: &str,
        version: Option<String>,
    ) -> Result<Self, ObjectError> {
        let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let options = GetOptions { head: true, version: version.clone(), ..GetOptions::default() };
        let head = async {
            let path = Path::parse(key)?;
            if path.as_ref() != key {
                // the client would ask for another one
                let source = object_store::path::Error::EmptySegment { path: key.to_owned() };
                return Err(object_store::Error::InvalidPath { source });
            }
            objects.get_opts(&path, options).await.map(|found| found.meta)
        };
        match head.await {
            Ok(meta) => Ok(Self { version, ..Self::new(objects, name, meta) }),
            Err(error) => Err(ObjectError::refused(READ, action, name, &error)),
        }
    }

    fn new(objects: &Arc<dyn ObjectStore>, name: String, meta: ObjectMeta) -> Self {
        Self {
            objects: Arc::clone(objects),
            path: meta.location,
            name: Arc::from(name),
            bytes: meta.size,
            e_tag: meta.e_tag,
            version: None,
        }
    }

    /// Reads it into parcels, each with a receipt if there is one. Blocks; returns whether it came to the end.
    fn read(self, intake: &Intake, receipt: Option<&Receipt>) -> Result<bool, ObjectError> {
        let name = Arc::clone(&self.name);
        let action = if self.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let reader = ObjectReader::new(self, tokio::runtime::Handle::current());
        match files::read_settled(reader, &name, intake, receipt) {
            Ok(to_the_end) => Ok(to_the_end),
            Err(FileError::Read { origin, at, source }) => {
                // an error of S3 comes through the unpacking as it is; others are about the content
                Err(match source.downcast::<object_store::Error>() {
                    Ok(error) => ObjectError::refused(READ, action, origin, &error),
                    Err(source) => FileError::Read { origin, at, source }.into(),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Objects to read.
#[derive(Debug)]
pub struct Objects {
    client: Arc<dyn ObjectStore>,
    bucket: String,
    what: What,
    since: Option<i64>,
}

#[derive(Debug)]
enum What {
    One(Box<Found>),
    Below(Path),
}

/// What became of objects.
#[derive(Debug, Default)]
pub struct Taken {
    /// Objects that could not be read, and why.
    pub failures: Vec<String>,
    /// Whether it was stopped while objects were still unread.
    pub interrupted: bool,
    further_failures: u64,
}

impl Taken {
    fn failed(&mut self, error: &ObjectError) {
        if self.failures.len() < FAILURES_TOLD_MAX {
            self.failures.push(error.to_string());
        } else {
            self.further_failures += 1;
        }
    }

    fn add(&mut self, read: Result<Result<bool, ObjectError>, tokio::task::JoinError>) {
        match read.map_err(ObjectError::from).and_then(|read| read) {
            Ok(to_the_end) => self.interrupted |= !to_the_end,
            Err(error) => self.failed(&error),
        }
    }
}

/// Whether a word on the command line names objects.
pub fn is_object(word: &str) -> bool {
    word.starts_with("s3://")
}

impl Objects {
    /// Its name in messages.
    pub fn shown(&self) -> String {
        match &self.what {
            What::One(found) => found.name.to_string(),
            What::Below(prefix) => format!("s3://{}/{prefix}", self.bucket),
        }
    }

    /// Finds the object that a word names, or makes sure that there are some below it, before anything is read.
    /// Objects that were last modified before `since` (epoch milliseconds) are passed over.
    ///
    /// # Errors
    /// If there is none, or access is denied.
    pub async fn open(
        buckets: &Buckets,
        word: &str,
        since: Option<i64>,
    ) -> Result<Self, ObjectError> {
        let wrong = || ObjectError::NotAnAddress(word.to_owned());
        let address = word.strip_prefix("s3://").ok_or_else(wrong)?;
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        let below = Path::parse(key).map_err(|_| wrong())?;
        if key.strip_suffix('/').unwrap_or(key) != below.as_ref() {
            return Err(wrong());
        }
        let client = buckets.open(bucket).map_err(|_| wrong())?;
        let bucket = bucket.to_owned();
        // what ends in a slash is a folder; a folder may also be named without
        let is_folder = below.is_root() || key.ends_with('/');
        let mut refused = None;
        if !is_folder {
            match Found::look(&client, word.to_owned(), key, None).await {
                Ok(found) if found.bytes > 0 => {
                    let what = What::One(Box::new(found));
                    return Ok(Self { client, bucket, what, since: None });
                }
                Ok(_) | Err(ObjectError::Missing(_)) => {}
                // S3 says so of what is not there, too
                Err(error) => refused = Some(error),
            }
        }
        match client.list(Some(&below)).next().await {
            Some(Ok(_)) => Ok(Self { client, bucket, what: What::Below(below), since }),
            None => Err(refused.unwrap_or_else(|| ObjectError::NothingThere(word.to_owned()))),
            Some(Err(error)) => Err(refused.unwrap_or_else(|| {
                ObjectError::refused("list", "s3:ListBucket", word.to_owned(), &error)
            })),
        }
    }

    /// Reads them all, some at a time; what is wrong with one stops no other.
    pub async fn run(self, intake: Intake) -> Taken {
        let (found, mut listed) = mpsc::channel(LISTED_AHEAD_MAX);
        let listing = tokio::spawn(self.list(found, intake.clone()));
        let mut taken = Taken::default();
        let mut reading = JoinSet::new();
        let mut stop = intake.stop.clone();
        loop {
            while reading.len() >= OBJECTS_AT_ONCE {
                reading.join_next().await.into_iter().for_each(|read| taken.add(read));
            }
            let next: Option<Found> = tokio::select! {
                biased;
                () = stopped(&mut stop) => { taken.interrupted = true; None }
                next = listed.recv() => next,
            };
            let Some(object) = next else { break };
            let intake = intake.clone();
            reading.spawn_blocking(move || object.read(&intake, None));
        }
        // a listing that is still under way ends with this
        drop(listed);
        while let Some(read) = reading.join_next().await {
            taken.add(read);
        }
        if let Err(error) = listing.await.map_err(ObjectError::from).and_then(|listed| listed) {
            taken.failed(&error);
        }
        if taken.further_failures > 0 {
            let further = taken.further_failures;
            taken.failures.push(format!("{further} more objects could not be read"));
        }
        taken
    }

    /// Lists what there is to read, ahead of those who read.
    async fn list(self, out: mpsc::Sender<Found>, intake: Intake) -> Result<(), ObjectError> {
        let total = &intake.telemetry.bytes_total;
        let below = match self.what {
            What::One(found) => {
                total.fetch_add(found.bytes, Ordering::Relaxed);
                // nobody reads any more when the run ends
                _ = out.send(*found).await;
                return Ok(());
            }
            What::Below(below) => below,
        };
        let mut metas = self.client.list(Some(&below));
        while let Some(meta) = metas.next().await {
            let meta = meta.map_err(|error| {
                let name = format!("s3://{}/{below}", self.bucket);
                ObjectError::refused("list", "s3:ListBucket", name, &error)
            })?;
            // folders, as consoles make them, and what is empty hold no event
            let is_old =
                self.since.is_some_and(|since| meta.last_modified.timestamp_millis() < since);
            if meta.size == 0 || is_old {
                continue;
            }
            total.fetch_add(meta.size, Ordering::Relaxed);
            let name = format!("s3://{}/{}", self.bucket, meta.location);
            if out.send(Found::new(&self.client, name, meta)).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
