//! Log lines that a container runtime split: Docker ends all parts but the last without a line feed, Kubernetes (CRI)
//! marks them.
//!
//! A part belongs to the parts of the same stream. Lines of the other stream can be between them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::decode::scan::{self, Scan};

/// Maximum length of time, stream and tag in a line of CRI.
const CRI_HEAD_BYTES: usize = 64;

/// A line of a container log.
struct ContainerLine<'a> {
    stream: Cow<'a, str>,
    time: Cow<'a, str>,
    content: Cow<'a, str>,
    is_partial: bool,
}

impl ContainerLine<'_> {
    /// Whether it is a part with the start of an object.
    fn starts_object(&self) -> bool {
        let object = self.content.find('{').and_then(|at| self.content.get(at..));
        let is_open = |object: &str| matches!(scan::scan(object.as_bytes()), Scan::Unfinished);
        self.is_partial && object.is_some_and(is_open)
    }

    /// Whether it is a complete object: some programs write it without the line feed at its end.
    fn is_object(&self) -> bool {
        let content = self.content.trim();
        content.starts_with('{')
            && matches!(scan::scan(content.as_bytes()), Scan::Complete(length) if length == content.len())
    }
}

/// A line of the log driver `json-file`.
#[derive(Deserialize)]
struct DockerLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// Whether a document starts with a split line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PartialEnd {
    /// Yes; the document ends here, with the last part of the line. It has the lines of the other stream before this end.
    At(usize),
    /// Yes, and more input is needed.
    Unknown,
    /// No.
    NotPartial,
}

/// Finds the end of the split line at the start of `bytes`. If `is_last`, there are no more bytes. A line without its last
/// part ends before a line of another form.
pub(super) fn end_of(bytes: &[u8], is_last: bool) -> PartialEnd {
    if !can_be_partial(bytes) {
        return PartialEnd::NotPartial;
    }
    let mut lines = Lines { bytes, at: 0, is_last };
    let Some(first) = lines.next().and_then(container_line).filter(ContainerLine::starts_object)
    else {
        return PartialEnd::NotPartial;
    };
    loop {
        let end = lines.at;
        match lines.next().map(container_line) {
            None if is_last => return PartialEnd::At(end),
            None => return PartialEnd::Unknown,
            Some(None) => return PartialEnd::At(end),
            Some(Some(line)) if line.stream != first.stream => {}
            Some(Some(line)) if !line.is_partial => return PartialEnd::At(lines.at),
            // the rest of the first line is missing
            Some(Some(line)) if line.is_object() => return PartialEnd::At(end),
            Some(Some(_)) => {}
        }
    }
}

/// Joins the parts in a text of [`end_of`]: the documents of each stream, with the time of their first part. `None` for
/// other texts.
pub(super) fn join(text: &str) -> Option<Vec<String>> {
    if !can_be_partial(text.as_bytes()) {
        return None;
    }
    let mut documents: Vec<String> = Vec::new();
    // time and content of the open line of each stream
    let mut open: Vec<(Cow<'_, str>, Cow<'_, str>, String)> = Vec::new();
    let mut lines = text.lines().map(|line| container_line(line.as_bytes()));
    let first = lines.next()?.filter(ContainerLine::starts_object);
    for line in std::iter::once(first).chain(lines) {
        let line = line?;
        let at = open.iter().position(|(stream, ..)| *stream == line.stream);
        let (stream, time, mut content) =
            at.map_or_else(|| (line.stream, line.time, String::new()), |at| open.swap_remove(at));
        content.push_str(&line.content);
        if line.is_partial {
            open.push((stream, time, content));
        } else {
            documents.push(format!("{time} {content}"));
        }
    }
    documents.extend(open.into_iter().map(|(_, time, content)| format!("{time} {content}")));
    Some(documents)
}

/// Whether the first line of `bytes` can be a part of a line; a fast test.
fn can_be_partial(bytes: &[u8]) -> bool {
    match bytes {
        [b'0'..=b'9', ..] => cri_head(bytes).is_some_and(|(_, _, tag, _)| is_partial_tag(tag)),
        _ => bytes.starts_with(b"{\"log\":"),
    }
}

fn container_line(line: &[u8]) -> Option<ContainerLine<'_>> {
    if let Some((time, stream, tag, content)) = cri_head(line) {
        return Some(ContainerLine {
            stream: Cow::Borrowed(stream),
            time: Cow::Borrowed(time),
            content: String::from_utf8_lossy(content),
            is_partial: is_partial_tag(tag),
        });
    }
    let DockerLine { log, stream, time } = serde_json::from_slice(line).ok()?;
    Some(ContainerLine { stream, time, is_partial: !log.ends_with('\n'), content: log })
}

/// Time, stream, tag and content of a line of CRI: `2026-11-18T09:00:00.000000000Z stdout F content`.
fn cri_head(line: &[u8]) -> Option<(&str, &str, &str, &[u8])> {
    let head = line.get(..CRI_HEAD_BYTES).unwrap_or(line);
    let mut ends = memchr::memchr_iter(b' ', head);
    let (time, stream) = (ends.next()?, ends.next()?);
    // an empty part has no blank after its tag
    let tag = ends.next().unwrap_or(head.len());
    let text = |from: usize, to: usize| std::str::from_utf8(&line[from..to]).ok();
    let [time_text, stream_text, tag_text] =
        [text(0, time)?, text(time + 1, stream)?, text(stream + 1, tag)?];
    let is_cri = matches!(stream_text, "stdout" | "stderr") && time_text.contains('T');
    is_cri.then_some((time_text, stream_text, tag_text, line.get(tag + 1..).unwrap_or_default()))
}

/// The tag is a list: `P`, `F`, `P:other`.
fn is_partial_tag(tag: &str) -> bool {
    tag.split(':').next() == Some("P")
}

/// Complete lines, without white space at their ends.
struct Lines<'a> {
    bytes: &'a [u8],
    /// The end of the last line.
    at: usize,
    /// Whether the last line is complete without a line feed.
    is_last: bool,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = if self.at == 0 { 0 } else { self.at + 1 };
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).or(self.is_last.then_some(rest.len()))?;
        self.at = start + end;
        Some(rest[..end].trim_ascii_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker(log: &str, stream: &str) -> String {
        let time = "2026-11-18T09:00:00Z";
        serde_json::json!({ "log": log, "stream": stream, "time": time }).to_string() + "\n"
    }

    /// The keys of `json!` are sorted, as Docker writes them.
    #[test]
    fn parts_of_a_line_are_joined_by_stream() {
        let parts =
            [("got {\"a\":\"b", "stdout"), ("o\n", "stderr"), ("c", "stdout"), ("\"}\n", "stdout")];
        let docker_parts: String = parts.map(|(log, stream)| docker(log, stream)).concat();
        let cri_parts = "2026-11-18T09:00:00Z stdout P {\"a\"\n2026-11-18T09:00:01Z stderr F o\n2026-11-18T09:00:02Z stdout F :1}\n";
        for (text, expected) in [
            (
                docker_parts.as_str(),
                [
                    "2026-11-18T09:00:00Z o\n".to_owned(),
                    "2026-11-18T09:00:00Z got {\"a\":\"bc\"}\n".to_owned(),
                ],
            ),
            (
                cri_parts,
                ["2026-11-18T09:00:01Z o".to_owned(), "2026-11-18T09:00:00Z {\"a\":1}".to_owned()],
            ),
        ] {
            let text = text.trim_end();
            for (rest, is_last) in [("\nnext", false), ("\nnext\n", true), ("", true)] {
                let end = end_of(format!("{text}{rest}").as_bytes(), is_last);
                assert_eq!(end, PartialEnd::At(text.len()));
            }
            assert_eq!(join(text), Some(expected.to_vec()));
            let cut = text.rfind('\n').unwrap();
            assert_eq!(end_of(&text.as_bytes()[..=cut], false), PartialEnd::Unknown);
            assert_eq!(end_of(&text.as_bytes()[..=cut], true), PartialEnd::At(cut));
            for other in ["text\n", &docker("{\"b\":1}", "stdout")] {
                let text = format!("{}\n{other}", text.split_at(cut).0);
                assert_eq!(end_of(text.as_bytes(), false), PartialEnd::At(cut));
            }
        }
        for text in [
            docker("x\n", "stdout"),
            // complete, as Fluent Bit writes it
            docker("{\"a\":1}", "stdout"),
            docker("text", "stdout"),
            "2026-11-18T09:00:00Z stdout F {}\n".to_owned(),
            "text\n".to_owned(),
        ] {
            assert_eq!(end_of(text.as_bytes(), true), PartialEnd::NotPartial, "{text}");
        }
        assert_eq!(join(&docker("x\n", "stdout")), None);
    }
}
