//! `explain`: why a mail failed, by what the server said.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::Arc;

use anyhow::ensure;
use bouncewatch_classify::{Classification, Classifier, Input, Scratch, advice};
use bouncewatch_ingest::decode::outcome::Ignored;
use bouncewatch_ingest::decode::{Context, Sink, peel_all};
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::event::{EventRow, Kind};
use bouncewatch_schemas::printable::printable;
use serde::Serialize;

use super::Answer;
use crate::cause_rules;
use crate::cli::{EXIT_LOOK, ExplainArgs, SummaryFormat};
use crate::config::Config;

/// Bytes of lines that are classified at a time, on all cores.
const BLOCK_BYTES: usize = 4 * 1024 * 1024;
/// Bytes below which another thread is not worth its start.
const THREAD_BYTES_MIN: usize = 64 * 1024;

pub(super) fn run(
    args: &ExplainArgs,
    config: &Config,
    out: &mut dyn Write,
) -> anyhow::Result<Answer> {
    let own = cause_rules::classifier(config)?;
    let classifier: &Classifier = own.as_ref().map_or_else(|| Classifier::builtin(), Arc::as_ref);
    let explained = if let Some(text) = args.text.as_deref().filter(|text| *text != "-") {
        one(text, classifier, args.format, out)
    } else {
        ensure!(
            args.text.is_some() || !io::stdin().is_terminal(),
            "nothing to explain: give a text, or lines on stdin"
        );
        stdin(classifier, args.format, out)
    };
    let explained = match explained {
        Ok(explained) => explained,
        // who reads us has read enough
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(Answer::default());
        }
        Err(Failure::Write(error)) => {
            return Err(anyhow::Error::new(error).context("could not write to stdout"));
        }
        Err(Failure::Other(error)) => return Err(error),
    };
    ensure!(explained.texts > 0, "nothing to explain: no text came");
    let exit_code = if explained.unknown > 0 { EXIT_LOOK } else { 0 };
    Ok(Answer { exit_code, ..Answer::default() })
}

/// How many texts there were, and how many no rule knew.
#[derive(Debug, Default, Clone, Copy)]
struct Explained {
    texts: usize,
    unknown: usize,
}

/// Why nothing could be explained.
enum Failure {
    /// Who reads us.
    Write(io::Error),
    /// What we read.
    Other(anyhow::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// One text, or the events in it.
fn one(
    text: &str,
    classifier: &Classifier,
    format: SummaryFormat,
    out: &mut dyn Write,
) -> Result<Explained, Failure> {
    let mut answers = Answers::new(classifier, format, Shape::Full);
    if looks_like_json(text.as_bytes()) {
        answers.events(text.as_bytes())?;
    } else if !text.trim().is_empty() {
        answers.text(text);
    }
    out.write_all(&answers.written)?;
    out.flush()?;
    Ok(answers.explained)
}

/// An object, or an array of objects; `[TSS04]` is none.
fn looks_like_json(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"[").map_or(text, <[u8]>::trim_ascii_start);
    text.first() == Some(&b'{')
}

/// Lines, or events, from stdin; lines are answered while more of them come.
fn stdin(
    classifier: &Classifier,
    format: SummaryFormat,
    out: &mut dyn Write,
) -> Result<Explained, Failure> {
    let could_not_read =
        |error| Failure::Other(anyhow::Error::new(error).context("could not read from stdin"));
    let mut input = io::BufReader::with_capacity(BLOCK_BYTES, io::stdin().lock());
    if looks_like_json(input.fill_buf().map_err(could_not_read)?) {
        let mut whole = Vec::new();
        input.read_to_end(&mut whole).map_err(could_not_read)?;
        let mut answers = Answers::new(classifier, format, Shape::Lines);
        answers.events(&whole)?;
        out.write_all(&answers.written)?;
        out.flush()?;
        return Ok(answers.explained);
    }
    let mut all = Explained::default();
    let mut block = Vec::new();
    loop {
        block.clear();
        // what is there now, up to the end of a line
        let there = input.fill_buf().map_err(could_not_read)?;
        if there.is_empty() {
            break;
        }
        let length = there.len();
        block.extend_from_slice(there);
        input.consume(length);
        if block.last() != Some(&b'\n') {
            input.read_until(b'\n', &mut block).map_err(could_not_read)?;
        }
        for part in on_all_cores(&block, classifier, format) {
            all.texts += part.explained.texts;
            all.unknown += part.explained.unknown;
            out.write_all(&part.written)?;
        }
        out.flush()?;
    }
    Ok(all)
}

/// Answers the lines of a block, in their order.
fn on_all_cores<'c>(
    block: &[u8],
    classifier: &'c Classifier,
    format: SummaryFormat,
) -> Vec<Answers<'c>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = (block.len() / cores).max(THREAD_BYTES_MIN);
    let mut parts = Vec::new();
    let mut rest = block;
    while rest.len() > share {
        let end = memchr::memchr(b'\n', &rest[share..]).map_or(rest.len(), |at| share + at + 1);
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    let lines = |part: &[u8]| {
        let mut answers = Answers::new(classifier, format, Shape::Lines);
        for line in String::from_utf8_lossy(part).lines().filter(|line| !line.trim().is_empty()) {
            answers.text(line);
        }
        answers
    };
    if let [part] = parts[..] {
        return vec![lines(part)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || lines(part))).collect();
        // the lines of a thread that fails are not left out in silence
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// How a table looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// All that is known, with advice.
    Full,
    /// A line for each text.
    Lines,
}

/// Answers as they are made.
struct Answers<'c> {
    classifier: &'c Classifier,
    format: SummaryFormat,
    shape: Shape,
    scratch: Scratch,
    explained: Explained,
    written: Vec<u8>,
}

impl<'c> Answers<'c> {
    fn new(classifier: &'c Classifier, format: SummaryFormat, shape: Shape) -> Self {
        let (scratch, explained, written) = Default::default();
        Self { classifier, format, shape, scratch, explained, written }
    }

    fn text(&mut self, text: &str) {
        let said = diagnostic::read(Some(Cow::Borrowed(text)), None);
        self.answer(&Input::of(&said));
    }

    /// The bounces and delays in JSON.
    fn events(&mut self, json: &[u8]) -> Result<(), Failure> {
        let before = self.explained.texts;
        let read = peel_all(json, Context::new("explain", 0), self);
        if let Err(rejected) = read {
            let said = format!("not an event of SES: {}", rejected.detail);
            return Err(Failure::Other(anyhow::anyhow!(said)));
        }
        if self.explained.texts == before {
            let said = "no bounce and no delivery delay in these events: nothing failed";
            return Err(Failure::Other(anyhow::anyhow!(said)));
        }
        Ok(())
    }

    fn answer(&mut self, input: &Input<'_>) {
        let found = self.classifier.classify(input, &mut self.scratch);
        self.explained.texts += 1;
        self.explained.unknown += usize::from(found.rule.is_none());
        let text = input.text.unwrap_or_default();
        // writing to a Vec cannot fail
        _ = match (self.format, self.shape) {
            (SummaryFormat::Json, _) => as_json(&mut self.written, text, input, &found),
            (SummaryFormat::Table, Shape::Lines) => as_line(&mut self.written, text, &found),
            (SummaryFormat::Table, Shape::Full) => {
                if self.explained.texts > 1 {
                    self.written.push(b'\n');
                }
                in_full(&mut self.written, text, &found)
            }
        };
    }
}

impl Sink for Answers<'_> {
    fn event(&mut self) {}

    fn row(&mut self, row: &EventRow<'_>) {
        if matches!(row.kind, Kind::Bounce | Kind::DeliveryDelay) {
            self.answer(&Input::of_row(row));
        }
    }

    fn ignored(&mut self, _: Ignored) {}
}

/// An answer as JSON has it.
#[derive(Serialize)]
struct AsJson<'a> {
    text: &'a str,
    cause: &'a str,
    fault: &'a str,
    action: &'a str,
    confidence: &'a str,
    rule: Option<&'a str>,
    matched: Option<&'a str>,
    runner_up: Option<OtherCause<'a>>,
    smtp_code: Option<u16>,
    enhanced_status: Option<&'a str>,
    retry_after: Option<u32>,
    block_list: Option<&'a str>,
    expired: bool,
    agrees_with_ses: Option<bool>,
}

#[derive(Serialize)]
struct OtherCause<'a> {
    cause: &'a str,
    rule: &'a str,
}

fn as_json(
    out: &mut Vec<u8>,
    text: &str,
    input: &Input<'_>,
    found: &Classification<'_>,
) -> io::Result<()> {
    let line = AsJson {
        text,
        cause: found.cause.as_str(),
        fault: found.fault.as_str(),
        action: found.action.as_str(),
        confidence: found.confidence.as_str(),
        rule: found.rule,
        matched: found.matched,
        runner_up: found
            .runner_up
            .map(|other| OtherCause { cause: other.cause.as_str(), rule: other.rule }),
        smtp_code: input.smtp_code,
        enhanced_status: input.enhanced_status,
        retry_after: found.retry_after,
        block_list: found.block_list,
        expired: found.expired,
        agrees_with_ses: found.agrees_with_ses,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn as_line(out: &mut Vec<u8>, text: &str, found: &Classification<'_>) -> io::Result<()> {
    writeln!(
        out,
        "{:<20}  {:<6}  {:<20}  {:<24}  {}",
        found.cause.as_str(),
        found.confidence.as_str(),
        found.action.as_str(),
        found.rule.unwrap_or("-"),
        printable(text)
    )
}

fn in_full(out: &mut Vec<u8>, text: &str, found: &Classification<'_>) -> io::Result<()> {
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<12}{}", printable(value));
    line("text", text)?;
    line("cause", &format!("{}, confidence {}", found.cause.as_str(), found.confidence.as_str()))?;
    line("fault", found.fault.as_str())?;
    line("action", found.action.as_str())?;
    if let (Some(rule), Some(matched)) = (found.rule, found.matched) {
        line("rule", &format!("{rule}, which looks for `{matched}`"))?;
    }
    if let Some(other) = found.runner_up {
        line("or else", &format!("{}, by rule {}", other.cause.as_str(), other.rule))?;
    }
    if let Some(list) = found.block_list {
        line("block list", list)?;
    }
    if let Some(seconds) = found.retry_after {
        line("try again", &format!("after {seconds} s"))?;
    }
    if found.expired {
        line("expired", "SES gave up after hours; the cause is that of the last answer")?;
    }
    if found.agrees_with_ses == Some(false) {
        line("SES", "reports it otherwise: what the server said is believed")?;
    }
    let words = advice(found.cause);
    line("meaning", words.meaning)?;
    line("what to do", words.remedy)?;
    if let Some(ses) = words.ses {
        line("with SES", ses)?;
    }
    Ok(())
}
