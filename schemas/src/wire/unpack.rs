//! Unpacks strings in which JSON is written, as queues and topics wrap it.

use crate::wire::inplace::{Reader, Unusual};

/// Bytes of the first string that is unpacked, mostly.
const UNPACKED_BYTES: usize = 4 * 1024;

/// The quotes and backslashes in 64 bytes, the first byte as the lowest bit.
fn marks_in(bytes: &[u8; 64]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const LOWS: u64 = ONES * 0x7f;
    // the bytes of `word` that are 0, as their highest bits
    let zeros = |word: u64| !(((word & LOWS) + LOWS) | word | LOWS);
    let (words, _) = bytes.as_chunks();
    words.iter().rev().fold(0, |marks, word| {
        let word = u64::from_le_bytes(*word);
        let found =
            zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        // the bits 0, 8, 16 and so on side by side
        marks << 8 | (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// The next 80 bytes of a text, with zeros behind its end.
fn next_80(text: &[u8]) -> [u8; 80] {
    text.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; 80];
        bytes[..text.len()].copy_from_slice(text);
        bytes
    })
}

impl<const INSIDE_STRING: bool> Reader<'_, INSIDE_STRING> {
    /// A string with escapes that begins at `from`. One that holds other JSON has an escape every few bytes, so that they
    /// are found in 64 bytes at once, and what is between them is copied by sixteens: what was too much is written over.
    pub(super) fn unpack(&mut self, from: usize) -> Result<String, Unusual> {
        let mut out = std::mem::take(&mut self.unpacked);
        let mut length = 0;
        let mut begin = from;
        loop {
            let bytes = next_80(self.text.as_bytes().get(begin..).ok_or(Unusual)?);
            let marks = marks_in(bytes.first_chunk().ok_or(Unusual)?);
            // room for 64 bytes, a copy that is too long, and the escape at the end
            if out.len() < length + 96 {
                out.resize((2 * out.len()).max(UNPACKED_BYTES), 0);
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
                        self.at = begin + at + 1;
                        let text =
                            std::str::from_utf8(&out[..length]).map_err(|_| Unusual)?.to_owned();
                        self.unpacked = out;
                        return Ok(text);
                    }
                    // how a quote of the document inside the document stands here
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
                        self.at = begin + at;
                        length += self.escape()?.encode_utf8(&mut out[length..]).len();
                        at = self.at - begin;
                    }
                }
            }
            begin += at;
        }
    }
}
