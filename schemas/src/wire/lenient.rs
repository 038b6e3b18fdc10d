//! JSON field types that accept any value.
//!
//! They replace derived `Deserialize`: an unexpected value (a number for a string, `null` for a list, a repeated key)
//! costs one field, not the event.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Visitor methods that read numbers, booleans and `null` as the default value.
macro_rules! scalars_as_default {
    () => {
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
}

/// Visitor methods that read all values except objects as the default value.
macro_rules! non_objects_as_default {
    () => {
        $crate::wire::lenient::scalars_as_default!();
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
            $crate::wire::lenient::skip_seq(seq).map(|()| Default::default())
        }
    };
}

pub(crate) use non_objects_as_default;
pub(crate) use scalars_as_default;

/// Merges repeated keys and aliases of a field: the last value wins, but a missing value (`null`, wrong type) never
/// replaces an existing one.
pub(crate) trait MergeField {
    /// Replaces the field by `value`, unless `value` is missing.
    fn merge(&mut self, value: Self);
    /// Whether the field has no value yet.
    fn is_missing(&self) -> bool;
}

/// The key of `keys` that equals `name` without ASCII case, or else without hyphens and underscores too: Hive writes
/// lower case, .NET and Java classes `PascalCase`, other tools `snake_case`.
#[cold]
#[inline(never)]
pub(crate) fn similar_key(name: &str, keys: &[&'static str]) -> Option<&'static str> {
    let is_letter = |byte: &u8| !matches!(byte, b'-' | b'_');
    let folded = || name.bytes().filter(is_letter).map(|byte| byte.to_ascii_lowercase());
    let is_similar = |key: &&&'static str| {
        key.bytes().filter(is_letter).map(|byte| byte.to_ascii_lowercase()).eq(folded())
    };
    let same_letters = keys.iter().find(|key| key.eq_ignore_ascii_case(name));
    same_letters.or_else(|| keys.iter().find(is_similar)).copied()
}

impl MergeField for Text<'_> {
    fn merge(&mut self, value: Self) {
        if value.0.is_some() {
            *self = value;
        }
    }
    fn is_missing(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> MergeField for Object<T> {
    fn merge(&mut self, value: Self) {
        if value.0.is_some() {
            *self = value;
        }
    }
    fn is_missing(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> MergeField for List<T> {
    fn merge(&mut self, value: Self) {
        if !value.0.is_empty() {
            *self = value;
        }
    }
    fn is_missing(&self) -> bool {
        self.0.is_empty()
    }
}

/// Skips the rest of an array.
pub(crate) fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Skips the rest of an object.
pub(crate) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// An optional text. Numbers and booleans are read as their text; `""` and all other values as missing.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Option<Cow<'a, str>>);

impl Text<'_> {
    /// The text; `None` if it is missing.
    pub fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text without white space around it; `None` if nothing remains.
    pub fn trimmed(&self) -> Option<&str> {
        self.get().map(str::trim).filter(|text| !text.is_empty())
    }

    /// Whether the text equals `other`, without ASCII case and white space around it. False if it is missing.
    pub fn is(&self, other: &str) -> bool {
        self.get().is_some_and(|text| {
            text.len() >= other.len() && text.trim().eq_ignore_ascii_case(other)
        })
    }
}

/// Keys of a time that is an object: of `MongoDB`, Protobuf, Firestore and `DynamoDB`.
const TIME_KEYS: [&str; 5] = ["$date", "$numberLong", "seconds", "N", "S"];

/// A time as text. An object such as `{"$date": ...}` is read as its value.
#[derive(Debug, Default)]
pub struct TimeText<'a>(pub Text<'a>);

impl TimeText<'_> {
    /// The text; `None` if it is missing.
    pub fn get(&self) -> Option<&str> {
        self.0.get()
    }
}

impl MergeField for TimeText<'_> {
    fn merge(&mut self, value: Self) {
        self.0.merge(value.0);
    }
    fn is_missing(&self) -> bool {
        self.0.is_missing()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TimeText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor::<true>).map(TimeText)
    }
}

/// Reads a [`Text`]; with `IS_TIME` that of a [`TimeText`].
struct TextVisitor<const IS_TIME: bool>;

impl<'de, const IS_TIME: bool> Visitor<'de> for TextVisitor<IS_TIME> {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Text((!value.is_empty()).then_some(Cow::Borrowed(value))))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        self.visit_string(value.to_owned())
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Self::Value, E> {
        Ok(Text((!value.is_empty()).then_some(Cow::Owned(value))))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Owned(value.to_string()))))
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Text(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
    }
    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Text(None))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| Text(None))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if !IS_TIME {
            return skip_map(map).map(|()| Text(None));
        }
        let mut text = Text(None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let TimeText(value) = map.next_value()?;
            let key = key.get().unwrap_or_default();
            if similar_key(key, &TIME_KEYS).is_some() {
                text.merge(value);
            }
        }
        Ok(text)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor::<false>)
    }
}

/// An optional object. All other values are read as missing.
#[derive(Debug, Clone)]
pub struct Object<T>(pub Option<Box<T>>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Object(Some(Box::new(value))))
    }
    non_objects_as_default!();
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

/// A text or an object under the same key, depending on the shape of the document. All other values are read as
/// missing.
#[derive(Debug)]
pub struct TextOrObject<'a, T> {
    /// The text.
    pub text: Text<'a>,
    /// The object.
    pub object: Object<T>,
}

impl<T> Default for TextOrObject<'_, T> {
    fn default() -> Self {
        Self { text: Text::default(), object: Object::default() }
    }
}

impl<T> MergeField for TextOrObject<'_, T> {
    fn merge(&mut self, value: Self) {
        self.text.merge(value.text);
        self.object.merge(value.object);
    }
    fn is_missing(&self) -> bool {
        self.text.is_missing() && self.object.is_missing()
    }
}

struct TextOrObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrObjectVisitor<T> {
    type Value = TextOrObject<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        let text = TextVisitor::<false>.visit_borrowed_str(value)?;
        Ok(TextOrObject { text, object: Object::default() })
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        TextVisitor::<false>
            .visit_str(value)
            .map(|text| TextOrObject { text, object: Object::default() })
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let object = ObjectVisitor(PhantomData).visit_map(map)?;
        Ok(TextOrObject { text: Text::default(), object })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq).map(|()| TextOrObject::default())
    }
    scalars_as_default!();
}

impl<'de: 'a, 'a, T: Deserialize<'de>> Deserialize<'de> for TextOrObject<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrObjectVisitor(PhantomData))
    }
}

/// Maximum size of the items of one list in memory, bytes: an item can take a hundred times its JSON text.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Start of the error for a list that is too long.
pub const LIST_TOO_LONG: &str = "a list has too many items";

/// A list. A single value is read as a list of one, `null` as an empty list.
#[derive(Debug, Clone)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::with_capacity(seq.size_hint().unwrap_or(1).min(64));
        while let Some(item) = seq.next_element()? {
            if items.len() >= LIST_BYTES_MAX / size_of::<T>().max(1) {
                return Err(A::Error::custom(LIST_TOO_LONG));
            }
            items.push(item);
        }
        Ok(List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|item| List(vec![item]))
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Self::Value, E> {
        T::deserialize(BorrowedStrDeserializer::new(value)).map(|item| List(vec![item]))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        T::deserialize(StrDeserializer::new(value)).map(|item| List(vec![item]))
    }
    scalars_as_default!();
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

/// Declares a struct that reads a JSON object by its keys, and all other values as its default. If the exact key of a
/// field is missing, a [similar key](similar_key) is read. Frequent keys that are not read are listed as `unread`, so
/// that they are not compared with all fields.
macro_rules! wire_object {
    (
        $(#[$meta:meta])*
        pub struct $name:ident<'a> {
            $( $(#[$field_meta:meta])* pub $field:ident : $ty:ty = $key:literal $(| $alias:literal)* ),* $(,)?
        }
        $( unread $( $unread:literal )|+ )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        pub struct $name<'a> {
            $( $(#[$field_meta])* pub $field: $ty, )*
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct ObjectVisitor<'a>(std::marker::PhantomData<$name<'a>>);

                impl<'de: 'a, 'a> serde::de::Visitor<'de> for ObjectVisitor<'a> {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("any value")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Self::Value, A::Error> {
                        use $crate::wire::lenient::{MergeField, Text, similar_key};

                        const KEYS: &[&str] = &[$( $key $(, $alias)* ),*];
                        let mut out = $name::default();
                        while let Some(key) = map.next_key::<Text<'de>>()? {
                            let mut key = key.get().unwrap_or_default();
                            let mut is_exact = true;
                            loop {
                                match key {
                                    $( $key $(| $alias)* => {
                                        let value = map.next_value()?;
                                        if is_exact || out.$field.is_missing() {
                                            out.$field.merge(value);
                                        }
                                        break;
                                    } )*
                                    $( $( $unread )|+ => {} )?
                                    _ if is_exact => if let Some(known) = similar_key(key, KEYS) {
                                        (key, is_exact) = (known, false);
                                        continue;
                                    },
                                    _ => {}
                                }
                                map.next_value::<serde::de::IgnoredAny>()?;
                                break;
                            }
                        }
                        Ok(out)
                    }
                    $crate::wire::lenient::non_objects_as_default!();
                }
                deserializer.deserialize_any(ObjectVisitor(std::marker::PhantomData))
            }
        }
    };
}

pub(crate) use wire_object;
