//! Checksum of a segment: 64-bit XXH3 of all bytes of the file except the 16 hex digits of the
//! checksum itself, which are a value in the footer. The checksum covers the footer too, so a
//! flipped bit anywhere in the file is detected.
//!
//! The footer also has its own checksum, for a reader that fetches only parts of a file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bouncewatch_schemas::table::{CHECKSUM_KEY, FOOTER_KEY};
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::file::metadata::KeyValue;
use tokio::io::AsyncWriteExt;
use xxhash_rust::xxh3::Xxh3;

/// Text at the end of the key. If only one of this text and [`PREFIX`] is found, the other one is
/// damaged.
const KEY_END: &str = "checksum";
/// Text before the digits.
const PREFIX: &str = "xxh3-64:";
/// Maximum number of bytes from the key to the prefix.
const BETWEEN_MAX: usize = 4;
/// Hex digits of a checksum.
pub(crate) const DIGITS: usize = 16;
/// Bytes at the end of a JSON file that contain its checksum.
const JSON_END_BYTES: usize = 48;
/// Last bytes of a Parquet file: length of the footer, and `PAR1`.
const TAIL_BYTES: u64 = 8;
/// Bytes that are read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Result of a checksum check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Integrity {
    /// The content matches the checksum.
    Intact,
    /// The file has no checksum: it was written by an earlier release, or has no footer.
    NoChecksum,
    /// Only the key or only the prefix was found: the file was changed, or a newer release wrote
    /// another kind of checksum.
    OtherKind,
    /// The file was changed after it was written.
    Damaged,
}

/// Footer values with the digits of checksums that are not known yet.
pub(crate) fn placeholders() -> [KeyValue; 2] {
    let digits = "0".repeat(DIGITS);
    [
        KeyValue::new(CHECKSUM_KEY.to_owned(), format!("{PREFIX}{digits}")),
        KeyValue::new(FOOTER_KEY.to_owned(), digits),
    ]
}

/// Returns the position after the last occurrence of a word.
fn end_of(text: &[u8], word: &str) -> Option<usize> {
    let mut windows = text.windows(word.len());
    windows.rposition(|window| window == word.as_bytes()).map(|at| at + word.len())
}

/// Finds the digits of the file checksum by the key and the prefix.
fn find_digits(text: &[u8]) -> Result<Range<usize>, Integrity> {
    match (end_of(text, KEY_END), end_of(text, PREFIX)) {
        (None, None) => Err(Integrity::NoChecksum),
        (Some(key), Some(start)) if (key..=key + BETWEEN_MAX + PREFIX.len()).contains(&start) => {
            Ok(start..start + DIGITS)
        }
        _ => Err(Integrity::OtherKind),
    }
}

/// Finds the digits of the checksum of a footer. The key is followed by the type and the length of the value (Thrift
/// compact protocol).
fn find_footer_digits(footer: &[u8]) -> Option<Range<usize>> {
    let key_end = end_of(footer, FOOTER_KEY)?;
    let start = key_end + 2;
    let length = usize::from(*footer.get(key_end + 1)?);
    (length == DIGITS).then_some(start..start + DIGITS)
}

/// Computes the digits of the checksum of a footer. `own` is their range, which is not hashed.
fn footer_digits(footer: &[u8], own: &Range<usize>) -> Option<String> {
    let mut skipped = [own.clone(), find_digits(footer).ok()?];
    skipped.sort_by_key(|range| range.start);
    let [first, second] = skipped;
    let mut hash = Xxh3::new();
    hash.update(footer.get(..first.start)?);
    hash.update(footer.get(first.end..second.start)?);
    hash.update(footer.get(second.end..)?);
    Some(format!("{:016x}", hash.digest()))
}

/// Whether the footer at the end of a file matches its own checksum; `None` if it has none.
pub(crate) fn is_footer_intact(end: &[u8]) -> Option<bool> {
    let footer = end.get(footer_in(end)?)?;
    let range = find_footer_digits(footer)?;
    let digits = footer_digits(footer, &range);
    Some(digits.is_some_and(|digits| footer.get(range) == Some(digits.as_bytes())))
}

/// Sets the checksum of the footer at the end of a file, if it has a placeholder.
fn set_footer_checksum(end: &mut [u8]) -> Option<()> {
    let range = footer_in(end)?;
    let footer = end.get_mut(range)?;
    let own = find_footer_digits(footer)?;
    let digits = footer_digits(footer, &own)?;
    footer.get_mut(own)?.copy_from_slice(digits.as_bytes());
    Some(())
}

/// Sets the checksums in a complete file with [`placeholders`].
pub(crate) fn set_checksums(file: &mut [u8]) {
    let mut hash = Xxh3::new();
    set_checksums_in_end(&mut hash, file);
}

/// Sets the checksums in the last part of a file. `hash` has hashed all bytes before this part.
fn set_checksums_in_end(hash: &mut Xxh3, end: &mut [u8]) {
    set_footer_checksum(end);
    let Ok(range) = find_digits(end) else { return };
    let (Some(before), Some(after)) = (end.get(..range.start), end.get(range.end..)) else {
        return;
    };
    hash.update(before);
    hash.update(after);
    let digits = format!("{:016x}", hash.digest());
    if let Some(place) = end.get_mut(range) {
        place.copy_from_slice(digits.as_bytes());
    }
}

/// Writes a segment, and sets its checksum in the footer.
pub(crate) struct ChecksumWriter {
    output: BufWriter,
    hash: Xxh3,
    written: u64,
}

impl ChecksumWriter {
    pub(crate) fn new(output: BufWriter) -> Self {
        Self { output, hash: Xxh3::new(), written: 0 }
    }

    /// Number of bytes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes the next bytes before the footer.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        self.output.write_all(bytes).await
    }

    /// Writes the footer, and makes the file visible.
    pub(crate) async fn finish(&mut self, mut footer: Vec<u8>) -> std::io::Result<()> {
        set_checksums_in_end(&mut self.hash, &mut footer);
        self.written += footer.len() as u64;
        self.output.write_all(&footer).await?;
        self.output.shutdown().await
    }

    /// Discards what was written.
    pub(crate) async fn abort(mut self) -> object_store::Result<()> {
        self.output.abort().await
    }
}

/// Compares the checksum of a file with its content. The caller passes all parts of the file to
/// [`Self::add`] in order.
struct Comparison {
    hash: Xxh3,
    at: u64,
    /// Range of the digits in the file.
    digits: Range<u64>,
    expected: u64,
}

impl Comparison {
    /// Starts a comparison. If the result is known without the content, returns it as an error.
    /// `start` is the position of the footer in the file.
    fn new(start: u64, footer: &[u8]) -> Result<Self, Integrity> {
        let range = find_digits(footer)?;
        let digits = footer.get(range.clone()).and_then(|digits| str::from_utf8(digits).ok());
        // refuse other spellings, such as upper case
        let expected = digits.and_then(|digits| {
            let number = u64::from_str_radix(digits, 16).ok()?;
            (format!("{number:016x}") == digits).then_some(number)
        });
        let expected = expected.ok_or(Integrity::Damaged)?;
        let digits = start + range.start as u64..start + range.end as u64;
        Ok(Self { hash: Xxh3::new(), at: 0, digits, expected })
    }

    fn add(&mut self, part: &[u8]) {
        let at = |position: u64| {
            let offset = position.saturating_sub(self.at);
            usize::try_from(offset).unwrap_or(usize::MAX).min(part.len())
        };
        let (before, after) = (at(self.digits.start), at(self.digits.end));
        self.hash.update(part.get(..before).unwrap_or_default());
        self.hash.update(part.get(after..).unwrap_or_default());
        self.at += part.len() as u64;
    }

    fn result(&self) -> Integrity {
        if self.hash.digest() == self.expected { Integrity::Intact } else { Integrity::Damaged }
    }
}

/// Length of the footer and the 8 bytes after it. `end` is the end of a file; `None` if it is not
/// the end of a Parquet file.
pub(crate) fn footer_bytes(end: &[u8]) -> Option<u64> {
    let (_, tail) = end.split_last_chunk::<8>()?;
    let length = tail.strip_suffix(b"PAR1")?.try_into().map(u32::from_le_bytes).ok()?;
    Some(u64::from(length) + TAIL_BYTES)
}

/// Range of the footer in a file of `bytes` bytes. `end` is the end of the file; `None` if it is
/// not the end of a Parquet file.
fn footer_range(bytes: u64, end: &[u8]) -> Option<Range<u64>> {
    Some(bytes.checked_sub(footer_bytes(end)?)?..bytes - TAIL_BYTES)
}

/// Range of the footer in `end`, the end of a file; `None` if `end` does not contain the complete
/// footer.
fn footer_in(end: &[u8]) -> Option<Range<usize>> {
    let range = footer_range(end.len() as u64, end)?;
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

/// Checks the checksum of a local file.
pub(crate) fn check_file(file: &mut File) -> std::io::Result<Integrity> {
    let bytes = file.metadata()?.len();
    let mut tail = [0; 8];
    if bytes < TAIL_BYTES {
        return Ok(Integrity::NoChecksum);
    }
    file.seek(SeekFrom::Start(bytes - TAIL_BYTES))?;
    file.read_exact(&mut tail)?;
    let Some(range) = footer_range(bytes, &tail) else { return Ok(Integrity::NoChecksum) };
    file.seek(SeekFrom::Start(range.start))?;
    let mut footer = Vec::new();
    file.by_ref().take(range.end - range.start).read_to_end(&mut footer)?;
    let mut comparison = match Comparison::new(range.start, &footer) {
        Ok(comparison) => comparison,
        Err(integrity) => return Ok(integrity),
    };
    file.seek(SeekFrom::Start(0))?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(comparison.result());
        }
        comparison.add(buffer.get(..read).unwrap_or_default());
    }
}

/// Checks the checksum of an object of `bytes` bytes.
pub(crate) async fn check_object(
    objects: &Arc<dyn ObjectStore>,
    path: &Path,
    bytes: u64,
) -> object_store::Result<Integrity> {
    if bytes < TAIL_BYTES {
        return Ok(Integrity::NoChecksum);
    }
    let tail = objects.get_range(path, bytes - TAIL_BYTES..bytes).await?;
    let Some(range) = footer_range(bytes, &tail) else { return Ok(Integrity::NoChecksum) };
    let footer = objects.get_range(path, range.clone()).await?;
    let mut comparison = match Comparison::new(range.start, &footer) {
        Ok(comparison) => comparison,
        Err(integrity) => return Ok(integrity),
    };
    let mut parts = objects.get(path).await?.into_stream();
    while let Some(part) = parts.try_next().await? {
        comparison.add(&part);
    }
    Ok(comparison.result())
}

/// Adds the last key `checksum` to a JSON object: XXH3 over all bytes of the file except its 16 hex digits.
pub fn json_with_checksum(mut json: Vec<u8>) -> Vec<u8> {
    while json.pop().is_some_and(|byte| byte != b'}') {}
    json.extend(format!(",\"{KEY_END}\":\"{PREFIX}{}\"}}\n", "0".repeat(DIGITS)).as_bytes());
    let end = json.len().saturating_sub(JSON_END_BYTES);
    let (start, end) = json.split_at_mut(end);
    let mut hash = Xxh3::new();
    hash.update(start);
    set_checksums_in_end(&mut hash, end);
    json
}

/// Whether a JSON object was changed after [`json_with_checksum`]. A file of an earlier release has
/// no checksum, and is never reported as damaged.
pub fn is_json_damaged(json: &[u8]) -> bool {
    let start = json.len().saturating_sub(JSON_END_BYTES);
    let result = match Comparison::new(start as u64, json.get(start..).unwrap_or_default()) {
        Ok(mut comparison) => {
            comparison.add(json);
            comparison.result()
        }
        Err(integrity) => integrity,
    };
    matches!(result, Integrity::OtherKind | Integrity::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a footer as short as possible.
    fn file() -> Vec<u8> {
        let mut footer = Vec::new();
        footer.extend(CHECKSUM_KEY.as_bytes());
        footer.extend([0x18, 24]);
        let [of_file, of_footer] = placeholders().map(|one| one.value.unwrap());
        footer.extend(of_file.as_bytes());
        footer.push(0);
        footer.extend(FOOTER_KEY.as_bytes());
        footer.extend([0x18, 16]);
        footer.extend(of_footer.as_bytes());
        footer.push(0);
        let mut file = b"PAR1some pages".to_vec();
        let length = u32::try_from(footer.len()).unwrap();
        file.extend(footer);
        file.extend(length.to_le_bytes());
        file.extend(b"PAR1");
        file
    }

    fn check(bytes: &[u8]) -> Integrity {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, bytes).unwrap();
        check_file(&mut file).unwrap()
    }

    /// A flip in the length of the footer or in `PAR1` at the end leaves no footer, which every reader refuses.
    #[test]
    fn every_flipped_bit_is_found() {
        let mut intact = file();
        assert_eq!(check(&intact), Integrity::Damaged);
        set_checksums(&mut intact);
        assert_eq!(check(&intact), Integrity::Intact);
        for bit in 0..(intact.len() - 8) * 8 {
            let mut flipped = intact.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = matches!(check(&flipped), Integrity::OtherKind | Integrity::Damaged);
            assert!(found, "bit {bit}");
        }
    }

    /// A flip in the digits of the checksum of the file does not damage the footer. One in the key leaves no checksum of the
    /// footer, so that the whole file is checked.
    #[test]
    fn every_flipped_bit_of_a_footer_is_found() {
        let mut intact = file();
        set_checksums(&mut intact);
        assert_eq!(is_footer_intact(&intact), Some(true));
        let digits = find_digits(&intact).unwrap();
        let footer = footer_in(&intact).unwrap();
        for bit in footer.start * 8..footer.end * 8 {
            let mut flipped = intact.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = digits.contains(&(bit / 8));
            assert_eq!(is_footer_intact(&flipped).unwrap_or(false), expected, "bit {bit}");
        }
    }

    /// A flip that removes the last brace or makes the text invalid JSON is found by the parser.
    #[test]
    fn every_flipped_bit_of_a_json_file_is_found() {
        let json = json_with_checksum(b"{\n  \"until\": \"2026-11-20\"\n}\n".to_vec());
        serde_json::from_slice::<serde_json::Value>(&json).unwrap();
        assert!(!is_json_damaged(&json));
        for bit in 0..json.len() * 8 {
            let mut flipped = json.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(is_json_damaged(&flipped), "bit {bit}");
        }
        assert!(!is_json_damaged(br#"{"until":"2026-11-20"}"#));
    }

    #[test]
    fn file_without_checksum_is_not_damaged() {
        assert_eq!(check(b""), Integrity::NoChecksum);
        assert_eq!(check(b"PAR1\x01\0\0\0\0PAR1"), Integrity::NoChecksum);
        assert_eq!(check(b"PAR1\xff\xff\0\0PAR1"), Integrity::NoChecksum);
    }
}
