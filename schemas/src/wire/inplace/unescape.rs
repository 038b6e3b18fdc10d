//! Unescapes strings with many escapes, such as JSON documents that SQS and SNS wrap in a string.

use crate::wire::inplace::reader::{Fallback, Reader};

/// Initial bytes of the buffer; most wrapped events fit.
const BUFFER_BYTES: usize = 4 * 1024;

/// A bit for each of 64 bytes that is a quote or a backslash; the first byte is the lowest bit.
fn marks_in(bytes: &[u8; 64]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const LOWS: u64 = ONES * 0x7f;
    // the highest bit of each byte of `word` that is 0 (SWAR)
    let zeros = |word: u64| !(((word & LOWS) + LOWS) | word | LOWS);
    let (words, _) = bytes.as_chunks();
    words.iter().rev().fold(0, |marks, word| {
        let word = u64::from_le_bytes(*word);
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        // gathers the bits 0, 8, 16, ... into one byte
        marks << 8 | (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// The next 80 bytes of a text, filled up with zeros.
fn next_80(text: &[u8]) -> [u8; 80] {
    text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 80];
        bytes[..text.len()].copy_from_slice(text);
        bytes
    })
}

impl<const INSIDE_STRING: bool> Reader<'_, INSIDE_STRING> {
    /// Unescapes the string that starts at `from`. A wrapped document has an escape every few bytes, so escapes are
    /// located in 64 bytes at once, and the bytes between them are copied 16 at a time. Surplus bytes of a copy are
    /// overwritten by the next one.
    pub(super) fn unescape(&mut self, from: usize) -> Result<String, Fallback> {
        let mut out = std::mem::take(&mut self.buffer);
        let mut length = 0;
        let mut start = from;
        loop {
            let bytes = next_80(self.text.as_bytes().get(start..).ok_or(Fallback)?);
            let marks = marks_in(bytes.first_chunk().ok_or(Fallback)?);
            // space for 64 bytes, the surplus of a copy, and one escape
            if out.len() < length + 96 {
                out.resize((2 * out.len()).max(BUFFER_BYTES), 0);
            }
            let mut at = 0;
            while at < 64 {
                let mark = (marks & u64::MAX << at).trailing_zeros() as usize;
                let plain = mark - at;
                if plain <= 16 {
                    out[length..length + 16].copy_from_slice(&bytes[at..at + 16]);
                } else {
                    out[length..length + plain].copy_from_slice(&bytes[at..at + plain]);
                }
                length += plain;
                at = mark;
                match &bytes[at..] {
                    _ if at == 64 => {}
                    [b'"', ..] => {
                        self.at = start + at + 1;
                        let text =
                            std::str::from_utf8(&out[..length]).map_err(|_| Fallback)?.to_owned();
                        self.buffer = out;
                        return Ok(text);
                    }
                    // a quote in a doubly wrapped document
                    [b'\\', b'\\', b'\\', b'"', ..] => {
                        out[length..length + 2].copy_from_slice(b"\\\"");
                        length += 2;
                        at += 4;
                    }
                    [_, escaped @ (b'"' | b'\\'), ..] => {
                        out[length] = *escaped;
                        length += 1;
                        at += 2;
                    }
                    _ => {
                        self.at = start + at;
                        length += self.escape()?.encode_utf8(&mut out[length..]).len();
                        at = self.at - start;
                    }
                }
            }
            start += at;
        }
    }
}
