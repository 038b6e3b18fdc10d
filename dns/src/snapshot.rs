//! Saved answers, and their JSON form: name, type, and a list of records or the reason why there is none.
//!
//! ```json
//! {"example.com": {"A": ["192.0.2.1"], "MX": ["10 mx.example.com"], "TXT": ["v=spf1 -all", ["two ", "strings"]]},
//!  "example.org": {"TXT": "servfail"}}
//! ```
//!
//! Bytes of text records that are not printable ASCII are `\DDD`, as in zone files; a backslash is `\\`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::answer::{Answer, Lookup, Mx, Question, Record, RecordType};
use crate::name;

/// Questions with their answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Question, Answer>);

impl Answers {
    /// Adds or replaces an answer.
    pub fn insert(&mut self, question: Question, answer: Answer) {
        self.0.insert(question, answer);
    }

    /// Whether the question was asked.
    pub fn contains(&self, question: &Question) -> bool {
        self.0.contains_key(question)
    }

    /// Number of answers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no answer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The questions with their answers, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&Question, &Answer)> {
        self.0.iter()
    }
}

impl Lookup for Answers {
    fn answer(&self, question: &Question) -> Answer {
        self.0.get(question).cloned().unwrap_or(Answer::NotAsked)
    }
}

/// Answers from a snapshot, and remembers the questions that it cannot answer.
pub(crate) struct MissingQuestions<'a> {
    answers: &'a Answers,
    missing: RefCell<BTreeSet<Question>>,
}

impl<'a> MissingQuestions<'a> {
    pub(crate) fn new(answers: &'a Answers) -> Self {
        Self { answers, missing: RefCell::default() }
    }

    pub(crate) fn into_questions(self) -> BTreeSet<Question> {
        self.missing.into_inner()
    }
}

impl Lookup for MissingQuestions<'_> {
    fn answer(&self, question: &Question) -> Answer {
        let answer = self.answers.answer(question);
        if answer == Answer::NotAsked {
            self.missing.borrow_mut().insert(question.clone());
        }
        answer
    }
}

/// Text with the bytes that are not printable ASCII as `\DDD`, and backslashes doubled.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                let _infallible = write!(text, "\\{byte:03}");
            }
        }
    }
    text
}

/// The bytes of an escaped text; `None` if a backslash is followed neither by another one nor by three digits.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'\\', [b'\\', tail @ ..]) => {
                bytes.push(b'\\');
                tail
            }
            (b'\\', _) => {
                let (digits, tail) = tail.split_at_checked(3)?;
                bytes.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
                tail
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    Some(bytes)
}

/// A record in JSON: its text, or the strings of a text record.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum JsonRecord {
    Text(String),
    Strings(Vec<String>),
}

/// An answer in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum JsonAnswer {
    Records(Vec<JsonRecord>),
    Failure(String),
}

impl From<&Record> for JsonRecord {
    fn from(record: &Record) -> Self {
        match record {
            Record::A(ip) => Self::Text(ip.to_string()),
            Record::Aaaa(ip) => Self::Text(ip.to_string()),
            Record::Cname(name) | Record::Ptr(name) => Self::Text(name.clone()),
            Record::Mx(mx) => Self::Text(mx.to_string()),
            Record::Txt(strings) => match strings.as_slice() {
                [text] => Self::Text(escape(text)),
                strings => Self::Strings(strings.iter().map(|text| escape(text)).collect()),
            },
        }
    }
}

/// The records of an answer as text; the strings of text records joined.
pub(crate) fn texts(answer: &Answer) -> Vec<String> {
    let Answer::Records(records) = answer else { return Vec::new() };
    let text = |record| match JsonRecord::from(record) {
        JsonRecord::Text(text) => text,
        JsonRecord::Strings(strings) => strings.concat(),
    };
    records.iter().map(text).collect()
}

impl JsonRecord {
    fn into_record(self, record_type: RecordType) -> Option<Record> {
        let text = match (self, record_type) {
            (Self::Strings(strings), RecordType::Txt) => {
                let strings: Option<Vec<_>> = strings.iter().map(|text| unescape(text)).collect();
                return strings.map(Record::Txt);
            }
            (Self::Strings(_), _) => return None,
            (Self::Text(text), _) => text,
        };
        Some(match record_type {
            RecordType::A => Record::A(text.parse().ok()?),
            RecordType::Aaaa => Record::Aaaa(text.parse().ok()?),
            RecordType::Cname => Record::Cname(name::normalise(&text)),
            RecordType::Ptr => Record::Ptr(name::normalise(&text)),
            RecordType::Mx => {
                let (preference, exchange) = text.split_once(' ')?;
                let (preference, exchange) = (preference.parse().ok()?, name::normalise(exchange));
                Record::Mx(Mx { preference, exchange })
            }
            RecordType::Txt => Record::Txt(vec![unescape(&text)?]),
        })
    }
}

impl From<&Answer> for JsonAnswer {
    fn from(answer: &Answer) -> Self {
        let failure = match answer {
            Answer::Records(records) => {
                return Self::Records(records.iter().map(JsonRecord::from).collect());
            }
            Answer::NxDomain => "nxdomain",
            Answer::NoData => "nodata",
            Answer::ServFail => "servfail",
            Answer::Refused => "refused",
            Answer::Timeout => "timeout",
            Answer::NotAsked => "not asked",
            Answer::Error(reason) => reason,
        };
        Self::Failure(failure.to_owned())
    }
}

impl JsonAnswer {
    fn into_answer(self, record_type: RecordType) -> Option<Answer> {
        Some(match self {
            Self::Records(records) => {
                let records = records.into_iter().map(|record| record.into_record(record_type));
                Answer::Records(records.collect::<Option<_>>()?)
            }
            Self::Failure(failure) => match failure.as_str() {
                "nxdomain" => Answer::NxDomain,
                "nodata" => Answer::NoData,
                "servfail" => Answer::ServFail,
                "refused" => Answer::Refused,
                "timeout" => Answer::Timeout,
                "not asked" => Answer::NotAsked,
                _ => Answer::Error(failure),
            },
        })
    }
}

impl Serialize for Answers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut names: BTreeMap<&str, BTreeMap<RecordType, JsonAnswer>> = BTreeMap::new();
        for (question, answer) in &self.0 {
            let types = names.entry(question.name()).or_default();
            types.insert(question.record_type(), answer.into());
        }
        names.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names =
            BTreeMap::<String, BTreeMap<RecordType, JsonAnswer>>::deserialize(deserializer)?;
        let mut answers = Self::default();
        for (name, types) in names {
            for (record_type, answer) in types {
                let question = Question::new(&name, record_type)
                    .ok_or_else(|| de::Error::custom(format!("not a DNS name: {name}")))?;
                let answer = answer
                    .into_answer(record_type)
                    .ok_or_else(|| de::Error::custom(format!("{question}: malformed record")))?;
                answers.insert(question, answer);
            }
        }
        Ok(answers)
    }
}
