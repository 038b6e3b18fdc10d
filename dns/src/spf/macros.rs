//! Macro strings (RFC 7208, section 7): parsing and expansion.

use super::syntax_error::SpfSyntaxError;
use crate::name;

/// A text with macros, such as `%{i}._spf.%{d2}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `%%`, `%_` or `%-`.
    Escape(&'static str),
    Macro(Macro),
}

/// A macro such as `%{ir}` or `%{L2r-+}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    letter: MacroLetter,
    is_url_escaped: bool,
    /// Number of parts from the right; `None` for all.
    parts: Option<usize>,
    is_reversed: bool,
    delimiters: Vec<char>,
}

/// The value that a macro stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacroLetter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Ip,
    ValidatedName,
    AddressFamily,
    Helo,
    /// Only in explanations: the address in its usual form.
    ReadableIp,
    /// Only in explanations: the host that evaluates the record.
    Receiver,
    /// Only in explanations: seconds since 1970.
    Time,
}

impl MacroLetter {
    fn parse(letter: u8) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            b's' => Self::Sender,
            b'l' => Self::LocalPart,
            b'o' => Self::SenderDomain,
            b'd' => Self::Domain,
            b'i' => Self::Ip,
            b'p' => Self::ValidatedName,
            b'v' => Self::AddressFamily,
            b'h' => Self::Helo,
            b'c' => Self::ReadableIp,
            b'r' => Self::Receiver,
            b't' => Self::Time,
            _ => return None,
        })
    }

    fn is_for_explanations(self) -> bool {
        matches!(self, Self::ReadableIp | Self::Receiver | Self::Time)
    }
}

/// Where a macro string is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacroContext {
    /// The domain of a mechanism, of `redirect` or of `exp`.
    Domain,
    /// The value of an unknown modifier.
    Modifier,
    /// The text of an explanation: spaces are allowed.
    Explanation,
}

impl MacroString {
    /// Parses a macro string that begins at position `at` of its record.
    pub(crate) fn parse(
        text: &[u8],
        at: usize,
        context: MacroContext,
    ) -> Result<Self, SpfSyntaxError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut position = 0;
        while let Some(byte) = text.get(position) {
            let error = |reason| SpfSyntaxError::new(at + position, text, reason);
            let (part, length) = match (byte, text.get(position + 1)) {
                (b'%', Some(b'%')) => (Part::Escape("%"), 2),
                (b'%', Some(b'_')) => (Part::Escape(" "), 2),
                (b'%', Some(b'-')) => (Part::Escape("%20"), 2),
                (b'%', Some(b'{')) => {
                    let inner = text.get(position + 2..).unwrap_or_default();
                    let end = inner.iter().position(|byte| *byte == b'}');
                    let inner = inner.get(..end.unwrap_or_default()).unwrap_or_default();
                    let parsed = Macro::parse(inner, context);
                    (Part::Macro(parsed.ok_or_else(|| error("malformed macro"))?), inner.len() + 3)
                }
                (b'%', _) => return Err(error("`%` that begins no macro")),
                (b'!'..=b'~', _) => {
                    literal.push(char::from(*byte));
                    position += 1;
                    continue;
                }
                (b' ', _) if context == MacroContext::Explanation => {
                    literal.push(' ');
                    position += 1;
                    continue;
                }
                _ => return Err(error("character that is not printable ASCII")),
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(part);
            position += length;
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// Parses a `domain-spec`, which ends in a macro or in a dot and a possible top-level domain.
    pub(crate) fn parse_domain(text: &[u8], at: usize) -> Result<Self, SpfSyntaxError> {
        let parsed = Self::parse(text, at, MacroContext::Domain)?;
        let error = |reason| Err(SpfSyntaxError::new(at, text, reason));
        match parsed.0.last() {
            None => error("empty domain"),
            Some(Part::Literal(literal)) => {
                let end = literal.strip_suffix('.').unwrap_or(literal);
                match end.rsplit_once('.') {
                    Some((_, label)) if name::is_top_label(label.as_bytes()) => Ok(parsed),
                    Some((_, label)) if label.bytes().all(|byte| byte.is_ascii_digit()) => {
                        error("IP address or number where a domain is needed")
                    }
                    Some(_) => error("last label is not a top-level domain"),
                    None => error("domain of a single label"),
                }
            }
            Some(_) => Ok(parsed),
        }
    }

    /// The text, if it has no macros.
    pub fn literal(&self) -> Option<String> {
        let literal = |part: &Part| match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Escape(text) => Some((*text).to_owned()),
            Part::Macro(_) => None,
        };
        self.0.iter().map(literal).collect()
    }

    /// The text with the value of each macro in its position.
    pub(crate) fn expand(&self, mut value: impl FnMut(MacroLetter) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Escape(text) => (*text).to_owned(),
            Part::Macro(macro_) => macro_.expand(&value(macro_.letter)),
        };
        self.0.iter().map(part).collect()
    }
}

impl Macro {
    /// Parses the text between the braces.
    fn parse(inner: &[u8], context: MacroContext) -> Option<Self> {
        let (first, rest) = inner.split_first()?;
        let letter = MacroLetter::parse(*first)?;
        if letter.is_for_explanations() && context == MacroContext::Domain {
            return None;
        }
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = rest.split_at_checked(digits)?;
        let parts = match std::str::from_utf8(digits).ok()? {
            "" => None,
            digits => Some(digits.parse().unwrap_or(usize::MAX)),
        };
        let (is_reversed, rest) = match rest {
            [b'r' | b'R', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let is_delimiter = rest.iter().all(|byte| b".-+,/_=".contains(byte));
        let delimiters = match rest {
            [] => vec!['.'],
            rest => rest.iter().copied().map(char::from).collect(),
        };
        let is_url_escaped = first.is_ascii_uppercase();
        (is_delimiter && parts != Some(0)).then_some(Self {
            letter,
            is_url_escaped,
            parts,
            is_reversed,
            delimiters,
        })
    }

    fn expand(&self, value: &str) -> String {
        let mut parts: Vec<&str> = value.split(self.delimiters.as_slice()).collect();
        if self.is_reversed {
            parts.reverse();
        }
        let first = self.parts.map_or(0, |count| parts.len().saturating_sub(count));
        let text = parts[first..].join(".");
        if self.is_url_escaped { url_escaped(&text) } else { text }
    }
}

/// Text with all bytes escaped but the unreserved ones (RFC 3986, section 2.3).
fn url_escaped(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}
