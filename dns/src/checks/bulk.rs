//! The rules of Gmail, Yahoo and Microsoft for bulk senders, as far as DNS shows them.

use super::alignment::Alignment;
use crate::catalogue as kinds;
use crate::dmarc::DmarcDiscovery;
use crate::finding::{Finding, FindingKind, FindingLevel};

/// Whether a domain meets the requirements; `None` if unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BulkFacts {
    /// SPF of the envelope sender passes.
    pub(crate) spf: Option<bool>,
    /// Mail has a valid DKIM signature of the domain.
    pub(crate) dkim: Option<bool>,
    /// A DMARC policy applies.
    pub(crate) dmarc: Option<bool>,
    /// SPF or DKIM aligns.
    pub(crate) aligned: Option<bool>,
}

impl BulkFacts {
    pub(crate) fn new(
        spf: Option<bool>,
        dkim: Option<bool>,
        dmarc: &DmarcDiscovery,
        alignment: Alignment,
    ) -> Self {
        let dmarc = match dmarc.policy() {
            Some(_) => Some(true),
            None if dmarc.unanswered.is_empty() => Some(false),
            None => None,
        };
        Self { spf, dkim, dmarc, aligned: alignment.any() }
    }
}

/// What a provider does with mail that does not meet its rules, and what DNS does not show.
const PROVIDERS: [(FindingKind, &str, &str, &str); 3] = [
    (
        kinds::BULK_GMAIL,
        "Gmail",
        "they apply from 5,000 messages a day; refused with 421 or 550 5.7.26",
        "not in DNS: TLS, one-click unsubscribe for marketing mail, spam rate below 0.30 %",
    ),
    (
        kinds::BULK_YAHOO,
        "Yahoo",
        "Yahoo states no number of messages",
        "not in DNS: one-click unsubscribe within 2 days, low spam rate",
    ),
    (
        kinds::BULK_MICROSOFT,
        "Microsoft",
        "they apply from 5,000 messages a day; refused with 550 5.7.515",
        "not in DNS: a From address that receives mail, a visible unsubscribe link",
    ),
];

const ASSUMPTION: &str =
    "the number of messages is that of the whole account, which has several identities";

/// One finding per provider. All three ask for the same records: SPF, DKIM, DMARC, alignment of one of them.
pub(crate) fn check(domain: &str, facts: BulkFacts, is_assumed: bool) -> Vec<Finding> {
    let rules = [
        ("SPF passes", facts.spf),
        ("DKIM passes with a key of the domain", facts.dkim),
        ("a DMARC policy exists", facts.dmarc),
        ("SPF or DKIM aligns with the From domain", facts.aligned),
    ];
    let level = if rules.iter().any(|(_, is_met)| *is_met == Some(false)) {
        if is_assumed { FindingLevel::Warning } else { FindingLevel::Critical }
    } else if rules.iter().any(|(_, is_met)| is_met.is_none()) {
        FindingLevel::Unknown
    } else {
        FindingLevel::Ok
    };
    let state = |is_met| match is_met {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let evidence = rules.map(|(rule, is_met)| format!("{rule}: {}", state(is_met)));
    let of_provider = |(kind, provider, refusal, rest): (FindingKind, &str, &str, &'static str)| {
        let kind = kind.at(level);
        let finding = match level {
            FindingLevel::Ok => {
                let what =
                    format!("DNS of {domain} meets the rules of {provider} for bulk senders");
                kind.found(what, "")
            }
            FindingLevel::Unknown => {
                let what = format!(
                    "the rules of {provider} for bulk senders could not be checked for {domain}"
                );
                kind.unanswered(what)
            }
            _ => {
                let what = format!(
                    "{domain} does not meet the rules of {provider} for bulk senders ({refusal})"
                );
                let fix = "Meet the requirements marked `no`; the other findings name the records";
                kind.found(what, fix)
            }
        };
        let finding = finding.with_all(&evidence).with(rest);
        if is_assumed { finding.assuming(ASSUMPTION) } else { finding }
    };
    PROVIDERS.map(of_provider).into()
}
