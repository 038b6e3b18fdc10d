//! `bouncewatch explain`: classifies texts, or the failures in events.

use std::borrow::Cow;
use std::io::{self, BufRead, IsTerminal, Read, Write};

use anyhow::ensure;
use bouncewatch_classify::{Classification, Classifier, FailureFacts, Scratch, advice};
use bouncewatch_ingest::decode::outcome::IgnoreReason;
use bouncewatch_ingest::decode::{DecodeContext, Sink, decode_documents};
use bouncewatch_schemas::diagnostic;
use bouncewatch_schemas::event::{EventKind, EventRow};
use bouncewatch_schemas::printable::{self, printable};
use serde::Serialize;

use super::command_result::CommandResult;
use crate::cli::{BasicFormat, ExplainArgs};
use crate::config::Config;

/// Size of a block of lines; the lines of a block are classified on all cores.
const BLOCK_BYTES: usize = 4 * 1024 * 1024;
/// Minimum bytes per thread; starting a thread for less is slower.
const THREAD_BYTES_MIN: usize = 64 * 1024;

pub(super) fn run(
    args: &ExplainArgs,
    config: &Config,
    out: &mut dyn Write,
) -> anyhow::Result<CommandResult> {
    let classifier = config.classifier()?;
    let explained = if let Some(text) = args.text.as_deref().filter(|text| *text != "-") {
        explain_text(text, &classifier, args.output.format, out)
    } else {
        ensure!(
            args.text.is_some() || !io::stdin().is_terminal(),
            "no text given\n  hint: `bouncewatch explain \"550 5.1.1 user unknown\"`, or pipe one text per line to stdin"
        );
        explain_stdin(&classifier, args.output.format, out)
    };
    let explained = match explained {
        Ok(explained) => explained,
        // the reader closed the pipe; not an error
        Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            return Ok(CommandResult::default());
        }
        Err(Failure::Write(error)) => {
            return Err(anyhow::Error::new(error).context("could not write to stdout"));
        }
        Err(Failure::Other(error)) => return Err(error),
    };
    ensure!(explained.texts > 0, "no text to explain: the input is empty");
    Ok(CommandResult::default().with_attention(explained.unknown > 0))
}

/// Number of texts.
#[derive(Debug, Default, Clone, Copy)]
struct TextCounts {
    texts: usize,
    /// Texts that no rule matches.
    unknown: usize,
}

/// Why texts could not be explained.
enum Failure {
    /// The result could not be written.
    Write(io::Error),
    /// The input could not be read.
    Other(anyhow::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Explains one text, or the failures in events.
fn explain_text(
    text: &str,
    classifier: &Classifier,
    format: BasicFormat,
    out: &mut dyn Write,
) -> Result<TextCounts, Failure> {
    let mut explainer = Explainer::new(classifier, format, Layout::Full);
    if looks_like_json(text.as_bytes()) {
        explainer.events(text.as_bytes())?;
    } else if !text.trim().is_empty() {
        explainer.text(text);
    }
    out.write_all(&explainer.written)?;
    out.flush()?;
    Ok(explainer.counts)
}

/// Whether a text is an object, or an array of objects. Bounce messages can start with a bracket: `[TSS04]`.
fn looks_like_json(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"[").map_or(text, <[u8]>::trim_ascii_start);
    text.first() == Some(&b'{')
}

/// Explains lines, or the failures in events, from stdin. Results of lines are written while more lines arrive.
fn explain_stdin(
    classifier: &Classifier,
    format: BasicFormat,
    out: &mut dyn Write,
) -> Result<TextCounts, Failure> {
    let could_not_read =
        |error| Failure::Other(anyhow::Error::new(error).context("could not read from stdin"));
    let mut input = io::BufReader::with_capacity(BLOCK_BYTES, io::stdin().lock());
    if looks_like_json(input.fill_buf().map_err(could_not_read)?) {
        let mut json = Vec::new();
        input.read_to_end(&mut json).map_err(could_not_read)?;
        let mut explainer = Explainer::new(classifier, format, Layout::Line);
        explainer.events(&json)?;
        out.write_all(&explainer.written)?;
        out.flush()?;
        return Ok(explainer.counts);
    }
    let mut all = TextCounts::default();
    let mut block = Vec::new();
    loop {
        block.clear();
        // what is buffered, completed to the end of a line
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
        for part in explain_lines(&block, classifier, format) {
            all.texts += part.counts.texts;
            all.unknown += part.counts.unknown;
            out.write_all(&part.written)?;
        }
        out.flush()?;
    }
    Ok(all)
}

/// Explains the lines of a block on all cores; the results are in the order of the lines.
fn explain_lines<'c>(
    block: &[u8],
    classifier: &'c Classifier,
    format: BasicFormat,
) -> Vec<Explainer<'c>> {
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
        let mut explainer = Explainer::new(classifier, format, Layout::Line);
        for line in String::from_utf8_lossy(part).lines().filter(|line| !line.trim().is_empty()) {
            explainer.text(line);
        }
        explainer
    };
    if let [part] = parts[..] {
        return vec![lines(part)];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            parts.into_iter().map(|part| scope.spawn(move || lines(part))).collect();
        // a panic of a thread is not ignored: its lines would be missing
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Layout of the table format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// All fields of a text, with advice.
    Full,
    /// One line per text.
    Line,
}

/// Classifies texts and collects the formatted results.
struct Explainer<'c> {
    classifier: &'c Classifier,
    format: BasicFormat,
    layout: Layout,
    scratch: Scratch,
    counts: TextCounts,
    written: Vec<u8>,
}

impl<'c> Explainer<'c> {
    fn new(classifier: &'c Classifier, format: BasicFormat, layout: Layout) -> Self {
        let (scratch, counts, written) = Default::default();
        Self { classifier, format, layout, scratch, counts, written }
    }

    fn text(&mut self, text: &str) {
        let parsed = diagnostic::parse(Some(Cow::Borrowed(text)), None);
        self.explain(&FailureFacts::from_diagnostic(&parsed));
    }

    /// Explains the bounces and delays in JSON events.
    fn events(&mut self, json: &[u8]) -> Result<(), Failure> {
        let before = self.counts.texts;
        // the time of arrival is unknown: no event is too far in the future
        let read = decode_documents(json, DecodeContext::new("explain", i64::MAX), self);
        if let Err(rejected) = read {
            return Err(Failure::Other(anyhow::anyhow!("not an SES event: {}", rejected.detail)));
        }
        if self.counts.texts == before {
            let message = "nothing to explain: the events contain no bounce and no delivery delay";
            return Err(Failure::Other(anyhow::anyhow!(message)));
        }
        Ok(())
    }

    fn explain(&mut self, input: &FailureFacts<'_>) {
        let result = self.classifier.classify(input, &mut self.scratch);
        self.counts.texts += 1;
        self.counts.unknown += usize::from(result.rule.is_none());
        let text = input.text.unwrap_or_default();
        // writing to a Vec cannot fail
        _ = match (self.format, self.layout) {
            (BasicFormat::Json, _) => write_json(&mut self.written, text, input, &result),
            (BasicFormat::Table, Layout::Line) => write_line(&mut self.written, text, &result),
            (BasicFormat::Table, Layout::Full) => {
                if self.counts.texts > 1 {
                    self.written.push(b'\n');
                }
                write_full(&mut self.written, text, &result)
            }
        };
    }
}

impl Sink for Explainer<'_> {
    fn event(&mut self) {}

    fn row(&mut self, row: &EventRow<'_>) {
        if matches!(row.kind, EventKind::Bounce | EventKind::DeliveryDelay) {
            self.explain(&FailureFacts::from_event(row));
        }
    }

    fn ignored(&mut self, _: IgnoreReason) {}
}

/// The JSON object of a text; its keys are a contract.
#[derive(Serialize)]
struct ExplanationJson<'a> {
    text: &'a str,
    cause: &'a str,
    fault: &'a str,
    action: &'a str,
    confidence: &'a str,
    rule: Option<&'a str>,
    matched: Option<&'a str>,
    runner_up: Option<RunnerUpJson<'a>>,
    smtp_code: Option<u16>,
    enhanced_status: Option<&'a str>,
    retry_after: Option<u32>,
    block_list: Option<&'a str>,
    expired: bool,
    agrees_with_ses: Option<bool>,
}

#[derive(Serialize)]
struct RunnerUpJson<'a> {
    cause: &'a str,
    rule: &'a str,
}

fn write_json(
    out: &mut Vec<u8>,
    text: &str,
    input: &FailureFacts<'_>,
    result: &Classification<'_>,
) -> io::Result<()> {
    let line = ExplanationJson {
        text,
        cause: result.cause.as_str(),
        fault: result.fault.as_str(),
        action: result.action.as_str(),
        confidence: result.confidence.as_str(),
        rule: result.rule,
        matched: result.matched,
        runner_up: result
            .runner_up
            .map(|other| RunnerUpJson { cause: other.cause.as_str(), rule: other.rule }),
        smtp_code: input.smtp_code,
        enhanced_status: input.enhanced_status,
        retry_after: result.retry_after,
        block_list: result.block_list,
        expired: result.expired,
        agrees_with_ses: result.agrees_with_ses,
    };
    printable::write_json(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn write_line(out: &mut Vec<u8>, text: &str, result: &Classification<'_>) -> io::Result<()> {
    writeln!(
        out,
        "{:<20}  {:<6}  {:<20}  {:<24}  {}",
        result.cause.as_str(),
        result.confidence.as_str(),
        result.action.as_str(),
        result.rule.unwrap_or("-"),
        printable(text)
    )
}

fn write_full(out: &mut Vec<u8>, text: &str, result: &Classification<'_>) -> io::Result<()> {
    let mut line = |name: &str, value: &str| writeln!(out, "{name:<12}{}", printable(value));
    line("text", text)?;
    line(
        "cause",
        &format!("{}, confidence {}", result.cause.as_str(), result.confidence.as_str()),
    )?;
    line("fault", result.fault.as_str())?;
    line("action", result.action.as_str())?;
    if let (Some(rule), Some(matched)) = (result.rule, result.matched) {
        line("rule", &format!("{rule}, matches `{matched}`"))?;
    }
    if let Some(other) = result.runner_up {
        line("runner-up", &format!("{}, rule {}", other.cause.as_str(), other.rule))?;
    }
    if let Some(list) = result.block_list {
        line("block list", list)?;
    }
    if let Some(seconds) = result.retry_after {
        line("retry after", &format!("{seconds} s"))?;
    }
    if result.expired {
        line(
            "expired",
            "SES gave up after several attempts; the cause is that of the last response",
        )?;
    }
    if result.agrees_with_ses == Some(false) {
        line("SES", "reports another bounce type; the response of the server takes precedence")?;
    }
    let advice = advice(result.cause);
    line("meaning", advice.meaning)?;
    line("what to do", advice.remedy)?;
    if let Some(ses) = advice.ses {
        line("in SES", ses)?;
    }
    Ok(())
}
