//! DKIM key records (RFC 6376, section 3.6.1): the parser, and the size of the key.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::tags::{Tag, parse_tags, value};

/// Receivers accept keys without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimKey {
    /// RSA with the number of bits of the modulus.
    Rsa(usize),
    /// Ed25519 (RFC 8463).
    Ed25519,
}

/// A parsed key record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DkimKeyRecord {
    /// The key; `None` if it is revoked: `p` is empty.
    pub key: Option<DkimKey>,
    /// Whether the domain only tests DKIM (`t=y`): receivers treat the mail as unsigned.
    pub is_testing: bool,
}

/// Whether a text at a selector is meant to be a key.
pub(crate) fn is_key(text: &[u8]) -> bool {
    value(&parse_tags(text), "p").is_some()
}

impl DkimKeyRecord {
    /// Parses a record.
    ///
    /// # Errors
    /// Why receivers cannot use the key.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let tags = parse_tags(text);
        let is_first = |tag: &Tag| matches!(tag, Tag::Pair(name, _) if name == "v");
        if tags.iter().skip(1).any(is_first) || value(&tags, "v").is_some_and(|v| v != "DKIM1") {
            return Err("`v` is not `DKIM1`, or not the first tag");
        }
        let has = |tag: &str, separator: char, wanted: &[&str]| {
            value(&tags, tag)
                .is_none_or(|list| list.split(separator).any(|item| wanted.contains(&item.trim())))
        };
        if !has("s", ':', &["email", "*"]) {
            return Err("`s` does not allow email");
        }
        if !has("h", ':', &["sha256"]) {
            return Err("`h` does not allow sha256");
        }
        let data = value(&tags, "p").ok_or("no `p`")?;
        let data: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let is_testing =
            value(&tags, "t").is_some_and(|flags| flags.split(':').any(|flag| flag.trim() == "y"));
        if data.is_empty() {
            return Ok(Self { key: None, is_testing });
        }
        let data = BASE64.decode(data).map_err(|_| "`p` is not valid base64 (perhaps cut off)")?;
        let key = match value(&tags, "k").unwrap_or("rsa") {
            "rsa" => rsa_bits(&data)
                .map(DkimKey::Rsa)
                .ok_or("`p` is not an RSA key (perhaps cut off)")?,
            "ed25519" if data.len() == 32 => DkimKey::Ed25519,
            "ed25519" => return Err("`p` is not an Ed25519 key"),
            _ => return Err("unknown key type `k`"),
        };
        Ok(Self { key: Some(key), is_testing })
    }
}

/// Number of bits of the modulus in a `SubjectPublicKeyInfo` or an `RSAPublicKey`.
fn rsa_bits(der: &[u8]) -> Option<usize> {
    let (content, []) = element(der, SEQUENCE)? else { return None };
    let modulus = match element(content, SEQUENCE) {
        Some((_algorithm, rest)) => {
            let (bits, _) = element(rest, BIT_STRING)?;
            let (key, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
            element(key, INTEGER)?.0
        }
        None => element(content, INTEGER)?.0,
    };
    let leading_zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let modulus = modulus.get(leading_zeros..)?;
    let first = modulus.first()?;
    Some(modulus.len() * 8 - usize::try_from(first.leading_zeros()).ok()?)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The content of a DER element of a type, and the bytes after it.
fn element(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 | 0x82 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (*tag == wanted).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_bits_are_those_of_the_modulus() {
        for (der, expected) in [
            // RSAPublicKey: modulus 0x100, 0x80 with a leading zero, 0xffff
            (&[0x30, 7, 2, 2, 1, 0, 2, 1, 3][..], Some(9)),
            (&[0x30, 7, 2, 2, 0, 0x80, 2, 1, 3], Some(8)),
            (&[0x30, 7, 2, 2, 0xff, 0xff, 2, 1, 3], Some(16)),
            // SubjectPublicKeyInfo with an empty algorithm
            (&[0x30, 0x0f, 0x30, 0, 3, 0x0b, 0, 0x30, 8, 2, 3, 0, 0xff, 0xff, 2, 1, 3], Some(16)),
            // a length of two bytes; bytes after the end; a modulus of zero; cut off
            (&[0x30, 0x81, 7, 2, 2, 1, 0, 2, 1, 3], Some(9)),
            (&[0x30, 7, 2, 2, 1, 0, 2, 1, 3, 0], None),
            (&[0x30, 6, 2, 1, 0, 2, 1, 3], None),
            (&[0x30, 7, 2, 2, 1], None),
        ] {
            assert_eq!(rsa_bits(der), expected, "{der:x?}");
        }
    }
}
