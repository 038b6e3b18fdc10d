//! Measures the accuracy of the builtin rules with files of labelled texts.
//!
//! ```sh
//! cargo run -p bouncewatch-classify --example measure_texts -- fixtures/causes/texts_measuring.tsv
//! ```
//!
//! Each line of a file has the columns cause and text (`\n` is a line break in the reply), possibly with further
//! columns. The output has one line per wrong text and one line per file.

use std::borrow::Cow;

use bouncewatch_classify::{Classifier, FailureFacts, Scratch};
use bouncewatch_schemas::cause::{Action, Cause};
use bouncewatch_schemas::diagnostic;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    std::env::args().skip(1).try_for_each(|file| measure(&file, &mut out))
}

/// Classifies the texts of a file, and prints the wrong ones and the accuracy.
fn measure(file: &str, out: &mut impl std::io::Write) -> Result<(), Box<dyn std::error::Error>> {
    let (mut total, mut correct, mut same_action, mut false_suppressions) = (0, 0, 0, 0);
    let mut scratch = Scratch::default();
    for line in std::fs::read_to_string(file)?.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        let (label, text) = (columns.next().unwrap_or_default(), columns.next());
        let text = text.ok_or_else(|| format!("no text: {line}"))?.replace("\\n", "\n");
        let label = Cause::parse(label).ok_or_else(|| format!("unknown cause: {line}"))?;
        let reply = diagnostic::parse(Some(Cow::Borrowed(&text)), None);
        let facts = FailureFacts::from_diagnostic(&reply);
        let found = Classifier::builtin().classify(&facts, &mut scratch);
        total += 1;
        same_action += u32::from(found.cause.action() == label.action());
        if found.cause == label {
            correct += 1;
            continue;
        }
        let suppresses = found.cause.is_recipient_failure() || found.action == Action::Suppress;
        let is_false = suppresses && !label.is_recipient_failure() && label != Cause::Suppressed;
        false_suppressions += u32::from(is_false);
        let (cause, rule) = (found.cause.as_str(), found.rule.unwrap_or("none"));
        let matched = found.matched.unwrap_or_default();
        let note = if is_false { " FALSE SUPPRESSION" } else { "" };
        let text = text.replace('\n', "\\n");
        let label = label.as_str();
        writeln!(out, "{label} is classified as {cause} by {rule} ({matched}){note}: {text}")?;
    }
    let actions = format!("{same_action} with the right action");
    writeln!(
        out,
        "{file}: {correct} of {total} correct, {actions}, {false_suppressions} false suppressions"
    )?;
    Ok(())
}
