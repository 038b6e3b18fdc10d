//! Questions to the DNS, their answers, and the trait by which evaluations ask.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bouncewatch_schemas::text_enum;
use serde::{Deserialize, Serialize};

use crate::name;

text_enum! {
    /// The record types that the checks ask for.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    RecordType {
        /// IPv4 address.
        A = "A",
        /// IPv6 address.
        Aaaa = "AAAA",
        /// Alias.
        Cname = "CNAME",
        /// Mail exchanger.
        Mx = "MX",
        /// Name of an address.
        Ptr = "PTR",
        /// Text.
        Txt = "TXT",
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name and a record type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    name: String,
    record_type: RecordType,
}

impl Question {
    /// A question about a name in any case, with or without a dot at the end. `None` if no DNS query for the name is
    /// possible: an empty label, a label of more than 63 bytes, more than 253 bytes in all.
    pub fn new(name: &str, record_type: RecordType) -> Option<Self> {
        let name = name::normalise(name);
        name::is_queryable(&name).then_some(Self { name, record_type })
    }

    /// The name, in lower case, without a dot at the end.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of the records.
    pub fn record_type(&self) -> RecordType {
        self.record_type
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.record_type, self.name)
    }
}

/// A mail exchanger of a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mx {
    /// Hosts with a smaller preference are tried first.
    pub preference: u16,
    /// Name of the host; empty in a null MX (RFC 7505).
    pub exchange: String,
}

impl fmt::Display for Mx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.preference, if self.is_null() { "." } else { &self.exchange })
    }
}

impl Mx {
    /// Whether the record states that the domain accepts no mail (RFC 7505).
    pub fn is_null(&self) -> bool {
        self.exchange.is_empty()
    }
}

/// The data of a resource record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Target of an alias.
    Cname(String),
    /// Mail exchanger.
    Mx(Mx),
    /// Name of an address.
    Ptr(String),
    /// The strings of a text record, which readers join without a space.
    Txt(Vec<Vec<u8>>),
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// At least one record of the type, after aliases were followed.
    Records(Vec<Record>),
    /// The name does not exist (NXDOMAIN).
    NxDomain,
    /// The name exists without records of the type.
    NoData,
    /// The server could not answer (SERVFAIL), often because of DNSSEC or of an unreachable server of the zone.
    ServFail,
    /// The server did not want to answer (REFUSED).
    Refused,
    /// No answer in time.
    Timeout,
    /// Any other failure.
    Error(String),
    /// The snapshot has no answer, for example because a limit was reached.
    NotAsked,
}

impl Answer {
    /// Whether the answer states that there are no such records.
    pub fn is_void(&self) -> bool {
        matches!(self, Self::NxDomain | Self::NoData)
    }

    /// Why it is unknown whether the records exist; `None` if it is known.
    pub fn failure(&self) -> Option<&str> {
        match self {
            Self::Records(_) | Self::NxDomain | Self::NoData => None,
            Self::ServFail => Some("SERVFAIL"),
            Self::Refused => Some("REFUSED"),
            Self::Timeout => Some("timeout"),
            Self::Error(reason) => Some(reason),
            Self::NotAsked => Some("not asked"),
        }
    }
}

/// A question without a usable answer: whether the records exist is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The question.
    pub question: Question,
    /// What came instead of an answer, such as `SERVFAIL`.
    pub reason: String,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.question, self.reason)
    }
}

/// Answers questions: a saved snapshot ([`Answers`](crate::Answers)), or a recorder of what is missing in one.
pub trait Lookup {
    /// The answer to a question.
    fn answer(&self, question: &Question) -> Answer;

    /// The answer for a name; [`Answer::NxDomain`] without a query if no query for the name is possible.
    fn ask(&self, name: &str, record_type: RecordType) -> Answer {
        Question::new(name, record_type).map_or(Answer::NxDomain, |question| self.answer(&question))
    }

    /// The records of a name; empty if there are none.
    fn records(&self, name: &str, record_type: RecordType) -> Result<Vec<Record>, Unanswered> {
        let Some(question) = Question::new(name, record_type) else { return Ok(Vec::new()) };
        let answer = self.answer(&question);
        if let Some(reason) = answer.failure() {
            let reason = reason.to_owned();
            return Err(Unanswered { question, reason });
        }
        match answer {
            Answer::Records(records) => Ok(records),
            _ => Ok(Vec::new()),
        }
    }

    /// The text records of a name, the strings of each joined.
    fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, Unanswered> {
        Ok(self.text_strings(name)?.into_iter().map(|strings| strings.concat()).collect())
    }

    /// The strings of the text records of a name.
    fn text_strings(&self, name: &str) -> Result<Vec<Vec<Vec<u8>>>, Unanswered> {
        let records = self.records(name, RecordType::Txt)?.into_iter();
        let texts = records.filter_map(|record| match record {
            Record::Txt(strings) => Some(strings),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The mail exchangers of a domain, those tried first in front.
    fn exchangers(&self, name: &str) -> Result<Vec<Mx>, Unanswered> {
        let records = self.records(name, RecordType::Mx)?.into_iter();
        let exchangers = records.filter_map(|record| match record {
            Record::Mx(mx) => Some(mx),
            _ => None,
        });
        let mut exchangers: Vec<Mx> = exchangers.collect();
        exchangers.sort();
        Ok(exchangers)
    }

    /// The target of an alias, or of the PTR records of a name.
    fn targets(&self, name: &str, record_type: RecordType) -> Result<Vec<String>, Unanswered> {
        let records = self.records(name, record_type)?.into_iter();
        let targets = records.filter_map(|record| match record {
            Record::Cname(target) | Record::Ptr(target) => Some(target),
            _ => None,
        });
        Ok(targets.collect())
    }

    /// The IPv4 addresses of a host, then its IPv6 addresses.
    fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Unanswered> {
        let mut addresses = Vec::new();
        // look up both before an early return, so that `MissingQuestions` records both
        let answers =
            [RecordType::A, RecordType::Aaaa].map(|record_type| self.records(name, record_type));
        for records in answers {
            addresses.extend(records?.iter().filter_map(Record::address));
        }
        Ok(addresses)
    }
}

impl Record {
    /// The address of an `A` or `AAAA` record.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::A(ip) => Some((*ip).into()),
            Self::Aaaa(ip) => Some((*ip).into()),
            _ => None,
        }
    }
}
