//! File of the alert state: locked, read and replaced atomically.
//!
//! A run has the lock from the first read to the last write, so concurrent runs are serialized. The kernel releases the
//! lock when the process ends. The file is written after each message: a killed run repeats at most one message.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bouncewatch_store::{is_json_damaged, json_with_checksum};

use crate::alert::state::{AlertState, VERSION};

/// Time limit for the lock. Another run keeps it while it sends messages, each with its own timeout.
const LOCK_WAIT_MAX: Duration = Duration::from_mins(4);
/// Interval of polling for the lock.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Largest file that is read; enough for several hundred thousand alerts.
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

/// The state file, locked until this is dropped.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// True if another run had the lock first.
    pub waited: bool,
    _lock: File,
}

impl StateFile {
    /// Locks and reads the state file. Waits for the lock; a missing file is an empty state.
    ///
    /// # Errors
    /// If the file cannot be locked, read or parsed.
    pub fn open(path: &Path) -> Result<(Self, AlertState), AlertStateError> {
        let (lock, waited) = lock(path)?;
        let file = Self { path: path.to_path_buf(), waited, _lock: lock };
        let state = Self::read_unlocked(path)?;
        Ok((file, state))
    }

    /// Reads the state without a lock; a missing file is an empty state.
    ///
    /// # Errors
    /// If the file cannot be read or parsed.
    pub fn read_unlocked(path: &Path) -> Result<AlertState, AlertStateError> {
        let failed = |source| AlertStateError::Read { path: path.to_path_buf(), source };
        let damaged = |why: String| AlertStateError::Damaged { path: path.to_path_buf(), why };
        match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(AlertState::default()),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return Err(damaged(format!(
                    "it has {} bytes, more than {FILE_BYTES_MAX}",
                    metadata.len()
                )));
            }
            Ok(_) => {}
        }
        let text = std::fs::read(path).map_err(failed)?;
        if is_json_damaged(&text) {
            return Err(damaged("its content does not match its checksum".to_owned()));
        }
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => {
                return Err(AlertStateError::Version { path: path.to_path_buf(), version });
            }
            None => return Err(damaged("missing field `version`".to_owned())),
        }
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
    }

    /// Replaces the state atomically. It is durable when this returns.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, state: &AlertState) -> Result<(), AlertStateError> {
        let json = serde_json::to_vec_pretty(state).map_err(|error| AlertStateError::Write {
            path: self.path.clone(),
            source: std::io::Error::other(error),
        })?;
        replace(&self.path, &json_with_checksum(json))
            .map_err(|source| AlertStateError::Write { path: self.path.clone(), source })
    }
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
    // lock a second file: each write replaces the state file, and with it a lock on it
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
    // the writer has the lock, so a fixed name is enough; a staged file of a killed run is overwritten
    let staged = with_suffix(path, ".staged");
    let mut file = File::create(&staged)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}
