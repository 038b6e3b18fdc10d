//! Groups of failures as CSV (RFC 4180), one per record. Unknown is an empty field.

use crate::causes::model::{CausesReport, UnknownText};
use crate::csv_output::{CsvOutput, escape_formula};

/// Returns the groups of a report.
pub fn causes(causes: &CausesReport) -> String {
    let mut dimensions: Vec<&str> = Vec::new();
    for (name, _) in causes.groups.iter().flat_map(|group| &group.scope.0) {
        if !dimensions.contains(&name.as_str()) {
            dimensions.push(name);
        }
    }
    let fixed = ["count", "share", "counted", "count_before", "share_before", "example"];
    // a grouping by fault has that column already
    let fault: &[&str] = if dimensions.contains(&"fault") { &[] } else { &["fault"] };
    let mut out = CsvOutput::new();
    let header =
        ["from", "to"].into_iter().chain(dimensions.iter().copied()).chain(fault.iter().copied());
    out.record(header.chain(fixed).map(escape_formula));
    for group in &causes.groups {
        let value = |dimension: &&str| {
            let found = group.scope.0.iter().find(|(name, _)| name == dimension);
            found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
        };
        let mut fields = vec![causes.from.clone(), causes.to.clone()];
        fields.extend(dimensions.iter().map(|one| escape_formula(value(one)).into_owned()));
        fields.extend(fault.iter().map(|_| group.fault.unwrap_or_default().to_owned()));
        fields.push(group.count.to_string());
        fields.push(number(group.share));
        fields.push(group.counted.to_string());
        fields.push(number(group.count_before));
        fields.push(number(group.share_before));
        let example = group.example.as_deref().unwrap_or_default();
        fields.push(escape_formula(example).into_owned());
        out.record(fields);
    }
    out.finish()
}

/// Returns the texts that match no rule.
pub fn unknown(unknown: &[UnknownText]) -> String {
    let mut out = CsvOutput::new();
    let header =
        ["count", "smtp_code", "enhanced_status", "bounce_type", "bounce_subtype", "template"];
    out.record(header.map(escape_formula));
    for one in unknown {
        let text = |text: &Option<String>| {
            escape_formula(text.as_deref().unwrap_or_default()).into_owned()
        };
        let fields = [
            one.count.to_string(),
            number(one.smtp_code),
            text(&one.enhanced_status),
            text(&one.bounce_type),
            text(&one.bounce_subtype),
            text(&one.template),
        ];
        out.record(fields);
    }
    out.finish()
}

fn number(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
