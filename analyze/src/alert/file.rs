//! The file that holds the state: read and replaced as a whole while nobody else has it.
//!
//! A run holds the lock from reading to the last write, so that two runs at once are one after the other; it is the
//! kernel's, and dies with the process. A run that is killed leaves the file as it was after the last message that went
//! out, or the one before: what is told twice is one message at most.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::alert::state::{State, VERSION};

/// Longest that a run waits for another one; that has messages to send, each with a time-out of its own.
const LOCK_WAIT_MAX: Duration = Duration::from_mins(4);
/// How often it looks whether the other one is done.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(50);
/// Largest file that is read: some hundred thousand alarms.
const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Its lock could not be taken.
    #[error("could not lock `{}`, beside the alert state: {source}\n  hint: --alert-state FILE names another place", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another run has it.
    #[error(
        "another run has held `{}` for {} seconds: it sends what is new, so this one sends nothing\n  hint: is one hanging? `fuser {}` tells which", .0.display(), LOCK_WAIT_MAX.as_secs(), .0.display()
    )]
    Busy(PathBuf),
    /// It could not be read.
    #[error("could not read the alert state `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is damaged.
    #[error("the alert state `{}` cannot be understood: {why}\n  hint: mend it, or move it away: then all begins anew, and what is over a threshold is told once more", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is of another version.
    #[error("the alert state `{}` is of version {version}, and this bouncewatch knows version {VERSION}\n  hint: use the newer bouncewatch, or name another file with --alert-state", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// It could not be written.
    #[error("could not write the alert state `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The file, locked.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// Whether another run had it first.
    pub waited: bool,
    // held until this is dropped
    _lock: File,
}

impl StateFile {
    /// Waits until nobody else has the file, and reads it; a file that is not there is an empty state.
    ///
    /// # Errors
    /// If it cannot be locked, read or understood.
    pub fn open(path: &Path) -> Result<(Self, State), StateError> {
        let (lock, waited) = lock(path)?;
        let file = Self { path: path.to_path_buf(), waited, _lock: lock };
        let state = read(path)?;
        Ok((file, state))
    }

    /// The state, without holding or changing anything.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn peek(path: &Path) -> Result<State, StateError> {
        read(path)
    }

    /// Replaces the state. When this returns, it outlives a power cut.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, state: &State) -> Result<(), StateError> {
        let mut text = serde_json::to_vec_pretty(state).map_err(|error| StateError::Write {
            path: self.path.clone(),
            source: std::io::Error::other(error),
        })?;
        text.push(b'\n');
        replace(&self.path, &text)
            .map_err(|source| StateError::Write { path: self.path.clone(), source })
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<(File, bool), StateError> {
    let path = beside(path, ".lock");
    let failed = |source| StateError::Lock { path: path.clone(), source };
    // the file itself is replaced at each write, so that a lock on it would be one on a file that is gone
    let file = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let begun = Instant::now();
    let mut waited = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok((file, waited)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_WAIT_MAX => {
                return Err(StateError::Busy(path));
            }
            Err(TryLockError::WouldBlock) => {
                if !waited {
                    tracing::info!("another run holds the alert state; waiting for it");
                }
                waited = true;
                std::thread::sleep(LOCK_LOOK_EVERY);
            }
        }
    }
}

fn read(path: &Path) -> Result<State, StateError> {
    let failed = |source| StateError::Read { path: path.to_path_buf(), source };
    let damaged = |why: String| StateError::Damaged { path: path.to_path_buf(), why };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(State::default()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > BYTES_MAX => {
            return Err(damaged(format!("it has {} bytes", metadata.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read(path).map_err(failed)?;
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => return Err(StateError::Version { path: path.to_path_buf(), version }),
        None => return Err(damaged("it tells no version".to_owned())),
    }
    serde_json::from_value(value).map_err(|error| damaged(error.to_string()))
}

/// Stage, write, fsync, rename, fsync the folder.
#[expect(
    clippy::disallowed_methods,
    reason = "the state is no segment; this does what publishing does"
)]
fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    // whoever writes holds the lock, so one name is enough, and what a killed run left is written over
    let staged = beside(path, ".staged");
    let mut file = File::create(&staged)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}
