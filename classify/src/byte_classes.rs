//! Facts about each byte of a text, found for 64 bytes at a time without branches.

#![expect(clippy::needless_bitwise_bool, reason = "lazy operators would add branches")]

use std::ops::Range;

/// Bytes of a text that share a word of bits.
pub(super) const LANES: usize = 64;

/// What is known about each byte of a part of a text without the bytes before it. The lists are reused from text to
/// text, and only the first bytes and words belong to the present one.
#[derive(Debug, Default)]
pub(super) struct ByteClasses {
    /// A blank, so that each byte has one before it, and the text.
    padded: Vec<u8>,
    /// The folded form of each byte that needs no special treatment.
    folded: Vec<u8>,
    /// Bytes that need special treatment: those of addresses and of letters beyond ASCII, the first digit of a number,
    /// where an IP address can start, and blanks after a blank.
    special: Vec<u64>,
    /// Whether the text can have an email address.
    has_at: bool,
    /// Bytes that cannot be in the local part of an email address. Not set if there is none.
    ends: Vec<u64>,
}

impl ByteClasses {
    /// Sets the classes of a part of a text.
    pub(super) fn set(&mut self, text: &[u8]) {
        let words = text.len().div_ceil(LANES);
        let Self { padded, folded, special, ends, has_at } = self;
        if padded.len() <= words * LANES {
            padded.resize(1 + words * LANES, b' ');
            folded.resize(words * LANES, 0);
            special.resize(words, 0);
            ends.resize(words, 0);
        }
        padded[1..=text.len()].copy_from_slice(text);
        let (chunks, _) = padded[1..].as_chunks::<LANES>();
        let (before, _) = padded.as_chunks::<LANES>();
        let (folded, _) = folded.as_chunks_mut::<LANES>();
        let outputs = folded.iter_mut().zip(special);
        for ((bytes, before), (folded, special)) in
            chunks.iter().zip(before).zip(outputs).take(words)
        {
            // the compiler makes vector instructions of this loop: it has no branches and no tables
            let mut is_special = [0; LANES];
            let outputs = folded.iter_mut().zip(&mut is_special);
            for ((byte, before), (folded, is_special)) in bytes.iter().zip(before).zip(outputs) {
                let is_blank = is_blank(*byte);
                *folded = if is_blank { b' ' } else { byte.to_ascii_lowercase() };
                let is_number = byte.is_ascii_digit() & !is_in_word(*before);
                let is_mark = (*byte >= 128) | (*byte == b'@') | (*byte == b':');
                *is_special = u8::from(is_mark | is_number | is_blank & self::is_blank(*before));
            }
            *special = bits(&is_special);
        }
        *has_at = memchr::memchr(b'@', text).is_some();
        if *has_at {
            for (bytes, ends) in chunks.iter().zip(ends).take(words) {
                *ends = bits(&bytes.map(|byte| u8::from(ends_local_part(byte))));
            }
        }
    }

    /// The folded form of bytes that need no special treatment.
    pub(super) fn folded(&self, range: Range<usize>) -> &[u8] {
        &self.folded[range]
    }

    /// Position of the first byte from `at` on that needs special treatment. It can be after the end of the text.
    pub(super) fn special_from(&self, at: usize) -> Option<usize> {
        first_from(&self.special, at)
    }

    /// Position of the last byte from `start` to before `end` that cannot be in the local part of an email address.
    /// `None` if the text has no address.
    pub(super) fn last_end_in(&self, start: usize, end: usize) -> Option<usize> {
        if self.has_at { last_in(&self.ends, start, end) } else { None }
    }
}

/// Whether a byte becomes a blank.
pub(super) fn is_blank(byte: u8) -> bool {
    (byte <= b' ') | (byte == 127) | (byte == b'-') | (byte == b'_')
}

/// Whether no number starts after a byte.
fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | (byte == b'.')
}

/// Whether a byte cannot be in the local part of an email address.
pub(super) fn ends_local_part(byte: u8) -> bool {
    let is_control = (byte <= b' ') | (byte == 127);
    let is_quote = (byte == b'"') | (byte == b'\'') | (byte == b'(') | (byte == b')');
    let is_bracket = (byte == b'<') | (byte == b'>') | (byte == b'[') | (byte == b']');
    is_control | is_quote | is_bracket | (byte == b',') | (byte == b';') | (byte == b'=')
}

/// Position of the first bit that is set, from `at` on.
fn first_from(words: &[u64], at: usize) -> Option<usize> {
    let (word, offset) = (at / LANES, at % LANES);
    let bits = *words.get(word)? >> offset;
    if bits != 0 {
        return Some(at + bits.trailing_zeros() as usize);
    }
    let next = words.iter().enumerate().skip(word + 1).find(|(_, bits)| **bits != 0);
    next.map(|(word, bits)| word * LANES + bits.trailing_zeros() as usize)
}

/// Position of the last bit that is set, from `start` to before `end`.
fn last_in(words: &[u64], start: usize, end: usize) -> Option<usize> {
    let last = end.checked_sub(1)?;
    let bits = *words.get(last / LANES)? << (LANES - 1 - last % LANES);
    if bits != 0 {
        return last.checked_sub(bits.leading_zeros() as usize).filter(|at| *at >= start);
    }
    let before = words.iter().enumerate().take(last / LANES).skip(start / LANES).rev();
    let (word, bits) = before.into_iter().find(|(_, bits)| **bits != 0)?;
    Some(word * LANES + LANES - 1 - bits.leading_zeros() as usize).filter(|at| *at >= start)
}

/// The bits of bytes that are 0 or 1.
pub(super) fn bits(bytes: &[u8; LANES]) -> u64 {
    let (chunks, _) = bytes.as_chunks();
    chunks.iter().rev().fold(0, |bits, chunk| {
        // moves the lowest bit of each byte into the highest byte
        let moved = u64::from_le_bytes(*chunk).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits << 8 | moved
    })
}
