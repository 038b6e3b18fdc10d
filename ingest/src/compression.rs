//! Compression formats and UTF-16 in files and payloads, by their first bytes.

use std::io::{BufRead, Read};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Whether JSON or text that starts with `head` is UTF-16, with or without a byte order mark.
pub(crate) fn is_utf16(head: &[u8]) -> bool {
    matches!(
        head,
        [0xff, 0xfe, ..]
            | [0xfe, 0xff, ..]
            | [b'{' | b'[' | b'"', 0, ..]
            | [0, b'{' | b'[' | b'"', ..]
    )
}

/// A compression format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompressionFormat {
    /// gzip, with one or more members.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl CompressionFormat {
    /// The format of content that starts with `head`; `None` if it is not compressed.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        // RFC 8878, section 3.1.2: a skippable frame can come first
        let is_skippable = || matches!(head, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50);
        if head.starts_with(GZIP) {
            Some(Self::Gzip)
        } else if head.starts_with(ZSTD) || is_skippable() {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// A reader of the decompressed content.
    ///
    /// # Errors
    /// If the decoder cannot be created.
    pub(crate) fn decoder<'r>(
        self,
        reader: impl BufRead + 'r,
    ) -> std::io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(reader)),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(reader)?),
        })
    }
}
