//! JSON read where it stands, also inside a string of other JSON, without unpacking the string first.
//!
//! SNS wraps an event as a string: each quote of it is written `\"`, each backslash `\\`. Unpacking two kilobytes to
//! read a dozen short fields of them costs more than everything else that is done with an event, so this reader takes
//! `\"` for a quote and borrows the fields from the wrapped text. It reads plain JSON too.
//!
//! It is for what senders write every day, and gives up on everything else ([`Unusual`]): then the general reader is
//! asked, who knows better what can be saved. Whatever it accepts, the general reader would read the same.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::wire::scalar::Scalar;

/// Objects and lists inside each other, deeper than which nobody writes.
const DEPTH_MAX: u8 = 32;
/// Name by which a type asks for the document inside a string.
pub(super) const INSIDE: &str = "bouncewatch: the document inside a string";

/// The text is not what senders write every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusual;

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unusual JSON")
    }
}

impl std::error::Error for Unusual {}

impl Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Reads a whole document.
///
/// # Errors
/// If it holds anything unusual.
pub fn document<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Unusual> {
    // raw control characters are not allowed in strings; white space between lines is no everyday writing
    if has_control(text.as_bytes()) {
        return Err(Unusual);
    }
    let mut reader = Reader::<false> { text, at: 0, depth: 0, unpacked: Vec::new() };
    let value = T::deserialize(&mut reader)?;
    reader.skip_blanks();
    if reader.at == text.len() { Ok(value) } else { Err(Unusual) }
}

/// Whether there is a control character, sixteen bytes at a time.
fn has_control(bytes: &[u8]) -> bool {
    let any =
        |chunk: &[u8]| chunk.iter().fold(0, |found, byte| found | u8::from(*byte < b' ')) != 0;
    let chunks = bytes.chunks_exact(64);
    any(chunks.remainder()) || chunks.into_iter().any(any)
}

/// Reads text from a place on. In a string of other JSON (`INSIDE_STRING`), quotes and backslashes are escaped.
pub(super) struct Reader<'de, const INSIDE_STRING: bool> {
    pub(super) text: &'de str,
    pub(super) at: usize,
    depth: u8,
    /// Where strings are unpacked, which then have the room that they need.
    pub(super) unpacked: Vec<u8>,
}

impl<'de, const INSIDE_STRING: bool> Reader<'de, INSIDE_STRING> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ') => self.at += 1,
                // `\n` and its like, as they stand in a string
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

    /// The next byte that is not blank, which stays where it is.
    fn next_token(&mut self) -> Result<u8, Unusual> {
        self.skip_blanks();
        self.peek().ok_or(Unusual)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unusual> {
        if self.next_token()? != byte {
            return Err(Unusual);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether a string begins here; then its quote is passed.
    fn opens_string(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let opens = if INSIDE_STRING { rest.starts_with(b"\\\"") } else { rest.starts_with(b"\"") };
        if opens {
            self.at += if INSIDE_STRING { 2 } else { 1 };
        }
        opens
    }

    /// The text from `from` to here. Both lie at quotes or backslashes, so they cut no character.
    fn since(&self, from: usize) -> Result<&'de str, Unusual> {
        self.text.get(from..self.at).ok_or(Unusual)
    }

    /// Goes to the next quote or backslash of the text.
    fn next_mark(&mut self) -> Result<u8, Unusual> {
        let rest = self.text.as_bytes().get(self.at..).ok_or(Unusual)?;
        let offset = memchr2(b'"', b'\\', rest).ok_or(Unusual)?;
        self.at += offset;
        Ok(rest[offset])
    }

    /// Whether the string ends at this mark; then its quote is passed. Inside a string, a bare quote ends that one.
    fn closes_string(&mut self, mark: u8) -> Result<bool, Unusual> {
        if !INSIDE_STRING {
            self.at += usize::from(mark == b'"');
            return Ok(mark == b'"');
        }
        if mark == b'"' {
            return Err(Unusual);
        }
        let closes = self.text.as_bytes().get(self.at + 1) == Some(&b'"');
        self.at += if closes { 2 } else { 0 };
        Ok(closes)
    }

    /// A string whose opening quote is passed.
    fn string(&mut self) -> Result<Cow<'de, str>, Unusual> {
        let from = self.at;
        let mark = self.next_mark()?;
        let plain = self.since(from)?;
        if self.closes_string(mark)? {
            return Ok(Cow::Borrowed(plain));
        }
        if !INSIDE_STRING {
            return self.unpack(from).map(Cow::Owned);
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

    /// The character that an escape stands for. Inside a string, its backslash is written twice.
    pub(super) fn escape(&mut self) -> Result<char, Unusual> {
        let byte = |at: usize| self.text.as_bytes().get(at).copied().ok_or(Unusual);
        let mut at = self.at + 1;
        if INSIDE_STRING {
            if byte(at)? != b'\\' {
                return Err(Unusual);
            }
            at += 1;
            // the escaped quote and backslash are escaped once more
            if byte(at)? == b'\\' {
                at += 1;
                let escaped = byte(at)?;
                self.at = at + 1;
                return if matches!(escaped, b'"' | b'\\') {
                    Ok(escaped.into())
                } else {
                    Err(Unusual)
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
            _ => return Err(Unusual),
        })
    }

    /// Four hex digits; pairs of surrogates are left to the general reader.
    fn unicode(&mut self) -> Result<char, Unusual> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Unusual)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Unusual);
        }
        self.at += 4;
        let code = u32::from_str_radix(digits, 16).map_err(|_| Unusual)?;
        char::from_u32(code).ok_or(Unusual)
    }

    /// Passes a string whose opening quote is passed.
    fn skip_string(&mut self) -> Result<(), Unusual> {
        loop {
            let mark = self.next_mark()?;
            if self.closes_string(mark)? {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// A number or a word that stands alone.
    fn scalar(&mut self) -> Result<&'de str, Unusual> {
        let from = self.at;
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.peek().is_some_and(is_part) {
            self.at += 1;
        }
        self.since(from)
    }

    /// Passes a value. It is looked at as closely as one that is read: half of an event is headers that nobody reads.
    fn skip_value(&mut self) -> Result<(), Unusual> {
        let outside = self.depth;
        // what is open here, the innermost as the lowest bit: an object, or a list
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
                    Scalar::read(self.scalar()?)?;
                }
            }
            // behind a value, or at the bracket that closes an empty object or list
            loop {
                if self.depth == outside {
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
                    return Err(Unusual);
                }
                self.depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// Passes a key and the colon behind it.
    fn skip_key(&mut self) -> Result<(), Unusual> {
        self.key_begins()?;
        self.skip_string()?;
        self.expect(b':')
    }

    /// Goes into an object or a list.
    fn open(&mut self) -> Result<(), Unusual> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Unusual) } else { Ok(()) }
    }

    /// Whether there is another element; the comma before it, or the bracket at the end, is passed.
    fn goes_on(&mut self, close: u8, first: &mut bool) -> Result<bool, Unusual> {
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
            return Err(Unusual);
        }
        self.at += 1;
        // a comma before the closing bracket is no everyday writing
        if self.next_token()? == close { Err(Unusual) } else { Ok(true) }
    }

    fn key_begins(&mut self) -> Result<(), Unusual> {
        self.skip_blanks();
        if self.opens_string() { Ok(()) } else { Err(Unusual) }
    }
}

/// The bracket that closes an object or a list.
fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}

impl<'de, const INSIDE_STRING: bool> Deserializer<'de> for &mut Reader<'de, INSIDE_STRING> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.next_token()? {
            b'{' => {
                self.open()?;
                visitor.visit_map(Elements { reader: self, first: true })
            }
            b'[' => {
                self.open()?;
                visitor.visit_seq(Elements { reader: self, first: true })
            }
            _ if self.opens_string() => match self.string()? {
                Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
                Cow::Owned(text) => visitor.visit_string(text),
            },
            _ => match Scalar::read(self.scalar()?)? {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Whole(value) => visitor.visit_u64(value),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.skip_value()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Unusual> {
        // anything else that asks by name wants the raw text, as documents in documents do
        if name != INSIDE || INSIDE_STRING {
            return Err(Unusual);
        }
        self.skip_blanks();
        if !self.opens_string() {
            return Err(Unusual);
        }
        let mut inside = Reader::<true> {
            text: self.text,
            at: self.at,
            depth: self.depth,
            unpacked: Vec::new(),
        };
        let value = visitor.visit_newtype_struct(&mut inside)?;
        inside.skip_blanks();
        self.at = inside.at;
        // the quote that ends the string
        if self.peek() != Some(b'"') {
            return Err(Unusual);
        }
        self.at += 1;
        Ok(value)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The elements of an object or a list.
struct Elements<'r, 'de, const INSIDE_STRING: bool> {
    reader: &'r mut Reader<'de, INSIDE_STRING>,
    first: bool,
}

impl<'de, const INSIDE_STRING: bool> MapAccess<'de> for Elements<'_, 'de, INSIDE_STRING> {
    type Error = Unusual;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unusual> {
        if !self.reader.goes_on(b'}', &mut self.first)? {
            return Ok(None);
        }
        self.reader.key_begins()?;
        let key = match self.reader.string()? {
            Cow::Borrowed(text) => seed.deserialize(BorrowedStrDeserializer::new(text)),
            Cow::Owned(text) => seed.deserialize(StringDeserializer::new(text)),
        };
        self.reader.expect(b':')?;
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unusual> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de, const INSIDE_STRING: bool> SeqAccess<'de> for Elements<'_, 'de, INSIDE_STRING> {
    type Error = Unusual;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unusual> {
        if !self.reader.goes_on(b']', &mut self.first)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::notification::{Inside, notification};
    use serde_json::{Value, json};

    fn wrapped(inner: &str) -> String {
        json!({"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": inner, "Signature": "x/+="})
            .to_string()
    }

    /// The document in a string as this reader sees it, with everything in it.
    fn inside(text: &str) -> Result<Value, Unusual> {
        #[derive(Debug)]
        struct Whole(Value);
        impl<'de> Deserialize<'de> for Whole {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Inside::<Value>::deserialize(deserializer).map(|inside| Self(inside.0))
            }
        }
        document::<Whole>(text).map(|whole| whole.0)
    }

    #[test]
    fn everyday_writing_is_read_in_place() {
        let inner = "{\"eventType\": \"Bounce\", \"mail\":{\"messageId\":\"m\",\"source\":\"a \\\"b\\\" <c@d>\"},\n\"x\":[1,{\"y\":null}]}\n";
        let text = wrapped(inner);
        let found = notification(&text).unwrap();
        assert_eq!(found.message.event_type.get(), Some("Bounce"));
        let mail = found.message.mail.0.unwrap();
        assert!(matches!(mail.message_id.0, Some(Cow::Borrowed("m"))));
        assert_eq!(mail.source.get(), Some("a \"b\" <c@d>"));
    }

    #[test]
    fn what_is_unusual_is_left_alone() {
        for text in [
            "",
            "{}",
            "{\"Type\":\"Notification\"}",
            "{\"Type\":\"Notification\",\"Message\":\"plain text\"}",
            "{\"Type\":\"Notification\",\"Message\":{}}",
            "{\"Type\":\"Notification\",\"Message\":\"{}\"}x",
            "{\"Type\":\"Notification\",\"Message\":\"{}\",}",
            "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":\\\"cut",
            "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":1\"}",
            "{\"Type\":\"Notification\",\"Message\":\"{}\",\"mail\":{}}",
            "{\"Type\":\"SubscriptionConfirmation\",\"Message\":\"{}\"}",
            "{\"Type\":\"Notification\",\"Message\":\"{}\",\"Message\":\"{}\"}",
            "{\"Type\":\"Notification\",\"Message\":\"{\\\"a\\\":\\\"\\\\ud83d\\\\ude00\\\"}\"}",
            "{\"Type\":\"Notification\",\n\"Message\":\"{}\"}",
        ] {
            assert!(notification(text).is_err(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(document::<Value>(&deep), Err(Unusual));
    }

    /// JSON of few kinds of parts, so that odd combinations are frequent.
    fn values() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let text = "[ab\"\\\\/\n\t\u{1}é€{}:,]{0,24}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(text, inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn what_it_reads_is_what_stands_there(value in values(), pretty in proptest::bool::ANY) {
            let inner = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let outer = serde_json::to_string(&inner).unwrap();
            proptest::prop_assert_eq!(inside(&outer), Ok(value.clone()));
            if !pretty {
                proptest::prop_assert_eq!(document::<Value>(&inner), Ok(value));
            }
            // and unpacked, from one string and from two, in little room and in much
            for packed in [inner.clone(), outer.clone(), outer.repeat(200)] {
                let text = serde_json::to_string(&packed).unwrap();
                proptest::prop_assert_eq!(document::<String>(&text), Ok(packed));
            }
        }

        #[test]
        fn what_is_cut_or_spoilt_is_never_read_otherwise(value in values(), at in 0usize..200, byte in proptest::sample::select(b"\"\\{}[],:1n".to_vec())) {
            let inner = serde_json::to_string(&value).unwrap();
            let mut spoilt = serde_json::to_string(&inner).unwrap().into_bytes();
            let at = at % spoilt.len();
            spoilt[at] = byte;
            let Ok(text) = std::str::from_utf8(&spoilt) else { return Ok(()) };
            let unpacked = serde_json::from_str::<String>(text);
            if let Ok(read) = document::<String>(text) {
                proptest::prop_assert_eq!(Ok(&read), unpacked.as_ref().map_err(|_| Unusual));
            }
            if let Ok(read) = inside(text) {
                proptest::prop_assert_eq!(serde_json::from_str::<Value>(&unpacked.unwrap()).unwrap(), read);
            }
        }
    }
}
