//! Classifies the text of a bounce, and prints cause, fault and recommended action.
//!
//! ```sh
//! cargo run -p bouncewatch-classify --example classify_text -- "smtp; 550 5.1.1 no such user"
//! ```

use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;

use bouncewatch_classify::{Classifier, FailureFacts, Scratch, advice};
use bouncewatch_schemas::diagnostic;

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    let written = match std::env::args().nth(1) {
        Some(text) => classify(&text, &mut out).map(|()| ExitCode::SUCCESS),
        None => writeln!(out, "usage: classify_text TEXT").map(|()| ExitCode::from(2)),
    };
    written.unwrap_or(ExitCode::FAILURE)
}

fn classify(text: &str, out: &mut impl std::io::Write) -> std::io::Result<()> {
    // joins the lines of the reply, and reads the reply code and the enhanced status code
    let reply = diagnostic::parse(Some(Cow::Borrowed(text)), None);
    // a bounce of SES also has a bounce type and subtype; this text comes without them
    let facts = FailureFacts::from_diagnostic(&reply);
    // the buffers can be reused for further texts
    let mut scratch = Scratch::default();
    let found = Classifier::builtin().classify(&facts, &mut scratch);

    writeln!(out, "cause       {}", found.cause.as_str())?;
    writeln!(out, "fault       {}", found.fault.as_str())?;
    writeln!(out, "action      {}", found.action.as_str())?;
    writeln!(out, "confidence  {}", found.confidence.as_str())?;
    writeln!(out, "rule        {}", found.rule.unwrap_or("none"))?;
    writeln!(out, "remedy      {}", advice(found.cause).remedy)
}
