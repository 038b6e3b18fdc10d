//! Payloads that are encoded with base64 and may be compressed with gzip, zlib or zstd.

use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use crate::compression::{CompressionFormat, is_utf16};
use crate::decode::outcome::{QuarantineReason, Rejection};

/// Maximum size of a decompressed payload, including the payloads that contain it, bytes.
const DECOMPRESSED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A payload up to this decompressed size may have any compression ratio, bytes.
const RATIO_EXEMPT_BYTES: usize = 1024 * 1024;
/// Maximum ratio of decompressed to compressed bytes. Events in gzip reach about 30.
const RATIO_MAX: usize = 128;
/// Minimum length of a text that is tried as base64.
const ENCODED_BYTES_MIN: usize = 16;

/// The zlib header for each compression level.
const ZLIB: [&[u8]; 4] = [&[0x78, 0x01], &[0x78, 0x5e], &[0x78, 0x9c], &[0x78, 0xda]];

/// Base64 decoder that accepts missing padding and trailing bits.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Compression of a payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// Always compressed with gzip.
    Gzip,
    /// Detected by the first bytes.
    Detect,
}

/// Decodes base64 and decompresses. `outer_bytes` is the total size of the unpacked payloads that
/// contain this one.
pub(super) fn unpack(
    encoded: &str,
    compression: Compression,
    outer_bytes: usize,
) -> Result<Vec<u8>, Rejection> {
    let bytes = decode(encoded).map_err(|error| bad_payload(format!("not base64: {error}")))?;
    let is_compressed = compression == Compression::Gzip || is_compressed(&bytes);
    if is_compressed { decompress(&bytes, outer_bytes) } else { not_utf16(bytes) }
}

/// Unpacks a text that is a document in base64; `None` if it is not. The decoded bytes must be
/// compressed data or readable text.
pub(super) fn unpack_text(text: &str, outer_bytes: usize) -> Option<Result<Vec<u8>, Rejection>> {
    let is_encoded = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
            || byte.is_ascii_whitespace()
    };
    if text.len() < ENCODED_BYTES_MIN || !text.bytes().all(is_encoded) {
        return None;
    }
    let bytes = decode(text).ok()?;
    if is_compressed(&bytes) {
        return Some(decompress(&bytes, outer_bytes));
    }
    if is_utf16(&bytes) {
        return Some(not_utf16(bytes));
    }
    let is_readable = |text: &str| !text.contains(|c: char| c.is_control() && !c.is_whitespace());
    std::str::from_utf8(&bytes).is_ok_and(is_readable).then_some(Ok(bytes))
}

/// The bytes in a JSON array of numbers; `None` if it contains anything else.
pub(super) fn byte_array(text: &str) -> Option<Vec<u8>> {
    let first = text.strip_prefix('[')?.trim_start();
    if !first.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Decodes base64: standard or URL-safe, with or without padding and line ends.
fn decode(encoded: &str) -> Result<Vec<u8>, base64::DecodeError> {
    STANDARD.decode(encoded.trim()).or_else(|_| {
        let standard = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace());
        let standard = standard.map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        });
        LENIENT.decode(standard.collect::<Vec<u8>>())
    })
}

fn is_compressed(bytes: &[u8]) -> bool {
    CompressionFormat::of(bytes).is_some() || is_zlib(bytes)
}

fn is_zlib(bytes: &[u8]) -> bool {
    ZLIB.iter().any(|magic| bytes.starts_with(magic))
}

/// Decompresses, up to twice: a writer may compress what is compressed already.
fn decompress(bytes: &[u8], outer_bytes: usize) -> Result<Vec<u8>, Rejection> {
    let mut content = decompress_once(bytes, outer_bytes)?;
    if CompressionFormat::of(&content).is_some() {
        content = decompress_once(&content, outer_bytes + content.len())?;
    }
    not_utf16(content)
}

fn not_utf16(bytes: Vec<u8>) -> Result<Vec<u8>, Rejection> {
    if is_utf16(&bytes) {
        return Err(bad_payload("UTF-16 text is not supported".to_owned()));
    }
    Ok(bytes)
}

fn decompress_once(bytes: &[u8], outer_bytes: usize) -> Result<Vec<u8>, Rejection> {
    let failed = |error: std::io::Error| bad_payload(format!("not compressed data: {error}"));
    let reader: Box<dyn Read + '_> = if is_zlib(bytes) {
        Box::new(flate2::bufread::ZlibDecoder::new(bytes))
    } else {
        let format = CompressionFormat::of(bytes).unwrap_or(CompressionFormat::Gzip);
        format.decoder(bytes).map_err(failed)?
    };
    let by_ratio = bytes.len().saturating_mul(RATIO_MAX).max(RATIO_EXEMPT_BYTES);
    let max = by_ratio.min(DECOMPRESSED_BYTES_MAX.saturating_sub(outer_bytes));
    let mut decompressed = Vec::new();
    reader.take(max as u64 + 1).read_to_end(&mut decompressed).map_err(failed)?;
    if decompressed.len() > max {
        let detail = format!("{} bytes become more than {max} when decompressed", bytes.len());
        return Err(Rejection::new(QuarantineReason::TooLarge, detail));
    }
    Ok(decompressed)
}

fn bad_payload(detail: String) -> Rejection {
    Rejection::new(QuarantineReason::BadPayload, detail)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> String {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        STANDARD.encode(encoder.finish().unwrap())
    }

    #[test]
    fn payload_is_unpacked_up_to_the_ratio_and_the_total() {
        let zeros = vec![b'0'; RATIO_EXEMPT_BYTES + 1];
        let unpacked =
            |bytes: &[u8], outer_bytes| unpack(&packed(bytes), Compression::Gzip, outer_bytes);
        assert_eq!(unpacked(&zeros[1..], 0).unwrap().len(), RATIO_EXEMPT_BYTES);
        assert_eq!(unpacked(&zeros, 0).unwrap_err().reason, QuarantineReason::TooLarge);
        // text of events: far below the ratio
        let items: Vec<u64> = (0..120_000).map(|n| n * n).collect();
        let text = format!("{items:?}");
        assert!(text.len() > RATIO_EXEMPT_BYTES);
        assert_eq!(unpacked(text.as_bytes(), 0).unwrap(), text.as_bytes());
        let outer_bytes = DECOMPRESSED_BYTES_MAX - text.len();
        assert!(unpacked(text.as_bytes(), outer_bytes).is_ok());
        assert!(unpacked(text.as_bytes(), outer_bytes + 1).is_err());
    }
}
