//! Files, folders, globs and standard input: archives of events in any of the shapes, packed with gzip or zstd or not.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::documents;
use crate::source::{Intake, Parcel, Receipt};
use crate::telemetry::metrics::Telemetry;

/// Bytes that are read and handed over at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no such file, or nothing that fits.
    #[error("no such file or folder, and no file fits the pattern: {0}")]
    NotFound(String),
    /// The pattern cannot be read.
    #[error("not a pattern: {pattern}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file could not be read to its end. What was read before is stored.
    #[error("could not read `{origin}` beyond byte {at} (unpacked): {source}")]
    Read {
        /// The file.
        origin: String,
        /// How far it could be read.
        at: u64,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A format that holds no events in a form we know.
    #[error("`{origin}` is {format}: not a form in which events are read")]
    Format {
        /// The file.
        origin: String,
        /// What it looks like.
        format: &'static str,
    },
}

/// The files that a word on the command line stands for, in order of their names.
///
/// # Errors
/// If there is none.
pub fn expand(word: &str) -> Result<Vec<PathBuf>, FileError> {
    let path = Path::new(word);
    let mut files = Vec::new();
    if path.is_dir() {
        walk(path, &mut files)?;
    } else if path.try_exists().unwrap_or(false) {
        return Ok(vec![path.to_path_buf()]);
    } else {
        let matches = glob::glob(word).map_err(|error| FileError::Pattern {
            pattern: word.to_owned(),
            why: error.to_string(),
        })?;
        for found in matches {
            let found = found.map_err(|error| FileError::Read {
                origin: error.path().display().to_string(),
                at: 0,
                source: error.into(),
            })?;
            if found.is_dir() {
                walk(&found, &mut files)?;
            } else {
                files.push(found);
            }
        }
    }
    if files.is_empty() {
        return Err(FileError::NotFound(word.to_owned()));
    }
    // a pattern may fit a folder and the files in it
    files.sort();
    files.dedup();
    Ok(files)
}

/// All files below a folder, those that begin with a dot left out.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FileError> {
    let failed = |source| FileError::Read { origin: folder.display().to_string(), at: 0, source };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    entries.sort();
    for path in entries {
        // a link to a folder may lead in a circle, and a pipe would be waited for
        let is_link = path.is_symlink();
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() && !is_link => walk(&path, files)?,
            Ok(metadata) if metadata.is_dir() => {
                tracing::warn!(path = %path.display(), "a link to a folder is not followed");
            }
            Ok(metadata) if !metadata.is_file() => {
                tracing::warn!(path = %path.display(), "neither a file nor a folder, passed over");
            }
            // what cannot be looked at is told when it is read
            _ => files.push(path),
        }
    }
    Ok(())
}

/// Reads a file into parcels. Blocks; returns whether it came to the end.
///
/// # Errors
/// If the file cannot be read to its end; what was read before was handed over.
pub fn read_file(path: &Path, intake: &Intake) -> Result<bool, FileError> {
    let origin = path.display().to_string();
    let file = File::open(path).map_err(|source| FileError::Read {
        origin: origin.clone(),
        at: 0,
        source,
    })?;
    read(file, &origin, intake)
}

/// Reads anything into parcels, as [`read_file`] does.
///
/// # Errors
/// If it cannot be read to its end; what was read before was handed over.
pub fn read(reader: impl Read + 'static, origin: &str, intake: &Intake) -> Result<bool, FileError> {
    read_settled(reader, origin, intake, None)
}

/// Reads anything into parcels, each with a clone of a receipt, if there is one.
///
/// # Errors
/// If it cannot be read to its end; what was read before was handed over.
pub(super) fn read_settled(
    reader: impl Read + 'static,
    origin: &str,
    intake: &Intake,
    receipt: Option<&Receipt>,
) -> Result<bool, FileError> {
    let handle = tokio::runtime::Handle::current();
    let failed = |at: u64| move |source| FileError::Read { origin: origin.to_owned(), at, source };
    let counted = Counted { inner: reader, telemetry: Arc::clone(&intake.telemetry) };
    let mut input = unpacked(counted, origin)?;
    let shared: Arc<str> = Arc::from(origin);
    let mut buffer = intake.spare.take();
    // bytes of a document whose end is still to come
    let mut held = 0;
    let mut taken: u64 = 0;
    loop {
        if *intake.stop.borrow() {
            return Ok(false);
        }
        if buffer.len() < held + CHUNK_BYTES / 2 {
            buffer.resize(held + CHUNK_BYTES, 0);
        }
        // one read a turn: what comes through a slow pipe is handed over as it comes
        let read = read_some(&mut input, &mut buffer[held..]);
        let length = *read.as_ref().unwrap_or(&0);
        let filled = held + length;
        taken += length as u64;
        let last = length == 0;
        let (pieces, done) = documents::split(&buffer[..filled], last);
        held = filled - done;
        let bytes = if done < CHUNK_BYTES / 4 {
            // little waits in little room
            let bytes = buffer[..done].to_vec();
            buffer.copy_within(done..filled, 0);
            bytes
        } else {
            let mut next = intake.spare.take();
            next.resize(next.len().max(held + CHUNK_BYTES), 0);
            next[..held].copy_from_slice(&buffer[done..filled]);
            std::mem::replace(&mut buffer, next)
        };
        if !pieces.is_empty() {
            intake.telemetry.received.inc_by(pieces.len() as u64);
            let parcel = Parcel::documents(bytes, pieces, Arc::clone(&shared), (intake.clock)())
                .with_receipt(receipt.cloned());
            // without workers there is nothing to do: they tell why
            if handle.block_on(intake.send(parcel)).is_none() {
                return Ok(false);
            }
        }
        read.map_err(failed(taken))?;
        if last {
            intake.spare.give(buffer);
            return Ok(true);
        }
    }
}

/// One read, begun again where a signal interrupted it.
fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Unpacks what its first bytes say is packed; names mean nothing.
fn unpacked(reader: impl Read + 'static, origin: &str) -> Result<Box<dyn Read>, FileError> {
    // smaller than what is read at a time, which then passes it by
    let mut reader = BufReader::with_capacity(CHUNK_BYTES / 4, reader);
    let read = |source| FileError::Read { origin: origin.to_owned(), at: 0, source };
    let head = reader.fill_buf().map_err(read)?;
    let is = |magic: &[u8]| head.starts_with(magic);
    let other = if is(b"PAR1") {
        Some("a Parquet file")
    } else if is(b"PK\x03\x04") {
        Some("a zip archive")
    } else if is(b"\xff\x06\x00\x00sNaPpY") {
        Some("packed with snappy")
    } else if is(b"ORC") {
        Some("an ORC file")
    } else if is(b"BZh") {
        Some("packed with bzip2")
    } else if is(&[0xff, 0xfe]) || is(&[0xfe, 0xff]) {
        Some("UTF-16 text")
    } else {
        None
    };
    if let Some(format) = other {
        return Err(FileError::Format { origin: origin.to_owned(), format });
    }
    Ok(if is(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(reader))
    } else if is(&[0x28, 0xb5, 0x2f, 0xfd])
        || (head.len() > 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18])
    {
        Box::new(zstd::Decoder::with_buffer(reader).map_err(read)?)
    } else {
        Box::new(reader)
    })
}

/// Counts the bytes that are read from below.
struct Counted<R> {
    inner: R,
    telemetry: Arc<Telemetry>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.telemetry.bytes_read.inc_by(length as u64);
        Ok(length)
    }
}
