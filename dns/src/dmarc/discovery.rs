//! The DNS tree walk: the policy that applies to a From domain, and its organizational domain (RFC 9989, section 4.10).

use super::record::{DmarcPolicy, DmarcRecord, DomainRelation, PublicSuffix, is_dmarc};
use crate::answer::{Lookup, RecordType, Unanswered};
use crate::name;
use crate::snapshot::escape;

/// Most queries of one walk; a name with more labels is shortened to one less after the first query.
const QUERIES_MAX: usize = 8;

/// A record and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcRecordAt {
    /// The domain below which the record is.
    pub domain: String,
    /// The text, escaped.
    pub text: String,
    /// The parsed record.
    pub record: DmarcRecord,
}

/// The result of a tree walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcDiscovery {
    /// The organizational domain.
    pub organizational_domain: String,
    /// The record that applies.
    pub found: Option<DmarcRecordAt>,
    /// The relation of the domain to the one of the record.
    pub relation: DomainRelation,
    /// The domains with several records, all of which receivers ignore.
    pub several: Vec<String>,
    /// Text records at `_dmarc` of the domain that are not DMARC records, escaped.
    pub unrecognised: Vec<String>,
    /// Lookups that failed.
    pub unanswered: Vec<Unanswered>,
}

impl DmarcDiscovery {
    /// The handling that receivers apply; `None` if they do not apply DMARC.
    pub fn policy(&self) -> Option<DmarcPolicy> {
        self.found.as_ref().and_then(|found| found.record.applied_policy(self.relation))
    }
}

/// Walks from a domain to the top.
pub fn discover(lookup: &dyn Lookup, domain: &str) -> DmarcDiscovery {
    let domain = name::normalise(domain);
    let mut discovery = DmarcDiscovery {
        organizational_domain: domain.clone(),
        found: None,
        relation: DomainRelation::Domain,
        several: Vec::new(),
        unrecognised: Vec::new(),
        unanswered: Vec::new(),
    };
    let mut records: Vec<DmarcRecordAt> = Vec::new();
    for target in targets(&domain) {
        let texts = match lookup.texts(&format!("_dmarc.{target}")) {
            Ok(texts) => texts,
            Err(failure) => {
                discovery.unanswered.push(failure);
                continue;
            }
        };
        if target == domain {
            let others = texts.iter().filter(|text| !is_dmarc(text));
            discovery.unrecognised = others.map(|text| escape(text)).collect();
        }
        let mut parsed = texts
            .iter()
            .filter_map(|text| DmarcRecord::parse(text).map(|record| (escape(text), record)));
        let Some((text, record)) = parsed.next() else { continue };
        if parsed.next().is_some() {
            discovery.several.push(target);
            continue;
        }
        let ends = match record.public_suffix {
            PublicSuffix::No => true,
            PublicSuffix::Yes => target != domain,
            PublicSuffix::Unknown => false,
        };
        records.push(DmarcRecordAt { domain: target, text, record });
        if ends {
            break;
        }
    }
    if let Some(organizational) = organizational_domain(&domain, &records) {
        discovery.organizational_domain = organizational;
    }
    discovery.found = applicable(&domain, &discovery.organizational_domain, records);
    if let Some(found) = &discovery.found
        && found.domain != domain
    {
        discovery.relation = DomainRelation::Subdomain;
        if found.record.nonexistent_policy.is_some() && !exists(lookup, &domain) {
            discovery.relation = DomainRelation::NonexistentSubdomain;
        }
    }
    discovery
}

/// The organizational domain of a domain; the failure if a lookup of the walk failed.
pub(crate) fn organizational(lookup: &dyn Lookup, domain: &str) -> Result<String, Unanswered> {
    let discovery = discover(lookup, domain);
    discovery.unanswered.into_iter().next().map_or(Ok(discovery.organizational_domain), Err)
}

/// The names that a walk asks for, from the longest to the shortest.
fn targets(domain: &str) -> Vec<String> {
    let mut targets = vec![domain.to_owned()];
    let parents = domain.split('.').count().saturating_sub(1).min(QUERIES_MAX - 1);
    targets.extend((1..=parents).rev().map(|labels| name::last_labels(domain, labels)));
    targets
}

fn organizational_domain(domain: &str, records: &[DmarcRecordAt]) -> Option<String> {
    for found in records {
        match found.record.public_suffix {
            PublicSuffix::No => return Some(found.domain.clone()),
            PublicSuffix::Yes if found.domain != domain => {
                return Some(name::last_labels(domain, found.domain.split('.').count() + 1));
            }
            PublicSuffix::Yes | PublicSuffix::Unknown => {}
        }
    }
    records.last().map(|found| found.domain.clone())
}

/// The record of the domain, else that of the organizational domain, else that of the public suffix.
fn applicable(
    domain: &str,
    organizational: &str,
    mut records: Vec<DmarcRecordAt>,
) -> Option<DmarcRecordAt> {
    let position = records
        .iter()
        .position(|found| found.domain == domain)
        .or_else(|| records.iter().position(|found| found.domain == organizational))
        .or_else(|| {
            records.iter().position(|found| found.record.public_suffix == PublicSuffix::Yes)
        })?;
    Some(records.swap_remove(position))
}

/// Whether a domain has addresses or mail exchangers; an unknown answer counts as yes.
fn exists(lookup: &dyn Lookup, domain: &str) -> bool {
    let types = [RecordType::A, RecordType::Aaaa, RecordType::Mx];
    // look up all, so that `MissingQuestions` records each
    types.map(|record_type| lookup.ask(domain, record_type)).iter().any(|answer| !answer.is_void())
}
