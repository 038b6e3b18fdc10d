//! Groups of failures as CSV (RFC 4180): a line for each. Unknown is an empty cell.

use crate::causes::{Causes, Unknown};
use crate::report::csv::{escape, line};

/// The groups.
pub fn causes(causes: &Causes) -> String {
    let mut words: Vec<&str> = Vec::new();
    for (word, _) in causes.groups.iter().flat_map(|group| &group.scope.0) {
        if !words.contains(&word.as_str()) {
            words.push(word);
        }
    }
    let fixed = ["count", "share", "counted", "count_before", "share_before", "example"];
    // a cut by fault has that column by its own word
    let fault: &[&str] = if words.contains(&"fault") { &[] } else { &["fault"] };
    let mut out = String::new();
    let header =
        ["from", "to"].into_iter().chain(words.iter().copied()).chain(fault.iter().copied());
    line(&mut out, header.chain(fixed).map(escape));
    for group in &causes.groups {
        let value = |word: &&str| {
            let found = group.scope.0.iter().find(|(name, _)| name == word);
            found.and_then(|(_, value)| value.as_deref()).unwrap_or_default()
        };
        let mut cells = vec![causes.from.clone(), causes.to.clone()];
        cells.extend(words.iter().map(|word| escape(value(word))));
        cells.extend(fault.iter().map(|_| group.fault.unwrap_or_default().to_owned()));
        cells.push(group.count.to_string());
        cells.push(number(group.share));
        cells.push(group.counted.to_string());
        cells.push(number(group.count_before));
        cells.push(number(group.share_before));
        cells.push(escape(group.example.as_deref().unwrap_or_default()));
        line(&mut out, cells.into_iter());
    }
    out
}

/// Texts that no rule knows.
pub fn unknown(unknown: &[Unknown]) -> String {
    let mut out = String::new();
    let header =
        ["count", "smtp_code", "enhanced_status", "bounce_type", "bounce_subtype", "template"];
    line(&mut out, header.map(escape).into_iter());
    for one in unknown {
        let text = |text: &Option<String>| escape(text.as_deref().unwrap_or_default());
        let cells = [
            one.count.to_string(),
            number(one.smtp_code),
            text(&one.enhanced_status),
            text(&one.bounce_type),
            text(&one.bounce_subtype),
            text(&one.template),
        ];
        line(&mut out, cells.into_iter());
    }
    out
}

fn number(number: Option<impl ToString>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}
