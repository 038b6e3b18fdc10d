//! Counts in Parquet. No I/O: the file is in memory.

use std::io::Cursor;

use polars::prelude::*;

use crate::counts::error::CountsError;
use crate::counts::row::Fields;
use crate::counts::table::CountsBuilder;
use crate::counts::value::Value;

pub(super) fn read(bytes: Vec<u8>, rows: &mut CountsBuilder) -> Result<(), CountsError> {
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(|error| damaged(&error))?;
    for at in 0..frame.height() {
        let columns = frame.columns().iter();
        let fields = columns.map(|column| {
            Ok((column.name().as_str(), value(&column.get(at).map_err(|error| damaged(&error))?)))
        });
        let fields = fields.collect::<Result<_, CountsError>>()?;
        rows.add(at as u64 + 1, &Fields(fields))?;
    }
    Ok(())
}

fn damaged(error: &PolarsError) -> CountsError {
    CountsError::Input {
        problem: format!("the Parquet file cannot be read: {error}"),
        hint: "write the file again, with text, integer and timestamp columns",
    }
}

fn value(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::String(text) => Value::text(text),
        AnyValue::StringOwned(text) => Value::text(text),
        AnyValue::Float32(number) => Value::Float(f64::from(*number)),
        AnyValue::Float64(number) => Value::Float(*number),
        AnyValue::Datetime(time, unit, _) | AnyValue::DatetimeOwned(time, unit, _) => {
            Value::Time(millis(*time, *unit))
        }
        AnyValue::Boolean(_) => Value::Other("true or false"),
        other if other.is_integer() => {
            other.extract::<i128>().map_or(Value::Other("a number"), Value::Integer)
        }
        _ => Value::Other("of another type"),
    }
}

fn millis(time: i64, unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Nanoseconds => time.div_euclid(1_000_000),
        TimeUnit::Microseconds => time.div_euclid(1_000),
        TimeUnit::Milliseconds => time,
    }
}
