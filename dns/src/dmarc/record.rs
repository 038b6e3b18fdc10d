//! DMARC records (RFC 9989, section 4.7): the parser, which uses defaults for invalid values and names each fault.

use std::collections::BTreeSet;

use bouncewatch_schemas::text_enum;

use crate::tags::{Tag, has_version, parse_tags};

/// The version with which a record begins.
const VERSION: &str = "DMARC1";

text_enum! {
    /// A handling that the owner of a domain asks for.
    DmarcPolicy {
        /// No statement; reports only.
        None = "none",
        /// Treat as suspicious.
        Quarantine = "quarantine",
        /// Refuse.
        Reject = "reject",
    }
}

impl DmarcPolicy {
    /// One step milder, as receivers apply a policy with `t=y`.
    fn milder(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

/// How exactly an authenticated domain must match the From domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlignmentMode {
    /// The organizational domains are equal.
    Relaxed,
    /// The domains are equal.
    Strict,
}

/// Whether the domain of a record is a public suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicSuffix {
    /// `psd=y`
    Yes,
    /// `psd=n`: the domain is an organizational domain.
    No,
    /// No statement.
    Unknown,
}

/// A fault of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DmarcFault {
    /// A value that the tag cannot have; receivers use the default.
    InvalidValue(String, String),
    /// Text that is not a tag.
    Malformed(String),
    /// A tag that occurs twice; the first one is used here.
    Duplicate(String),
    /// A tag that RFC 9989 removed: `pct`, `rf`, `ri`.
    Removed(String),
    /// A tag without a meaning.
    Unknown(String),
    /// A report address that is not a `mailto:` URI.
    InvalidUri(String),
}

/// A parsed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcRecord {
    /// The policy of the domain (`p`); `None` if absent or invalid.
    pub policy: Option<DmarcPolicy>,
    /// The policy of existing subdomains (`sp`).
    pub subdomain_policy: Option<DmarcPolicy>,
    /// The policy of subdomains that do not exist (`np`).
    pub nonexistent_policy: Option<DmarcPolicy>,
    /// Alignment of DKIM (`adkim`).
    pub dkim_alignment: AlignmentMode,
    /// Alignment of SPF (`aspf`).
    pub spf_alignment: AlignmentMode,
    /// Addresses for aggregate reports (`rua`).
    pub aggregate_reports: Vec<String>,
    /// Addresses for failure reports (`ruf`).
    pub failure_reports: Vec<String>,
    /// Whether the domain is a public suffix (`psd`).
    pub public_suffix: PublicSuffix,
    /// Whether the owner only tests the policy (`t=y`).
    pub is_testing: bool,
    /// What is wrong.
    pub faults: Vec<DmarcFault>,
}

/// Whether a text is a DMARC record: `v=DMARC1` in front, in this case.
pub fn is_dmarc(text: &[u8]) -> bool {
    has_version(text, VERSION)
}

impl DmarcRecord {
    /// Parses a record. `None` if the text is not a DMARC record.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !is_dmarc(text) {
            return None;
        }
        let mut record = Self {
            policy: None,
            subdomain_policy: None,
            nonexistent_policy: None,
            dkim_alignment: AlignmentMode::Relaxed,
            spf_alignment: AlignmentMode::Relaxed,
            aggregate_reports: Vec::new(),
            failure_reports: Vec::new(),
            public_suffix: PublicSuffix::Unknown,
            is_testing: false,
            faults: Vec::new(),
        };
        let mut known = BTreeSet::new();
        for tag in parse_tags(text) {
            match tag {
                Tag::Malformed(text) => record.faults.push(DmarcFault::Malformed(text)),
                Tag::Pair(name, value) if known.insert(name.clone()) => record.set(name, &value),
                Tag::Pair(name, _) => record.faults.push(DmarcFault::Duplicate(name)),
            }
        }
        Some(record)
    }

    fn set(&mut self, name: String, value: &str) {
        let lower = value.to_ascii_lowercase();
        let is_valid = match name.as_str() {
            "v" => true,
            "p" => set_policy(&mut self.policy, &lower),
            "sp" => set_policy(&mut self.subdomain_policy, &lower),
            "np" => set_policy(&mut self.nonexistent_policy, &lower),
            "adkim" => set_alignment(&mut self.dkim_alignment, &lower),
            "aspf" => set_alignment(&mut self.spf_alignment, &lower),
            "rua" => {
                self.aggregate_reports = report_addresses(value, &mut self.faults);
                true
            }
            "ruf" => {
                self.failure_reports = report_addresses(value, &mut self.faults);
                true
            }
            "psd" => match lower.as_str() {
                "y" => {
                    self.public_suffix = PublicSuffix::Yes;
                    true
                }
                "n" => {
                    self.public_suffix = PublicSuffix::No;
                    true
                }
                other => other == "u",
            },
            "t" => {
                self.is_testing = lower == "y";
                matches!(lower.as_str(), "y" | "n")
            }
            "fo" => is_failure_options(&lower),
            "pct" | "rf" | "ri" => {
                self.faults.push(DmarcFault::Removed(name));
                return;
            }
            _ => {
                self.faults.push(DmarcFault::Unknown(name));
                return;
            }
        };
        if !is_valid {
            self.faults.push(DmarcFault::InvalidValue(name, value.to_owned()));
        }
    }

    /// Whether a policy value is absent or invalid, so that the record counts as `p=none` or not at all.
    fn lacks_policy(&self) -> bool {
        let is_invalid = |fault: &DmarcFault| matches!(fault, DmarcFault::InvalidValue(name, _) if name == "sp" || name == "np");
        self.policy.is_none() || self.faults.iter().any(is_invalid)
    }

    /// The handling that receivers apply to a domain (section 4.10.1). `None` if they do not apply DMARC: no valid policy
    /// and no report address.
    pub fn applied_policy(&self, relation: DomainRelation) -> Option<DmarcPolicy> {
        if self.lacks_policy() {
            return (!self.aggregate_reports.is_empty()).then_some(DmarcPolicy::None);
        }
        let inherited = match relation {
            DomainRelation::Domain => None,
            DomainRelation::Subdomain => self.subdomain_policy,
            DomainRelation::NonexistentSubdomain => {
                self.nonexistent_policy.or(self.subdomain_policy)
            }
        };
        let policy = inherited.or(self.policy)?;
        Some(if self.is_testing { policy.milder() } else { policy })
    }
}

/// The relation of a From domain to the domain of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainRelation {
    /// The domain of the record.
    Domain,
    /// A domain below it.
    Subdomain,
    /// A domain below it without addresses and mail exchangers.
    NonexistentSubdomain,
}

fn set_policy(field: &mut Option<DmarcPolicy>, value: &str) -> bool {
    *field = DmarcPolicy::parse(value);
    field.is_some()
}

fn set_alignment(field: &mut AlignmentMode, value: &str) -> bool {
    *field = if value == "s" { AlignmentMode::Strict } else { AlignmentMode::Relaxed };
    matches!(value, "s" | "r")
}

/// `0`, `1`, `d`, `s` separated by colons, each once, `0` and `1` not together.
fn is_failure_options(value: &str) -> bool {
    let mut options: Vec<&str> = value.split(':').collect();
    let count = options.len();
    let are_known = options.iter().all(|option| matches!(*option, "0" | "1" | "d" | "s"));
    options.sort_unstable();
    options.dedup();
    are_known && options.len() == count && !(options.contains(&"0") && options.contains(&"1"))
}

/// The addresses in a list of `mailto:` URIs, without an obsolete size limit (`!10m`).
fn report_addresses(value: &str, faults: &mut Vec<DmarcFault>) -> Vec<String> {
    let mut addresses = Vec::new();
    for uri in value.split(',').map(str::trim) {
        let address = uri
            .split_at_checked("mailto:".len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("mailto:"))
            .map(|(_, address)| address.split(['!', '?']).next().unwrap_or_default());
        match address.and_then(|address| address.split_once('@')) {
            Some((local, domain)) if !local.is_empty() && domain.contains('.') => {
                addresses.extend(address.map(str::to_owned));
            }
            _ => faults.push(DmarcFault::InvalidUri(uri.to_owned())),
        }
    }
    addresses
}
