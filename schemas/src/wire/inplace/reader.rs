//! The scanner: reads tokens, strings and numbers from a position in the text.

use std::borrow::Cow;
use std::fmt;

use crate::wire::inplace::marks::Marks;

/// Greatest depth of objects and arrays that the reader accepts.
const DEPTH_MAX: u8 = 32;

/// The document has a form that the in-place reader does not cover. Use the general reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback;

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the in-place JSON reader does not cover this document")
    }
}

impl std::error::Error for Fallback {}

impl serde::de::Error for Fallback {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// `null`, a boolean or an unsigned integer.
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Unsigned(u64),
}

impl Scalar {
    /// Parses a token. Fractions, signs and integers of 19 digits or more are left to the general reader.
    pub(super) fn parse(token: &str) -> Result<Self, Fallback> {
        match token {
            "null" => Ok(Self::Null),
            "true" => Ok(Self::Bool(true)),
            "false" => Ok(Self::Bool(false)),
            _ => {
                let is_unsigned = !token.is_empty()
                    && token.len() < 19
                    && token.bytes().all(|digit| digit.is_ascii_digit())
                    && (token == "0" || !token.starts_with('0'));
                if is_unsigned {
                    token.parse().map(Self::Unsigned).map_err(|_| Fallback)
                } else {
                    Err(Fallback)
                }
            }
        }
    }
}

/// Position in a JSON text. With `INSIDE_STRING` the text is the content of a JSON string, so that its quotes and
/// backslashes are escaped.
pub(super) struct Reader<'de, const INSIDE_STRING: bool> {
    pub(super) text: &'de str,
    pub(super) at: usize,
    pub(super) depth: u8,
    /// Buffer for unescaping, reused from string to string.
    pub(super) buffer: Vec<u8>,
    marks: Marks,
}

impl<'de, const INSIDE_STRING: bool> Reader<'de, INSIDE_STRING> {
    pub(super) fn new(text: &'de str, at: usize, depth: u8) -> Self {
        Self { text, at, depth, buffer: Vec::new(), marks: Marks::new() }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ') => self.at += 1,
                // an escaped line end or tab between tokens
                Some(b'\\') if INSIDE_STRING => {
                    let next = self.text.as_bytes().get(self.at + 1);
                    if !matches!(next, Some(b'n' | b'r' | b't')) {
                        return;
                    }
                    self.at += 2;
                }
                _ => return,
            }
        }
    }

    /// Returns the first byte after blanks, without consuming it.
    pub(super) fn next_token(&mut self) -> Result<u8, Fallback> {
        self.skip_blanks();
        self.peek().ok_or(Fallback)
    }

    /// Consumes `byte` after blanks.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Fallback> {
        if self.next_token()? != byte {
            return Err(Fallback);
        }
        self.at += 1;
        Ok(())
    }

    /// Consumes the opening quote of a string. Returns false if there is none here.
    pub(super) fn opens_string(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let opens = if INSIDE_STRING { rest.starts_with(b"\\\"") } else { rest.starts_with(b"\"") };
        if opens {
            self.at += if INSIDE_STRING { 2 } else { 1 };
        }
        opens
    }

    /// The text from `from` to the current position. Both are at ASCII bytes, so no character is split.
    fn since(&self, from: usize) -> Result<&'de str, Fallback> {
        self.text.get(from..self.at).ok_or(Fallback)
    }

    /// Moves to the next quote or backslash and returns it.
    fn next_mark(&mut self) -> Result<u8, Fallback> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Fallback)?;
        let offset = self.marks.find(rest).ok_or(Fallback)?;
        self.at += offset;
        Ok(rest[offset])
    }

    /// Consumes the closing quote of a string. Returns false if `mark` starts an escape. With `INSIDE_STRING` a bare
    /// quote ends the outer string too early: an error.
    fn closes_string(&mut self, mark: u8) -> Result<bool, Fallback> {
        if !INSIDE_STRING {
            self.at += usize::from(mark == b'"');
            return Ok(mark == b'"');
        }
        if mark == b'"' {
            return Err(Fallback);
        }
        let closes = self.text.as_bytes().get(self.at + 1) == Some(&b'"');
        self.at += if closes { 2 } else { 0 };
        Ok(closes)
    }

    /// Reads a string after its opening quote.
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Fallback> {
        let from = self.at;
        let mark = self.next_mark()?;
        let plain = self.since(from)?;
        if self.closes_string(mark)? {
            return Ok(Cow::Borrowed(plain));
        }
        if !INSIDE_STRING {
            return self.unescape(from).map(Cow::Owned);
        }
        let mut text = plain.to_owned();
        loop {
            text.push(self.escape()?);
            let from = self.at;
            let mark = self.next_mark()?;
            text.push_str(self.since(from)?);
            if self.closes_string(mark)? {
                return Ok(Cow::Owned(text));
            }
        }
    }

    /// Reads one escape. With `INSIDE_STRING` its backslash is written twice.
    pub(super) fn escape(&mut self) -> Result<char, Fallback> {
        let byte = |at: usize| self.text.as_bytes().get(at).copied().ok_or(Fallback);
        let mut at = self.at + 1;
        if INSIDE_STRING {
            if byte(at)? != b'\\' {
                return Err(Fallback);
            }
            at += 1;
            // an escaped quote or backslash is escaped once more
            if byte(at)? == b'\\' {
                at += 1;
                let escaped = byte(at)?;
                self.at = at + 1;
                return if matches!(escaped, b'"' | b'\\') {
                    Ok(escaped.into())
                } else {
                    Err(Fallback)
                };
            }
        }
        let escaped = byte(at)?;
        self.at = at + 1;
        Ok(match escaped {
            b'"' | b'\\' if !INSIDE_STRING => escaped.into(),
            b'/' => '/',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'u' => self.unicode()?,
            _ => return Err(Fallback),
        })
    }

    /// Reads the four hex digits of a `\u` escape. Surrogate pairs are left to the general reader.
    fn unicode(&mut self) -> Result<char, Fallback> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Fallback)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Fallback);
        }
        self.at += 4;
        let code = u32::from_str_radix(digits, 16).map_err(|_| Fallback)?;
        char::from_u32(code).ok_or(Fallback)
    }

    /// Skips the rest of a string after its opening quote.
    fn skip_string(&mut self) -> Result<(), Fallback> {
        loop {
            let mark = self.next_mark()?;
            if self.closes_string(mark)? {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// Reads the token of a number, a boolean or `null`.
    pub(super) fn scalar(&mut self) -> Result<&'de str, Fallback> {
        let from = self.at;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.peek().is_some_and(is_part) {
            self.at += 1;
        }
        self.since(from)
    }

    /// Skips a value. Skipped values are validated like values that are read, so that a damaged document is never
    /// accepted.
    pub(super) fn skip_value(&mut self) -> Result<(), Fallback> {
        let outer_depth = self.depth;
        // one bit for each open bracket, the innermost as the lowest bit: 1 for an object, 0 for an array
        let mut objects: u64 = 0;
        loop {
            match self.next_token()? {
                bracket @ (b'{' | b'[') => {
                    self.open()?;
                    let is_object = bracket == b'{';
                    objects = objects << 1 | u64::from(is_object);
                    if self.next_token()? != closing(is_object) {
                        if is_object {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                _ if self.opens_string() => self.skip_string()?,
                _ => {
                    Scalar::parse(self.scalar()?)?;
                }
            }
            // after a value, or at the bracket that closes an empty object or array
            loop {
                if self.depth == outer_depth {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                let token = self.next_token()?;
                self.at += 1;
                if token == b',' {
                    if is_object {
                        self.skip_key()?;
                    }
                    break;
                }
                if token != closing(is_object) {
                    return Err(Fallback);
                }
                self.depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// Skips a key and its colon.
    fn skip_key(&mut self) -> Result<(), Fallback> {
        self.open_key()?;
        self.skip_string()?;
        self.expect(b':')
    }

    /// Consumes an opening bracket.
    pub(super) fn open(&mut self) -> Result<(), Fallback> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Fallback) } else { Ok(()) }
    }

    /// Consumes the comma before the next element, or the closing bracket. Returns false at the bracket.
    pub(super) fn has_next(&mut self, close: u8, first: &mut bool) -> Result<bool, Fallback> {
        let token = self.next_token()?;
        if token == close {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if std::mem::take(first) {
            return Ok(true);
        }
        if token != b',' {
            return Err(Fallback);
        }
        self.at += 1;
        // a comma before the closing bracket is not valid JSON
        if self.next_token()? == close { Err(Fallback) } else { Ok(true) }
    }

    /// Consumes the opening quote of a key.
    pub(super) fn open_key(&mut self) -> Result<(), Fallback> {
        self.skip_blanks();
        if self.opens_string() { Ok(()) } else { Err(Fallback) }
    }
}

/// The closing bracket of an object or an array.
fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}
