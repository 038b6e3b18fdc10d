//! The deserializer on top of the scanner.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::wire::inplace::reader::{Fallback, Reader, Scalar};

/// Reads a JSON document.
///
/// # Errors
/// [`Fallback`] if the document contains a form that this reader does not cover, or is not valid JSON.
pub fn from_str<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Fallback> {
    // control characters are invalid in strings; documents with line ends between tokens are rare
    if has_control(text.as_bytes()) {
        return Err(Fallback);
    }
    let mut reader = Reader::<false>::new(text, 0, 0);
    let value = T::deserialize(&mut reader)?;
    reader.skip_blanks();
    if reader.at == text.len() { Ok(value) } else { Err(Fallback) }
}

/// Whether there is a control character. Chunks let the compiler vectorise the comparison.
fn has_control(bytes: &[u8]) -> bool {
    let any =
        |chunk: &[u8]| chunk.iter().fold(0, |found, byte| found | u8::from(*byte < b' ')) != 0;
    let chunks = bytes.chunks_exact(64);
    any(chunks.remainder()) || chunks.into_iter().any(any)
}

/// A document in a JSON string, read without unescaping the string.
pub(super) struct DocumentInString<T>(pub(super) T);

/// Newtype name by which [`DocumentInString`] requests the content of a string as a document.
const DOCUMENT_IN_STRING: &str = "bouncewatch: document in a string";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for DocumentInString<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringVisitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for StringVisitor<T> {
            type Value = T;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a document in a string")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
                T::deserialize(inner)
            }
        }

        let visitor = StringVisitor(std::marker::PhantomData);
        deserializer.deserialize_newtype_struct(DOCUMENT_IN_STRING, visitor).map(Self)
    }
}

impl<'de, const INSIDE_STRING: bool> Deserializer<'de> for &mut Reader<'de, INSIDE_STRING> {
    type Error = Fallback;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fallback> {
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
            _ => match Scalar::parse(self.scalar()?)? {
                Scalar::Null => visitor.visit_unit(),
                Scalar::Bool(value) => visitor.visit_bool(value),
                Scalar::Unsigned(value) => visitor.visit_u64(value),
            },
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fallback> {
        self.skip_value()?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fallback> {
        // other newtypes (`RawValue`) request raw text, which is escaped here
        if name != DOCUMENT_IN_STRING || INSIDE_STRING {
            return Err(Fallback);
        }
        self.skip_blanks();
        if !self.opens_string() {
            return Err(Fallback);
        }
        let mut inner = Reader::<true>::new(self.text, self.at, self.depth);
        let value = visitor.visit_newtype_struct(&mut inner)?;
        inner.skip_blanks();
        self.at = inner.at;
        // the closing quote of the string
        if self.peek() != Some(b'"') {
            return Err(Fallback);
        }
        self.at += 1;
        Ok(value)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// The remaining elements of an object or an array.
struct Elements<'r, 'de, const INSIDE_STRING: bool> {
    reader: &'r mut Reader<'de, INSIDE_STRING>,
    first: bool,
}

impl<'de, const INSIDE_STRING: bool> MapAccess<'de> for Elements<'_, 'de, INSIDE_STRING> {
    type Error = Fallback;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fallback> {
        if !self.reader.has_next(b'}', &mut self.first)? {
            return Ok(None);
        }
        self.reader.open_key()?;
        let key = match self.reader.string()? {
            Cow::Borrowed(text) => seed.deserialize(BorrowedStrDeserializer::new(text)),
            Cow::Owned(text) => seed.deserialize(StringDeserializer::new(text)),
        };
        self.reader.expect(b':')?;
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fallback> {
        seed.deserialize(&mut *self.reader)
    }
}

impl<'de, const INSIDE_STRING: bool> SeqAccess<'de> for Elements<'_, 'de, INSIDE_STRING> {
    type Error = Fallback;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fallback> {
        if !self.reader.has_next(b']', &mut self.first)? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}
