//! Reports as CSV (RFC 4180). Unknown is an empty cell. Text that a spreadsheet would run as a formula gets a `'`
//! in front, because domains and tags come from strangers.

use std::fmt::Write;

use crate::report::Report;
use crate::report::columns::{Values, columns};

/// A report as CSV with a header line.
pub fn report(report: &Report) -> String {
    let columns = columns(report);
    let mut out = String::new();
    line(&mut out, columns.iter().map(|(name, _)| escape(name)));
    for row in 0..report.rows.len() {
        let cell = |values: &Values| match values {
            Values::Text(texts) => escape(texts[row].as_deref().unwrap_or_default()),
            Values::Count(counts) => counts[row].map(|count| count.to_string()).unwrap_or_default(),
            Values::Rate(rates) => rates[row].map(|rate| rate.to_string()).unwrap_or_default(),
        };
        line(&mut out, columns.iter().map(|(_, values)| cell(values)));
    }
    out
}

/// A line of cells that are escaped already.
pub(crate) fn line(out: &mut String, cells: impl Iterator<Item = String>) {
    for (at, cell) in cells.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // writing to a String cannot fail
        _ = write!(out, "{comma}{cell}");
    }
    out.push_str("\r\n");
}

/// A cell of text: harmless in a spreadsheet, quoted where it must be.
pub fn escape(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_strangers_write() {
        for (text, cell) in [
            ("example.org", "example.org"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2", "'-2"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("=a\nb", "\"'=a\nb\""),
        ] {
            assert_eq!(escape(text), cell);
        }
    }
}
