//! Tag lists such as `v=DMARC1; p=none` (RFC 6376, section 3.2), as in DMARC, DKIM, MTA-STS and TLS-RPT records.

use crate::snapshot::escape;

/// A tag with its value, or text that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Name in lower case, and value without white space around it. Other bytes than printable ASCII are escaped.
    Pair(String, String),
    /// Text without an equals sign or a valid name.
    Malformed(String),
}

/// The tags of a record in order; empty ones between two semicolons are left out.
pub(crate) fn parse_tags(text: &[u8]) -> Vec<Tag> {
    let tag = |part: &[u8]| {
        let mut sides = part.splitn(2, |byte| *byte == b'=').map(|side| escape(side.trim_ascii()));
        match (sides.next(), sides.next()) {
            (Some(name), Some(value))
                if !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') =>
            {
                Tag::Pair(name.to_ascii_lowercase(), value)
            }
            _ => Tag::Malformed(escape(part.trim_ascii())),
        }
    };
    text.split(|byte| *byte == b';').filter(|part| !part.trim_ascii().is_empty()).map(tag).collect()
}

/// Whether a record begins with a version tag of exactly this value.
pub(crate) fn has_version(text: &[u8], version: &str) -> bool {
    let first = text.split(|byte| *byte == b';').next().unwrap_or_default();
    // white space before the version is an error
    !first.first().is_some_and(u8::is_ascii_whitespace)
        && parse_tags(first) == [Tag::Pair("v".to_owned(), version.to_owned())]
}

/// The value of a tag.
pub(crate) fn value<'a>(tags: &'a [Tag], wanted: &str) -> Option<&'a str> {
    tags.iter().find_map(|tag| match tag {
        Tag::Pair(name, value) if name == wanted => Some(value.as_str()),
        _ => None,
    })
}
