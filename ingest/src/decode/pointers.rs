//! Pointers to S3 objects, in S3 event notifications and in EventBridge events of S3. The sources read the objects.

use bouncewatch_schemas::wire::envelope::ObjectPointer;

/// A pointer to an S3 object that was created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct S3Pointer {
    /// The bucket.
    pub bucket: String,
    /// The object's key, not encoded.
    pub key: String,
    /// The object's version, if the bucket has versioning.
    pub version: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

/// How a pointer encodes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyEncoding {
    /// URL-encoded like an HTML form: S3 event notifications.
    Url,
    /// Not encoded: EventBridge.
    Plain,
}

/// The target of a pointer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PointerTarget {
    /// An object.
    Object(S3Pointer),
    /// A folder marker of the S3 console: an empty object with a key that ends in a slash.
    Folder,
    /// Unknown: the bucket or the key is missing or cannot be decoded.
    Unknown,
}

impl PointerTarget {
    /// Parses a pointer; `region` is the region in the notification.
    pub(crate) fn read(
        wire: &ObjectPointer<'_>,
        encoding: KeyEncoding,
        region: Option<&str>,
    ) -> Self {
        let bucket = wire.bucket.0.as_ref().and_then(|bucket| bucket.name.get());
        let object = wire.object.0.as_ref();
        let key = object.and_then(|object| object.key.get());
        let (Some(bucket), Some(object), Some(key)) = (bucket, object, key) else {
            return Self::Unknown;
        };
        let key = match encoding {
            KeyEncoding::Plain => Some(key.to_owned()),
            KeyEncoding::Url => decode_form_value(key),
        };
        match key {
            None => Self::Unknown,
            Some(key) if key.ends_with('/') && object.size.is("0") => Self::Folder,
            Some(key) => Self::Object(S3Pointer {
                bucket: bucket.to_owned(),
                key,
                version: object.version.get().map(str::to_owned),
                region: region.map(str::to_owned),
            }),
        }
    }
}

/// Decodes `application/x-www-form-urlencoded` text: `+` is a space, `%XX` a byte. `None` if an escape is
/// invalid, or the result is not UTF-8.
fn decode_form_value(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn decoding_reverses_encoding(key in "\\PC{1,20}") {
            let encoded: String = key.bytes().map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            }).collect();
            proptest::prop_assert_eq!(decode_form_value(&encoded), Some(key));
        }
    }
}
