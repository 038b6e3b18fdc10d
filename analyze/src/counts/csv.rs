//! Counts in CSV, with a header. No I/O.

use csv::{ByteRecord, ReaderBuilder};

use crate::counts::error::{CountsError, RowProblem};
use crate::counts::row::Fields;
use crate::counts::table::CountsBuilder;
use crate::counts::value::Value;

pub(super) fn read(text: &[u8], rows: &mut CountsBuilder) -> Result<(), CountsError> {
    let mut reader = ReaderBuilder::new().from_reader(text);
    let utf8 = |bytes: &[u8], rows: &CountsBuilder, line: u64| {
        std::str::from_utf8(bytes)
            .map(|text| text.trim().to_owned())
            .map_err(|_| rows.error(line, RowProblem::new("the text is not UTF-8", "write UTF-8")))
    };
    let header = reader.byte_headers().cloned().unwrap_or_default();
    let names: Vec<String> =
        header.iter().map(|name| utf8(name, rows, 1)).collect::<Result<_, _>>()?;
    let mut record = ByteRecord::new();
    loop {
        let line = line_of_record(text, reader.position());
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return Err(rows.error(line, problem(&error))),
        }
        let values = record.iter().map(|value| Ok(Value::text(&utf8(value, rows, line)?)));
        let values: Vec<Value> = values.collect::<Result<_, CountsError>>()?;
        let fields = names.iter().map(String::as_str).zip(values).collect();
        rows.add(line, &Fields(fields))?;
    }
}

/// Returns the line of the record at or after a position. The parser skips empty lines.
fn line_of_record(text: &[u8], position: &csv::Position) -> u64 {
    let rest = usize::try_from(position.byte()).ok().and_then(|start| text.get(start..));
    let skipped = rest.into_iter().flatten().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

/// Returns the problem of a parser error, without values of the row (invariant I-8).
fn problem(error: &csv::Error) -> RowProblem {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => RowProblem::new(
            format!("{len} values, but the header has {expected_len} columns"),
            "write a value or nothing for each column; quote values that contain a comma",
        ),
        _ => RowProblem::new("not valid CSV", "write CSV with a header, NDJSON or Parquet"),
    }
}
