//! The evaluation `check_host()` of RFC 7208.

use std::net::IpAddr;

use bouncewatch_schemas::text_enum;

use super::macros::{MacroContext, MacroLetter, MacroString};
use super::record::{DualCidr, Mechanism, Network, Qualifier, SpfRecord, is_spf};
use crate::answer::{Lookup, Record, RecordType, Unanswered};
use crate::name;

/// Most terms with DNS lookups in one evaluation (section 4.6.4).
pub const LOOKUPS_MAX: usize = 10;
/// Most lookups without a record in one evaluation (section 4.6.4).
pub const VOID_LOOKUPS_MAX: usize = 2;
/// Most names of one `mx`, and names that one `ptr` looks at (section 4.6.4).
pub const NAMES_MAX: usize = 10;

text_enum! {
    /// The result of an evaluation (RFC 7208, section 2.6), with its name in `Received-SPF` and `Authentication-Results`.
    SpfResult {
        /// No record.
        None = "none",
        /// The record makes no statement about the host.
        Neutral = "neutral",
        /// The host may send for the domain.
        Pass = "pass",
        /// The host may not send for the domain.
        Fail = "fail",
        /// The host probably may not send for the domain.
        SoftFail = "softfail",
        /// A lookup failed.
        TempError = "temperror",
        /// The record cannot be evaluated.
        PermError = "permerror",
    }
}

/// The message of which the sender is checked.
#[derive(Debug, Clone, Copy)]
pub struct SpfQuery<'a> {
    /// Address of the sending host.
    pub ip: IpAddr,
    /// Envelope sender; empty for a bounce message.
    pub sender: &'a str,
    /// The name in HELO or EHLO.
    pub helo: &'a str,
    /// Name of the receiving host, for explanations.
    pub receiver: &'a str,
    /// Seconds since 1970, for explanations.
    pub time_unix_secs: u64,
}

/// The result of an evaluation with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfOutcome {
    /// The result.
    pub result: SpfResult,
    /// Number of terms that needed a lookup.
    pub lookups: usize,
    /// Number of lookups without a record.
    pub void_lookups: usize,
    /// The term that matched with the domain of its record, or the error.
    pub reason: String,
    /// The explanation of the domain for a fail.
    pub explanation: Option<String>,
}

/// Evaluates the record of the domain of the envelope sender; of the HELO name if the sender is empty.
pub fn check_host(lookup: &dyn Lookup, query: &SpfQuery<'_>) -> SpfOutcome {
    let ip = query.ip.to_canonical();
    let (local, domain) = match query.sender.rsplit_once('@') {
        Some(("", domain)) => ("postmaster", domain),
        Some((local, domain)) => (local, domain),
        None if query.sender.is_empty() => ("postmaster", query.helo),
        None => ("postmaster", query.sender),
    };
    let sender_domain = domain.strip_suffix('.').unwrap_or(domain).to_owned();
    let mut evaluation = Evaluation {
        lookup,
        query: SpfQuery { ip, ..*query },
        local: local.to_owned(),
        sender_domain: sender_domain.clone(),
        lookups: 0,
        void_lookups: 0,
        explanation: None,
    };
    let is_domain = name::is_queryable(&sender_domain)
        && sender_domain
            .rsplit_once('.')
            .is_some_and(|(_, top)| name::is_top_label(top.as_bytes()));
    let checked = if is_domain {
        evaluation.check(&sender_domain, true)
    } else {
        Ok((SpfResult::None, format!("`{sender_domain}` is not a domain")))
    };
    let (result, reason) = match checked {
        Ok(found) => found,
        Err(Stop::Permanent(reason)) => (SpfResult::PermError, reason),
        Err(Stop::Temporary(failure)) => (SpfResult::TempError, failure.to_string()),
    };
    let explanation = evaluation.explanation.take().filter(|_| result == SpfResult::Fail);
    let explanation = explanation.and_then(|(spec, domain)| evaluation.explain(&spec, &domain));
    let Evaluation { lookups, void_lookups, .. } = evaluation;
    SpfOutcome { result, lookups, void_lookups, reason, explanation }
}

/// Why an evaluation ends without a match.
enum Stop {
    Permanent(String),
    Temporary(Unanswered),
}

impl From<Unanswered> for Stop {
    fn from(failure: Unanswered) -> Self {
        Self::Temporary(failure)
    }
}

struct Evaluation<'a> {
    lookup: &'a dyn Lookup,
    query: SpfQuery<'a>,
    local: String,
    sender_domain: String,
    lookups: usize,
    void_lookups: usize,
    /// The `exp` modifier of the record that failed, and the domain of that record.
    explanation: Option<(MacroString, String)>,
}

impl Evaluation<'_> {
    /// Evaluates the record of a domain. `is_final` is false below `include`, where a fail is not the result.
    fn check(&mut self, domain: &str, is_final: bool) -> Result<(SpfResult, String), Stop> {
        let mut texts = self.lookup.texts(domain)?;
        texts.retain(|text| is_spf(text));
        let text = match texts.as_slice() {
            [] => return Ok((SpfResult::None, format!("{domain} has no SPF record"))),
            [text] => text,
            _ => return Err(Stop::Permanent(format!("{domain} has several SPF records"))),
        };
        let record = SpfRecord::parse(text)
            .map_err(|error| Stop::Permanent(format!("record of {domain}, {error}")))?;
        for (term, qualifier, mechanism) in record.directives() {
            if mechanism.needs_lookup() {
                self.count_lookup(domain)?;
            }
            if self.matches(mechanism, domain)? {
                let result = match qualifier {
                    Qualifier::Pass => SpfResult::Pass,
                    Qualifier::Fail => SpfResult::Fail,
                    Qualifier::SoftFail => SpfResult::SoftFail,
                    Qualifier::Neutral => SpfResult::Neutral,
                };
                if is_final && result == SpfResult::Fail {
                    let spec = record.explanation().cloned();
                    self.explanation = spec.map(|spec| (spec, domain.to_owned()));
                }
                return Ok((result, format!("`{}` of {domain}", term.text)));
            }
        }
        let Some(redirect) = record.redirect() else {
            return Ok((SpfResult::Neutral, format!("no term of {domain} matches")));
        };
        self.count_lookup(domain)?;
        let target = self.expand_domain(redirect, domain);
        match self.check(&target, is_final)? {
            (SpfResult::None, reason) => Err(Stop::Permanent(format!("redirect: {reason}"))),
            found => Ok(found),
        }
    }

    fn count_lookup(&mut self, domain: &str) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(Stop::Permanent(format!(
                "more than {LOOKUPS_MAX} terms with lookups, the last one in {domain}"
            )));
        }
        Ok(())
    }

    /// The records of a name; too many names without records end the evaluation.
    fn records(&mut self, name: &str, record_type: RecordType) -> Result<Vec<Record>, Stop> {
        let records = self.lookup.records(name, record_type)?;
        if records.is_empty() {
            self.void_lookups += 1;
            if self.void_lookups > VOID_LOOKUPS_MAX {
                return Err(Stop::Permanent(format!(
                    "more than {VOID_LOOKUPS_MAX} lookups without a record, the last one {record_type} {name}"
                )));
            }
        }
        Ok(records)
    }

    fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        let ip = self.query.ip;
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(network) => Ok(network.contains(ip)),
            Mechanism::Include(spec) => {
                let target = self.expand_domain(spec, domain);
                match self.check(&target, false)? {
                    (SpfResult::None, reason) => Err(Stop::Permanent(format!("include: {reason}"))),
                    (result, _) => Ok(result == SpfResult::Pass),
                }
            }
            Mechanism::A(spec, cidr) => {
                let host = self.target(spec.as_ref(), domain);
                self.host_matches(&host, *cidr)
            }
            Mechanism::Mx(spec, cidr) => {
                let target = self.target(spec.as_ref(), domain);
                let records = self.records(&target, RecordType::Mx)?;
                if records.len() > NAMES_MAX {
                    return Err(Stop::Permanent(format!(
                        "{target} has {} mail exchangers, more than {NAMES_MAX}",
                        records.len()
                    )));
                }
                for record in records {
                    if let Record::Mx(mx) = record
                        && !mx.is_null()
                        && self.host_matches(&mx.exchange, *cidr)?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Mechanism::Ptr(spec) => {
                let target = name::normalise(&self.target(spec.as_ref(), domain));
                // a failed lookup means no match, a void one counts
                let names = self.records(&name::reverse_name(ip), RecordType::Ptr);
                if let Err(stop @ Stop::Permanent(_)) = names {
                    return Err(stop);
                }
                Ok(self.validated_names().iter().any(|name| name::is_within(name, &target)))
            }
            Mechanism::Exists(spec) => {
                let target = self.expand_domain(spec, domain);
                Ok(!self.records(&target, RecordType::A)?.is_empty())
            }
        }
    }

    fn host_matches(&mut self, host: &str, cidr: DualCidr) -> Result<bool, Stop> {
        let ip = self.query.ip;
        let (record_type, prefix) = match ip {
            IpAddr::V4(_) => (RecordType::A, cidr.v4),
            IpAddr::V6(_) => (RecordType::Aaaa, cidr.v6),
        };
        let records = self.records(host, record_type)?;
        let mut addresses = records.iter().filter_map(Record::address);
        Ok(addresses.any(|address| Network { address, prefix }.contains(ip)))
    }

    /// The names of the sending host that resolve to its address. Failed lookups count as no match (section 5.5).
    fn validated_names(&self) -> Vec<String> {
        let ip = self.query.ip;
        let names = self.lookup.targets(&name::reverse_name(ip), RecordType::Ptr);
        let mut names = names.unwrap_or_default();
        names.truncate(NAMES_MAX);
        let record_type = if ip.is_ipv4() { RecordType::A } else { RecordType::Aaaa };
        names.retain(|name| {
            let records = self.lookup.records(name, record_type).unwrap_or_default();
            records.iter().filter_map(Record::address).any(|address| address == ip)
        });
        names
    }

    /// The name of the host in macro `p`: the domain, else a name below it, else any (section 7.3).
    fn validated_name(&self, domain: &str) -> String {
        let names = self.validated_names();
        let domain = name::normalise(domain);
        let best = names
            .iter()
            .find(|name| **name == domain)
            .or_else(|| names.iter().find(|name| name::is_within(name, &domain)))
            .or(names.first());
        best.map_or_else(|| "unknown".to_owned(), Clone::clone)
    }

    fn target(&self, spec: Option<&MacroString>, domain: &str) -> String {
        spec.map_or_else(|| domain.to_owned(), |spec| self.expand_domain(spec, domain))
    }

    /// The expanded name, without labels at the left that make it too long, and without a dot at the end.
    fn expand_domain(&self, spec: &MacroString, domain: &str) -> String {
        let expanded = self.expand(spec, domain);
        let mut name = expanded.strip_suffix('.').unwrap_or(&expanded);
        while name.len() > name::NAME_BYTES_MAX
            && let Some(parent) = name::parent(name)
        {
            name = parent;
        }
        name.to_owned()
    }

    fn expand(&self, text: &MacroString, domain: &str) -> String {
        let SpfQuery { ip, helo, receiver, time_unix_secs, .. } = self.query;
        text.expand(|letter| match letter {
            MacroLetter::Sender => format!("{}@{}", self.local, self.sender_domain),
            MacroLetter::LocalPart => self.local.clone(),
            MacroLetter::SenderDomain => self.sender_domain.clone(),
            MacroLetter::Domain => domain.to_owned(),
            MacroLetter::Ip => name::dotted(ip),
            MacroLetter::ValidatedName => self.validated_name(domain),
            MacroLetter::AddressFamily => (if ip.is_ipv4() { "in-addr" } else { "ip6" }).to_owned(),
            MacroLetter::Helo => helo.to_owned(),
            MacroLetter::ReadableIp => ip.to_string(),
            MacroLetter::Receiver => receiver.to_owned(),
            MacroLetter::Time => time_unix_secs.to_string(),
        })
    }

    /// The text of an explanation; `None` if there is not exactly one valid text (section 6.2).
    fn explain(&self, spec: &MacroString, domain: &str) -> Option<String> {
        let texts = self.lookup.texts(&self.expand_domain(spec, domain)).ok()?;
        let [text] = texts.as_slice() else { return None };
        let text = MacroString::parse(text, 0, MacroContext::Explanation).ok()?;
        Some(self.expand(&text, domain))
    }
}
