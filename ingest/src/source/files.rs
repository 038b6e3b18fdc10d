//! Reads archives of events from files, folders, globs and standard input. They may be compressed
//! with gzip or zstd.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::compression::{CompressionFormat, is_utf16};
use crate::decode::csv_rows;
use crate::decode::documents::{SPANS_MAX, Splitter, split_some};
use crate::source::delivery::{Delivery, QuarantineLimit};
use crate::source::intake::Intake;
use crate::source::receipt::Receipt;
use crate::telemetry::metrics::Telemetry;

/// Maximum length of the header of a CSV file, bytes.
const CSV_HEADER_BYTES_MAX: u64 = 1024;
/// Maximum number of compressions around the content.
const COMPRESSIONS_MAX: usize = 2;
/// Size of a read and of a delivery, bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// No file or folder has this name, and no file matches the pattern.
    #[error(
        "no such file or folder, and no file matches the pattern: {0}\n  hint: check the path; quote a pattern, so that the shell passes it unchanged; give a queue by its URL or ARN, a log group as cloudwatch-logs:NAME, a bucket as s3://BUCKET/PREFIX"
    )]
    NotFound(String),
    /// The glob pattern is invalid.
    #[error("invalid pattern: {pattern}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        why: String,
    },
    /// A file could not be read to its end. The documents before that point are stored.
    #[error("could not read `{origin}` beyond byte {at} (uncompressed): {source}")]
    Read {
        /// The file.
        origin: String,
        /// Number of uncompressed bytes that were read.
        at: u64,
        /// The error.
        source: std::io::Error,
    },
    /// The file has a format that is not supported.
    #[error(
        "`{origin}` is {format}: not a supported format\n  hint: give JSON documents (NDJSON, arrays), plain or compressed with gzip or zstd"
    )]
    Format {
        /// The file.
        origin: String,
        /// The detected format.
        format: &'static str,
    },
}

/// The files that an argument names (a file, a folder or a glob pattern), sorted by name.
///
/// # Errors
/// If no file matches, the pattern is invalid, or a folder cannot be read.
pub fn expand(argument: &str) -> Result<Vec<PathBuf>, FileError> {
    let path = Path::new(argument);
    let mut files = Vec::new();
    if path.is_dir() {
        walk(path, &mut files)?;
    } else if path.try_exists().unwrap_or(false) {
        return Ok(vec![path.to_path_buf()]);
    } else {
        let matches = glob::glob(argument).map_err(|error| FileError::Pattern {
            pattern: argument.to_owned(),
            why: error.to_string(),
        })?;
        for path in matches {
            let path = path.map_err(|error| FileError::Read {
                origin: error.path().display().to_string(),
                at: 0,
                source: error.into(),
            })?;
            if path.is_dir() {
                walk(&path, &mut files)?;
            } else {
                add(path, &mut files)?;
            }
        }
    }
    if files.is_empty() {
        return Err(FileError::NotFound(argument.to_owned()));
    }
    // a pattern can match a folder and also the files in it
    files.sort();
    files.dedup();
    Ok(files)
}

/// Whether a CSV file is an export of CloudWatch Logs Insights. Such a file contains events, not
/// send counts. False if the file cannot be read.
pub fn is_log_export(path: &Path) -> bool {
    let mut head = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(CSV_HEADER_BYTES_MAX).read_to_end(&mut head));
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read.is_ok() && csv_rows::is_insights_header(&String::from_utf8_lossy(line))
}

/// Appends all files below a folder; names that start with a dot are skipped.
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
    entries.into_iter().try_for_each(|path| add(path, files))
}

/// Appends a file, or the files below a folder. A path that is neither is skipped with a warning.
fn add(path: PathBuf, files: &mut Vec<PathBuf>) -> Result<(), FileError> {
    // links to folders can form loops, and reading a pipe can block
    let is_link = path.is_symlink();
    let skipped = match path.metadata() {
        Ok(metadata) if metadata.is_dir() && !is_link => return walk(&path, files),
        Ok(metadata) if metadata.is_dir() => "it is a symbolic link to a folder",
        Ok(metadata) if !metadata.is_file() => "it is neither a file nor a folder",
        Err(error) if is_link && error.kind() == std::io::ErrorKind::NotFound => {
            "it is a dangling symbolic link"
        }
        // if the metadata is unreadable, opening the file will report the error
        _ => {
            files.push(path);
            return Ok(());
        }
    };
    tracing::warn!(path = %path.display(), reason = skipped, "skipped");
    Ok(())
}

/// Reads a file and sends its documents to the workers. Blocks. Returns false if the run stopped before the end.
///
/// # Errors
/// If the file cannot be read to its end. Documents before that point were sent.
pub fn read_file(path: &Path, intake: &Intake) -> Result<bool, FileError> {
    let origin = path.display().to_string();
    let file = File::open(path).map_err(|source| FileError::Read {
        origin: origin.clone(),
        at: 0,
        source,
    })?;
    read(file, &origin, intake)
}

/// Like [`read_file`], for any reader.
///
/// # Errors
/// If the reader fails. Documents before that point were sent.
pub fn read(reader: impl Read + 'static, origin: &str, intake: &Intake) -> Result<bool, FileError> {
    read_with_receipt(reader, origin, intake, None)
}

/// Like [`read`]; each delivery carries a clone of `receipt`.
///
/// # Errors
/// If the reader fails. Documents before that point were sent.
pub(super) fn read_with_receipt(
    reader: impl Read + 'static,
    origin: &str,
    intake: &Intake,
    receipt: Option<&Receipt>,
) -> Result<bool, FileError> {
    let handle = tokio::runtime::Handle::current();
    let failed = |at: u64| move |source| FileError::Read { origin: origin.to_owned(), at, source };
    let counted = CountingReader { inner: reader, telemetry: Arc::clone(&intake.telemetry) };
    let mut input = decompressed(counted, origin)?;
    let shared_origin: Arc<str> = Arc::from(origin);
    let mut buffer = intake.buffers.take();
    let quarantine = Arc::<QuarantineLimit>::default();
    // number of bytes in the buffer that are not split yet, or that belong to an incomplete
    // document
    let mut rest = 0;
    let mut total: u64 = 0;
    let mut ended = None;
    let mut splitter = Splitter::new(&[]);
    let mut is_split = true;
    loop {
        if *intake.stop.borrow() {
            return Ok(false);
        }
        if is_split {
            if buffer.len() < rest + CHUNK_BYTES / 2 {
                buffer.resize(rest + CHUNK_BYTES, 0);
            }
            // one read per iteration, so that documents from a slow pipe are sent as they arrive
            let read = read_some(&mut input, &mut buffer[rest..]);
            let length = *read.as_ref().unwrap_or(&0);
            rest += length;
            total += length as u64;
            if length == 0 {
                ended = Some(read);
            }
            splitter.refill(&buffer[..rest]);
        }
        let filled = rest;
        let (documents, done) = split_some(&buffer[..filled], ended.is_some(), &mut splitter);
        is_split = documents.len() < SPANS_MAX;
        rest = filled - done;
        let bytes = if done < CHUNK_BYTES / 4 {
            // a small chunk: copy it, so that no large buffer waits in the intake
            let bytes = buffer[..done].to_vec();
            buffer.copy_within(done..filled, 0);
            bytes
        } else {
            let mut next = intake.buffers.take();
            next.resize(next.len().max(rest + CHUNK_BYTES), 0);
            next[..rest].copy_from_slice(&buffer[done..filled]);
            std::mem::replace(&mut buffer, next)
        };
        if !documents.is_empty() {
            intake.telemetry.received.inc_by(documents.len() as u64);
            let origin = Arc::clone(&shared_origin);
            let delivery = Delivery::documents(bytes, documents, origin, (intake.clock)())
                .with_receipt(receipt.cloned())
                .with_quarantine_limit(&quarantine);
            // `None`: all workers have ended, and they report the reason
            if handle.block_on(intake.send(delivery)).is_none() {
                return Ok(false);
            }
        }
        if is_split && let Some(read) = ended {
            read.map_err(failed(total))?;
            intake.buffers.put(buffer);
            return Ok(true);
        }
    }
}

/// One read, repeated if a signal interrupts it.
fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// A reader of the uncompressed content. The first bytes decide the format; the file name is ignored.
fn decompressed(reader: impl Read + 'static, origin: &str) -> Result<Box<dyn Read>, FileError> {
    let read = |source| FileError::Read { origin: origin.to_owned(), at: 0, source };
    // reads of CHUNK_BYTES are larger than this buffer and therefore bypass it
    let mut reader = BufReader::with_capacity(CHUNK_BYTES / 4, Box::new(reader) as Box<dyn Read>);
    for _ in 0..COMPRESSIONS_MAX {
        let head = reader.fill_buf().map_err(read)?;
        let Some(format) = CompressionFormat::of(head) else { break };
        let decoder = format.decoder(reader).map_err(read)?;
        reader = BufReader::with_capacity(CHUNK_BYTES / 4, decoder);
    }
    match unsupported_format(reader.fill_buf().map_err(read)?) {
        Some(format) => Err(FileError::Format { origin: origin.to_owned(), format }),
        None => Ok(Box::new(reader)),
    }
}

/// The format of content that starts with `head`, if it is known and not supported.
fn unsupported_format(head: &[u8]) -> Option<&'static str> {
    let formats: [(&[u8], &str); 5] = [
        (b"PAR1", "a Parquet file"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy"),
        (b"ORC", "an ORC file"),
        (b"BZh", "compressed with bzip2"),
    ];
    let known = formats.iter().find(|(magic, _)| head.starts_with(magic));
    known.map(|(_, format)| *format).or_else(|| is_utf16(head).then_some("UTF-16 text"))
}

/// Counts the bytes that are read from `inner`.
struct CountingReader<R> {
    inner: R,
    telemetry: Arc<Telemetry>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.telemetry.bytes_read.inc_by(length as u64);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_and_dangling_links_are_skipped_in_folders_and_patterns() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        File::create(path("a.json")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(path("pipe.json")).status().unwrap();
        assert!(pipe.success());
        std::os::unix::fs::symlink(path("gone"), path("link.json")).unwrap();
        let shown = folder.path().display();
        for argument in [shown.to_string(), format!("{shown}/*.json")] {
            assert_eq!(expand(&argument).unwrap(), [path("a.json")], "{argument}");
        }
        // a pipe that is named as the argument is read
        let pipe = path("pipe.json");
        assert_eq!(expand(&pipe.display().to_string()).unwrap(), [pipe]);
    }
}
