//! Messages that point to objects in S3 (facts 3.6): which objects those are. Pure; who follows them is a source.

use bouncewatch_schemas::wire::envelope::ObjectPointer;

/// A pointer to an object that was created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    /// The bucket.
    pub bucket: String,
    /// The object's key, as it is.
    pub key: String,
    /// Which of its versions, where the bucket keeps them.
    pub version: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
}

/// How a pointer writes its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// As a form does: a record of S3.
    Urlencoded,
    /// As it is: EventBridge.
    Plain,
}

/// What a pointer turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pointed {
    /// It names an object.
    Object(Pointer),
    /// It names a folder, as consoles make them: an object without content whose key ends in a slash.
    Folder,
    /// It names nothing.
    Nothing,
}

impl Pointed {
    /// Reads the pointer of an envelope.
    pub(crate) fn read(wire: &ObjectPointer<'_>, form: KeyForm, region: Option<&str>) -> Self {
        let bucket = wire.bucket.0.as_ref().and_then(|bucket| bucket.name.get());
        let object = wire.object.0.as_ref();
        let key = object.and_then(|object| object.key.get());
        let (Some(bucket), Some(object), Some(key)) = (bucket, object, key) else {
            return Self::Nothing;
        };
        let key = match form {
            KeyForm::Plain => Some(key.to_owned()),
            KeyForm::Urlencoded => urldecoded(key),
        };
        match key {
            None => Self::Nothing,
            Some(key) if key.ends_with('/') && object.size.is("0") => Self::Folder,
            Some(key) => Self::Object(Pointer {
                bucket: bucket.to_owned(),
                key,
                version: object.version.get().map(str::to_owned),
                region: region.map(str::to_owned),
            }),
        }
    }
}

/// Undoes what a form does to a text: `+` is a blank, `%XX` a byte. `None` where that makes no text.
fn urldecoded(text: &str) -> Option<String> {
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
        fn keys_survive_a_form(key in "\\PC{1,20}") {
            let encoded: String = key.bytes().map(|byte| match byte {
                b' ' => "+".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            }).collect();
            proptest::prop_assert_eq!(urldecoded(&encoded), Some(key));
        }
    }
}
