//! The tree of records that a record includes: lookups, void lookups and faults of all of them.

use super::check::NAMES_MAX;
use super::macros::MacroString;
use super::record::{Mechanism, Network, Qualifier, SpfRecord, is_spf};
use super::syntax_error::SpfSyntaxError;
use crate::answer::{Lookup, Record, RecordType, Unanswered};
use crate::name;

/// Lookups at which the walk ends, so that no record can cause any number of queries.
const LOOKUPS_COUNTED_MAX: usize = 50;

/// What an evaluation meets for a host that no term matches, beyond the limits of an evaluation.
///
/// Void lookups are those for a message sent over IPv4, as all messages of SES.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpfTree {
    /// Number of terms with lookups.
    pub lookups: usize,
    /// Whether the walk ended before the last term.
    pub is_truncated: bool,
    /// The lookups without a record.
    pub void_lookups: Vec<String>,
    /// The domains of the records, each once, in the order of evaluation.
    pub domains: Vec<String>,
    /// For each of `domains` the number of terms with lookups up to it.
    lookups_to_domains: Vec<usize>,
    /// The faults below the first record.
    pub faults: Vec<SpfTreeFault>,
    /// Whether the result depends on macros, which the walk does not expand.
    pub has_macros: bool,
    /// Lookups that failed.
    pub unanswered: Vec<Unanswered>,
    /// The result for the host.
    pub result: Option<Qualifier>,
}

impl SpfTree {
    /// Number of lookups that reach the record of a domain, that of its own included; `None` if the tree has no such record.
    pub fn lookups_before(&self, domain: &str) -> Option<usize> {
        let at = self.domains.iter().position(|known| known == domain)?;
        self.lookups_to_domains.get(at).copied()
    }
}

/// A fault in an included record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpfTreeFault {
    /// A domain in `include` or `redirect` has no record.
    NoRecord(String),
    /// A domain in `include` or `redirect` has several records.
    SeveralRecords(String),
    /// The record of a domain has a syntax error.
    Syntax(String, SpfSyntaxError),
    /// A domain includes itself, directly or by another one.
    Loop(String),
    /// An `mx` with too many names, with their number.
    TooManyExchangers(String, usize),
}

/// Walks the tree of a record.
pub fn walk(lookup: &dyn Lookup, domain: &str, record: &SpfRecord) -> SpfTree {
    let mut walk = Walk { lookup, path: Vec::new(), tree: SpfTree::default() };
    walk.tree.result = walk.record(&name::normalise(domain), record);
    walk.tree
}

struct Walk<'a> {
    lookup: &'a dyn Lookup,
    /// The domains from the first record to the current one.
    path: Vec<String>,
    tree: SpfTree,
}

impl Walk<'_> {
    /// The result of a record for a host that matches no address. `None` if no term matches.
    fn record(&mut self, domain: &str, record: &SpfRecord) -> Option<Qualifier> {
        self.path.push(domain.to_owned());
        if !self.tree.domains.iter().any(|known| known == domain) {
            self.tree.domains.push(domain.to_owned());
            self.tree.lookups_to_domains.push(self.tree.lookups);
        }
        let result = self.terms(domain, record);
        self.path.pop();
        result
    }

    fn terms(&mut self, domain: &str, record: &SpfRecord) -> Option<Qualifier> {
        for (_, qualifier, mechanism) in record.directives() {
            if mechanism.needs_lookup() && !self.count_lookup() {
                return None;
            }
            if self.matches_every_host(mechanism, domain) {
                return Some(qualifier);
            }
        }
        let redirect = record.redirect()?;
        if !self.count_lookup() {
            return None;
        }
        self.follow(redirect)
    }

    fn count_lookup(&mut self) -> bool {
        if self.tree.lookups == LOOKUPS_COUNTED_MAX {
            self.tree.is_truncated = true;
            return false;
        }
        self.tree.lookups += 1;
        true
    }

    /// Whether a mechanism matches whatever the address is.
    fn matches_every_host(&mut self, mechanism: &Mechanism, domain: &str) -> bool {
        match mechanism {
            Mechanism::All => true,
            Mechanism::Ip(Network { address, prefix }) => address.is_ipv4() && *prefix == 0,
            Mechanism::Include(target) => self.follow(target) == Some(Qualifier::Pass),
            Mechanism::A(target, _) => {
                if let Some(host) = self.literal(target.as_ref(), domain) {
                    self.records(&host, RecordType::A);
                }
                false
            }
            Mechanism::Mx(target, _) => {
                if let Some(target) = self.literal(target.as_ref(), domain) {
                    self.exchangers(&target);
                }
                false
            }
            Mechanism::Ptr(target) => {
                self.literal(target.as_ref(), domain);
                false
            }
            Mechanism::Exists(target) => {
                let name = self.literal(Some(target), domain);
                name.is_some_and(|name| !self.records(&name, RecordType::A).is_empty())
            }
        }
    }

    /// The name in a term; `None` if it has macros.
    fn literal(&mut self, target: Option<&MacroString>, domain: &str) -> Option<String> {
        let literal = target.map_or_else(|| Some(domain.to_owned()), MacroString::literal);
        self.tree.has_macros |= literal.is_none();
        literal.map(|name| name::normalise(&name))
    }

    fn records(&mut self, name: &str, record_type: RecordType) -> Vec<Record> {
        match self.lookup.records(name, record_type) {
            Ok(records) => {
                if records.is_empty() {
                    self.tree.void_lookups.push(format!("{record_type} {name}"));
                }
                records
            }
            Err(failure) => {
                self.tree.unanswered.push(failure);
                Vec::new()
            }
        }
    }

    fn exchangers(&mut self, target: &str) {
        let records = self.records(target, RecordType::Mx);
        if records.len() > NAMES_MAX {
            let fault = SpfTreeFault::TooManyExchangers(target.to_owned(), records.len());
            self.tree.faults.push(fault);
            return;
        }
        for record in records {
            if let Record::Mx(mx) = record
                && !mx.is_null()
            {
                self.records(&mx.exchange, RecordType::A);
            }
        }
    }

    /// The result of the record of an `include` or `redirect`.
    fn follow(&mut self, target: &MacroString) -> Option<Qualifier> {
        let domain = self.literal(Some(target), "")?;
        if self.path.contains(&domain) {
            self.tree.faults.push(SpfTreeFault::Loop(domain));
            return None;
        }
        let mut texts = match self.lookup.texts(&domain) {
            Ok(texts) => texts,
            Err(failure) => {
                self.tree.unanswered.push(failure);
                return None;
            }
        };
        texts.retain(|text| is_spf(text));
        let fault = match texts.as_slice() {
            [] => SpfTreeFault::NoRecord(domain),
            [text] => match SpfRecord::parse(text) {
                Ok(record) => return self.record(&domain, &record),
                Err(error) => SpfTreeFault::Syntax(domain, error),
            },
            _ => SpfTreeFault::SeveralRecords(domain),
        };
        self.tree.faults.push(fault);
        None
    }
}
