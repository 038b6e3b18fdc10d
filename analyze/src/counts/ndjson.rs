//! Counts in NDJSON: one JSON object per line. No I/O.

use serde_json::{Map, Value as Json};

use crate::counts::error::{CountsError, RowProblem};
use crate::counts::row::Fields;
use crate::counts::table::CountsBuilder;
use crate::counts::value::Value;

pub(super) fn read(text: &[u8], rows: &mut CountsBuilder) -> Result<(), CountsError> {
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object: Map<String, Json> = serde_json::from_slice(line).map_err(|error| {
            let problem = format!("not a JSON object (column {})", error.column());
            rows.error(number, RowProblem::new(problem, "write one JSON object per line"))
        })?;
        let fields = object.iter().map(|(name, json)| (name.as_str(), value(json))).collect();
        rows.add(number, &Fields(fields))?;
    }
    Ok(())
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::text(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Value::Integer(number.into()),
            (None, Some(number), _) => Value::Integer(number.into()),
            (None, None, Some(number)) => Value::Float(number),
            (None, None, None) => Value::Other("a number that is too large"),
        },
        Json::Bool(_) => Value::Other("true or false"),
        Json::Array(_) => Value::Other("an array"),
        Json::Object(_) => Value::Other("an object"),
    }
}
