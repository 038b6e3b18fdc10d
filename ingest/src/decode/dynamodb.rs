//! `DynamoDB` JSON, in which each value is an object with its type: `{"S": "text"}`.

use serde_json::{Map, Value};

/// Converts `DynamoDB` JSON to plain JSON; `None` if the text is not `DynamoDB` JSON.
pub(super) fn plain_json(text: &str) -> Option<String> {
    let Ok(Value::Object(item)) = serde_json::from_str(text) else { return None };
    let plain = match typed_value(&item) {
        Some(("M", Value::Object(item))) => plain_item(item)?,
        _ => plain_item(&item)?,
    };
    Some(plain.to_string())
}

/// Converts the attributes of an item; `None` if an attribute has no type.
fn plain_item(item: &Map<String, Value>) -> Option<Value> {
    if item.is_empty() {
        return None;
    }
    let plain = item.iter().map(|(name, value)| Some((name.clone(), plain_value(value)?)));
    plain.collect::<Option<Map<_, _>>>().map(Value::Object)
}

fn plain_value(value: &Value) -> Option<Value> {
    match typed_value(value.as_object()?)? {
        ("NULL", _) => Some(Value::Null),
        ("M", Value::Object(item)) if item.is_empty() => Some(Value::Object(Map::new())),
        ("M", Value::Object(item)) => plain_item(item),
        ("L", Value::Array(values)) => values.iter().map(plain_value).collect(),
        ("SS" | "NS" | "BS", Value::Array(_)) | ("S" | "N" | "B" | "BOOL", _) => {
            typed_value(value.as_object()?).map(|(_, value)| value.clone())
        }
        _ => None,
    }
}

/// Type and value of an attribute. Some Java serialisers use lower case and add the unused types
/// with the value `null`.
fn typed_value(attribute: &Map<String, Value>) -> Option<(&'static str, &Value)> {
    const TYPES: [&str; 10] = ["S", "N", "BOOL", "NULL", "M", "L", "SS", "NS", "B", "BS"];
    let mut known = None;
    for (name, value) in attribute {
        let kind = TYPES.iter().find(|kind| kind.eq_ignore_ascii_case(name))?;
        if !value.is_null() || attribute.len() == 1 {
            if known.is_some() {
                return None;
            }
            known = Some((*kind, value));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_attributes_become_plain_values() {
        for (typed, plain) in [
            (r#"{"a":{"S":"x"},"b":{"N":"1.5"}}"#, Some(r#"{"a":"x","b":"1.5"}"#)),
            (r#"{"M":{"a":{"L":[{"S":"x"},{"M":{}}]}}}"#, Some(r#"{"a":["x",{}]}"#)),
            (r#"{"a":{"s":"x","n":null},"b":{"NULL":true}}"#, Some(r#"{"a":"x","b":null}"#)),
            (r#"{"a":{"SS":["x","y"]},"b":{"BOOL":true}}"#, Some(r#"{"a":["x","y"],"b":true}"#)),
            (r#"{"a":{"S":"x"},"b":1}"#, None),
            (r#"{"a":{"S":"x","N":"1"}}"#, None),
            (r#"{"a":{"X":"x"}}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(plain_json(typed).as_deref(), plain, "{typed}");
        }
    }
}
