//! File or object of the alert state: locked, read and replaced atomically.
//!
//! A run holds the lock from the first read to the last write, so concurrent runs are serialized.
//! The kernel releases the lock of a file when the process ends. An object has a lease instead
//! ([`bouncewatch_store::leased_object`]). The state is written after each message, so at most one
//! message is repeated after a run is killed.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bouncewatch_store::lease_holder::LeaseHolder;
use bouncewatch_store::leased_object::LeaseError;
use bouncewatch_store::{is_json_damaged, json_with_checksum};

use crate::alert::state::{AlertState, VERSION};
use crate::alert::state_location::StateLocation;

/// Time limit for the lock. Another run holds it while it sends messages, each with its own
/// timeout.
const LOCK_WAIT_MAX: Duration = Duration::from_mins(4);
/// Interval of polling for the lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Maximum size of the file: enough for several hundred thousand alerts.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The alert state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AlertStateError {
    /// The lock file could not be opened or locked.
    #[error("could not lock `{}` for the alert state: {source}\n  hint: use another file with --alert-state FILE", path.display())]
    Lock {
        /// Lock file.
        path: PathBuf,
        /// I/O error.
        source: std::io::Error,
    },
    /// Another run has the lock.
    #[error(
        "could not lock `{}`: another run has had the lock for {} seconds; this run sends no alerts\n  hint: `fuser {}` lists the process that has the lock", .0.display(), LOCK_WAIT_MAX.as_secs(), .0.display()
    )]
    Busy(PathBuf),
    /// Another run has the lease of the object, or the bucket could not be used.
    #[error("could not use the alert state `{}`: {source}", path.display())]
    Lease {
        /// The object.
        path: PathBuf,
        /// What failed.
        source: LeaseError,
    },
    /// The file could not be read.
    #[error("could not read the alert state `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// I/O error.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("could not parse the alert state `{}`: {why}\n  hint: repair the file and remove its key `checksum`, or move it away to start with an empty state; active alerts are sent again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Defect.
        why: String,
    },
    /// The file has an unsupported version.
    #[error("could not read the alert state `{}`: it has version {version}, supported is version {VERSION}\n  hint: use the newer bouncewatch, or another file with --alert-state FILE", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Version of the file.
        version: u64,
    },
    /// The file could not be written.
    #[error("could not write the alert state `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// I/O error.
        source: std::io::Error,
    },
}

impl AlertStateError {
    /// Whether another run sends the alerts: it has the lock, or has taken over the lease.
    pub fn is_other_run(&self) -> bool {
        matches!(
            self,
            Self::Busy(_) | Self::Lease { source: LeaseError::Busy | LeaseError::Lost, .. }
        )
    }

    fn lease(location: &StateLocation) -> impl FnOnce(LeaseError) -> Self {
        move |source| Self::Lease { path: location.to_path(), source }
    }
}

/// The state file, locked until this is dropped.
#[derive(Debug)]
pub struct StateFile {
    location: StateLocation,
    /// True if another run had the lock first.
    pub waited: bool,
    lock: StateLock,
}

/// Lock of the state file, or lease of the object.
#[derive(Debug)]
enum StateLock {
    #[expect(dead_code, reason = "the lock is held, not read")]
    File(File),
    Lease(LeaseHolder),
}

impl StateFile {
    /// Locks and reads the state. Waits for the lock; a missing file or object is an empty state.
    ///
    /// # Errors
    /// If it cannot be locked, read or parsed.
    pub fn open(location: &StateLocation) -> Result<(Self, AlertState), AlertStateError> {
        let (lock, waited, text) = match location {
            StateLocation::File(path) => {
                let (lock, waited) = lock(path)?;
                (StateLock::File(lock), waited, read_file(path)?)
            }
            StateLocation::Object { bucket, key, endpoint_url } => {
                let (lease, text) = LeaseHolder::open(bucket, key, endpoint_url.as_deref())
                    .map_err(AlertStateError::lease(location))?;
                let waited = lease.waited;
                (StateLock::Lease(lease), waited, text)
            }
        };
        let state = text.map(|text| parse(&text, &location.to_path())).transpose()?;
        Ok((Self { location: location.clone(), waited, lock }, state.unwrap_or_default()))
    }

    /// Reads the state without a lock; a missing file or object is an empty state.
    ///
    /// # Errors
    /// If it cannot be read or parsed.
    pub fn read_unlocked(location: &StateLocation) -> Result<AlertState, AlertStateError> {
        Ok(Self::read_existing(location)?.unwrap_or_default())
    }

    /// Reads the state without a lock; `None` if there is no file or object.
    ///
    /// # Errors
    /// If it cannot be read or parsed.
    pub fn read_existing(location: &StateLocation) -> Result<Option<AlertState>, AlertStateError> {
        let text = match location {
            StateLocation::File(path) => read_file(path)?,
            StateLocation::Object { bucket, key, endpoint_url } => {
                LeaseHolder::read_unlocked(bucket, key, endpoint_url.as_deref())
                    .map_err(AlertStateError::lease(location))?
            }
        };
        text.map(|text| parse(&text, &location.to_path())).transpose()
    }

    /// Whether this run still has the lock or the lease.
    pub fn is_locked(&self) -> bool {
        match &self.lock {
            StateLock::File(_) => true,
            StateLock::Lease(lease) => lease.is_held(),
        }
    }

    /// Replaces the state atomically. It is durable when this returns.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, state: &AlertState) -> Result<(), AlertStateError> {
        let path = self.location.to_path();
        let json = serde_json::to_vec_pretty(state).map_err(|error| AlertStateError::Write {
            path: path.clone(),
            source: std::io::Error::other(error),
        })?;
        let json = json_with_checksum(json);
        match &self.lock {
            StateLock::File(_) => {
                replace(&path, &json).map_err(|source| AlertStateError::Write { path, source })
            }
            StateLock::Lease(lease) => {
                lease.save(json).map_err(AlertStateError::lease(&self.location))
            }
        }
    }
}

/// Reads the text of a state file; `None` if there is no file.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, AlertStateError> {
    let failed = |source| AlertStateError::Read { path: path.to_path_buf(), source };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            let why = format!("it has {} bytes, more than {FILE_BYTES_MAX}", metadata.len());
            return Err(AlertStateError::Damaged { path: path.to_path_buf(), why });
        }
        Ok(_) => {}
    }
    std::fs::read(path).map(Some).map_err(failed)
}

/// Parses a state.
fn parse(text: &[u8], path: &Path) -> Result<AlertState, AlertStateError> {
    let damaged = |why: String| AlertStateError::Damaged { path: path.to_path_buf(), why };
    if is_json_damaged(text) {
        return Err(damaged("its content does not match its checksum".to_owned()));
    }
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            return Err(AlertStateError::Version { path: path.to_path_buf(), version });
        }
        None => return Err(damaged("missing field `version`".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

/// Returns the path with a suffix: `alerts.json.lock`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<(File, bool), AlertStateError> {
    let path = with_suffix(path, ".lock");
    let failed = |source| AlertStateError::Lock { path: path.clone(), source };
    // lock a second file: each write replaces the state file, so a lock on it would be lost
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let start = Instant::now();
    let mut waited = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok((file, waited)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if start.elapsed() > LOCK_WAIT_MAX => {
                return Err(AlertStateError::Busy(path));
            }
            Err(TryLockError::WouldBlock) => {
                if !waited {
                    tracing::info!("waiting for another run that has locked the alert state");
                }
                waited = true;
                std::thread::sleep(LOCK_POLL_INTERVAL);
            }
        }
    }
}

/// Replaces a file atomically: write and fsync a staged file, rename it, fsync the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the alert state is not part of the store; this function has the same guarantees as publishing"
)]
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    // a fixed name: the lock excludes other writers; a leftover of a killed run is overwritten
    let staged = with_suffix(path, ".staged");
    let mut file = File::create(&staged)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}
