//! Faults of an SPF record and of the records that it includes.

use std::collections::BTreeSet;

use super::check::{LOOKUPS_MAX, NAMES_MAX, VOID_LOOKUPS_MAX};
use super::record::{Mechanism, Qualifier, SpfRecord, SpfTerm, SpfTermKind, is_spf};
use super::tree::{SpfTree, SpfTreeFault, walk};
use crate::answer::{Lookup, Unanswered};
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingLevel};
use crate::snapshot::escape;

/// Bytes of a text record with which the answer may not fit into 512 bytes.
const RECORD_BYTES_WANTED: usize = 450;

/// The record of a domain, as far as it could be read, with all its faults.
#[derive(Debug)]
pub(crate) struct SpfReport {
    /// The tree of the record; `None` if there is not exactly one valid record.
    pub(crate) tree: Option<SpfTree>,
    /// The faults; [`kinds::SPF_OK`] or [`kinds::SPF_MISSING`] if there are none.
    pub(crate) findings: Vec<Finding>,
}

impl SpfReport {
    /// Whether a lookup failed, so that the other fields may be incomplete.
    pub(crate) fn is_unknown(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == FindingLevel::Unknown)
    }

    /// Whether SPF passes for the hosts of a domain that the record must include; `None` if unknown.
    pub(crate) fn passes_for(&self, included: &str) -> Option<bool> {
        if self.is_unknown() {
            return None;
        }
        // receivers stop at a match, so lookups after it do not count
        let is_early = self.tree.as_ref().is_some_and(|tree| {
            tree.lookups_before(included).is_some_and(|lookups| lookups <= LOOKUPS_MAX)
        });
        let is_error = |finding: &Finding| {
            finding.level == FindingLevel::Critical
                && finding.id != kinds::SPF_PASS_ALL.id
                && !(is_early && finding.id == kinds::SPF_TOO_MANY_LOOKUPS.id)
        };
        let is_permerror = self.findings.iter().any(is_error);
        Some(self.includes(included) && !is_permerror)
    }

    /// Whether the record includes that of a domain, or permits every host.
    pub(crate) fn includes(&self, included: &str) -> bool {
        self.tree.as_ref().is_some_and(|tree| {
            tree.result == Some(Qualifier::Pass)
                || tree.domains.iter().any(|domain| domain == included)
        })
    }
}

/// Reads the record of a domain and looks for faults.
pub(crate) fn lint(lookup: &dyn Lookup, domain: &str) -> SpfReport {
    let texts = match lookup.text_strings(domain) {
        Ok(texts) => texts,
        Err(failure) => {
            return SpfReport { tree: None, findings: vec![unknown(domain, &[failure])] };
        }
    };
    let (records, others): (Vec<_>, Vec<_>) =
        texts.into_iter().partition(|strings| is_spf(&strings.concat()));
    let strings = match records.as_slice() {
        [] => {
            return SpfReport { tree: None, findings: vec![without_record(domain, &others)] };
        }
        [strings] => strings,
        _ => {
            let finding = kinds::SPF_TWO_RECORDS
                .found(
                    format!(
                        "{domain} has {} SPF records: receivers answer permerror",
                        records.len()
                    ),
                    "Merge them into one record, remove the others",
                )
                .with_all(records.iter().map(|strings| escape(&strings.concat())));
            return SpfReport { tree: None, findings: vec![finding] };
        }
    };
    let text = strings.concat();
    let mut findings: Vec<Finding> = wrongly_joined(domain, strings).into_iter().collect();
    let tree = match SpfRecord::parse(&text) {
        Ok(record) => {
            let tree = walk(lookup, domain, &record);
            lint_terms(domain, &record, &mut findings);
            lint_tree(domain, &tree, &mut findings);
            Some(tree)
        }
        Err(error) => {
            let what = format!("the SPF record of {domain} is invalid: {error}");
            findings.push(kinds::SPF_SYNTAX.found(what, "Correct the record"));
            None
        }
    };
    if text.len() > RECORD_BYTES_WANTED {
        let what = format!(
            "the SPF record of {domain} has {} bytes; an answer above 512 bytes needs TCP or EDNS",
            text.len()
        );
        findings.push(kinds::SPF_LONG.found(what, "Move networks to an included record"));
    }
    if findings.iter().all(|finding| finding.level < FindingLevel::Unknown) {
        let lookups = tree.as_ref().map_or(0, |tree| tree.lookups);
        let what = format!(
            "the SPF record of {domain} is valid and needs {lookups} of {LOOKUPS_MAX} lookups"
        );
        findings.push(kinds::SPF_OK.found(what, ""));
    }
    let findings = findings
        .into_iter()
        .map(|finding| finding.with(format!("TXT {domain}: {}", escape(&text))));
    SpfReport { tree, findings: findings.collect() }
}

fn unknown(domain: &str, failures: &[Unanswered]) -> Finding {
    let what = format!("SPF of {domain} could not be checked: a lookup failed");
    kinds::SPF_LOOKUP_FAILED.unanswered(what).with_all(failures)
}

/// A domain without a record: perhaps a text record is meant to be one.
fn without_record(domain: &str, texts: &[Vec<Vec<u8>>]) -> Finding {
    let is_meant = |text: &[u8]| {
        let lower = text.to_ascii_lowercase();
        lower.windows(6).any(|window| window == b"v=spf1" || window == b"v=spf2")
            || lower.starts_with(b"spf1")
            || lower.starts_with(b"spf=")
    };
    match texts.iter().map(|strings| strings.concat()).find(|text| is_meant(text)) {
        Some(text) => kinds::SPF_NOT_RECOGNISED
            .found(
                format!("a text record of {domain} resembles SPF, but receivers do not recognise it"),
                "Start the record with `v=spf1` and a space, without quotes or other text before it",
            )
            .with(format!("TXT {domain}: {}", escape(&text))),
        None => kinds::SPF_MISSING.found(
            format!("{domain} has no SPF record"),
            "If the domain is used as envelope sender (SMTP relay, WorkMail), publish one. \
             Messages of SES do not need it: their envelope sender is the MAIL FROM domain",
        ),
    }
}

/// Two strings of the record that are joined to one word, because the first has no space at its end.
fn wrongly_joined(domain: &str, strings: &[Vec<u8>]) -> Option<Finding> {
    let joined = strings.windows(2).find(|pair| match pair {
        [first, second] => {
            // `~` and `all` are joined to one term
            first.last().is_some_and(|last| !b" +-~?".contains(last)) && begins_with_term(second)
        }
        _ => false,
    })?;
    let what = format!(
        "two strings of the SPF record of {domain} are joined without a space: two terms become one word"
    );
    let finding =
        kinds::SPF_STRINGS_JOINED.found(what, "Put a space at the end of the first string");
    Some(finding.with_all(joined.iter().map(|string| format!("\"{}\"", escape(string)))))
}

/// Whether a string begins with what is certainly a term: a mechanism or modifier with its sign.
fn begins_with_term(string: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 9] =
        [b"include:", b"ip4:", b"ip6:", b"exists:", b"redirect=", b"exp=", b"a:", b"mx:", b"ptr:"];
    let lower = string.to_ascii_lowercase();
    let word = lower.split(|byte| *byte == b' ').next().unwrap_or_default();
    let ([b'+' | b'-' | b'~' | b'?', unsigned @ ..] | unsigned) = word;
    matches!(unsigned, b"all" | b"mx" | b"ptr")
        || PREFIXES.iter().any(|prefix| unsigned.starts_with(prefix))
}

fn lint_terms(domain: &str, record: &SpfRecord, findings: &mut Vec<Finding>) {
    let directives: Vec<_> = record.directives().collect();
    let all = directives.iter().position(|(_, _, mechanism)| **mechanism == Mechanism::All);
    let after = all.map_or(&[][..], |all| directives.get(all + 1..).unwrap_or_default());
    if !after.is_empty() {
        let what = format!("terms after `all` in the SPF record of {domain} are ignored");
        let terms = after.iter().map(|(term, ..)| &term.text);
        findings
            .push(kinds::SPF_TERMS_AFTER_ALL.found(what, "Move `all` to the end").with_all(terms));
    }
    if all.is_some() && record.redirect().is_some() {
        let what = format!("`redirect` in the SPF record of {domain} is ignored because of `all`");
        findings.push(kinds::SPF_REDIRECT_IGNORED.found(what, "Remove `all` or `redirect`"));
    }
    if all.is_none() && record.redirect().is_none() {
        let what = format!(
            "the SPF record of {domain} ends without `all`: for other hosts the result is neutral"
        );
        findings.push(kinds::SPF_NO_ALL.found(what, "Add `~all` or `-all` at the end"));
    }
    if all.and_then(|all| directives.get(all)).is_some_and(|(_, q, _)| *q == Qualifier::Neutral) {
        let what =
            format!("`?all` in the SPF record of {domain} makes no statement about other hosts");
        findings.push(kinds::SPF_NEUTRAL_ALL.found(what, "Replace `?all` by `~all` or `-all`"));
    }
    if directives.iter().any(|(_, _, mechanism)| matches!(mechanism, Mechanism::Ptr(_))) {
        let what =
            format!("`ptr` in the SPF record of {domain} is slow, and some receivers skip it");
        findings.push(kinds::SPF_PTR.found(what, "Replace `ptr` by `ip4`, `ip6` or `a`"));
    }
    let mut known = BTreeSet::new();
    let is_repeated = |text: &String| !known.insert(text.to_ascii_lowercase());
    let repeated: Vec<String> =
        record.terms.iter().map(|term| term.text.clone()).filter(is_repeated).collect();
    if !repeated.is_empty() {
        let what = format!("a term occurs twice in the SPF record of {domain}");
        findings
            .push(kinds::SPF_DUPLICATE_TERM.found(what, "Remove one of them").with_all(repeated));
    }
    let is_unknown = |term: &&SpfTerm| matches!(term.kind, SpfTermKind::UnknownModifier(_));
    let unknown: Vec<&String> =
        record.terms.iter().filter(is_unknown).map(|term| &term.text).collect();
    if !unknown.is_empty() {
        let what = format!("receivers ignore unknown modifiers in the SPF record of {domain}");
        let fix = "If a mechanism is meant, write a colon instead of `=`; else remove the term";
        findings.push(kinds::SPF_UNKNOWN_MODIFIER.found(what, fix).with_all(unknown));
    }
}

fn lint_tree(domain: &str, tree: &SpfTree, findings: &mut Vec<Finding>) {
    let SpfTree { lookups, void_lookups, faults, unanswered, .. } = tree;
    let of_domains = format!("lookups of: {}", tree.domains.join(", "));
    if *lookups > LOOKUPS_MAX {
        let least = if tree.is_truncated { "at least " } else { "" };
        let what = format!(
            "SPF of {domain} needs {least}{lookups} lookups, more than {LOOKUPS_MAX}: a permerror for hosts of the later terms"
        );
        let fix = "Remove includes that are no longer used; replace `a` and `mx` by `ip4` and `ip6`; \
                   send from a subdomain with a record of its own";
        findings.push(kinds::SPF_TOO_MANY_LOOKUPS.found(what, fix).with(of_domains));
    } else if *lookups + 1 >= LOOKUPS_MAX {
        let what = format!("SPF of {domain} needs {lookups} of {LOOKUPS_MAX} lookups");
        let fix = "Remove includes that are no longer used, before an included record grows";
        findings.push(kinds::SPF_LOOKUPS_NEAR_LIMIT.found(what, fix).with(of_domains));
    }
    if void_lookups.len() > VOID_LOOKUPS_MAX {
        let what = format!(
            "{} lookups of the SPF record of {domain} have no record, more than {VOID_LOOKUPS_MAX}: \
             receivers answer permerror",
            void_lookups.len()
        );
        let fix = "Remove the terms that name these hosts";
        findings.push(kinds::SPF_VOID_LOOKUPS.found(what, fix).with_all(void_lookups));
    }
    if tree.result == Some(Qualifier::Pass) {
        let what = format!("SPF of {domain} passes for every host: `+all` or a network `/0`");
        findings.push(kinds::SPF_PASS_ALL.found(what, "Replace it by `~all` or `-all`"));
    }
    if tree.has_macros {
        let what =
            format!("the SPF record of {domain} has macros: the result depends on the message");
        findings.push(kinds::SPF_MACRO.found(what, ""));
    }
    findings.extend(faults.iter().map(|fault| of_fault(domain, fault)));
    if !unanswered.is_empty() {
        findings.push(unknown(domain, unanswered));
    }
}

fn of_fault(domain: &str, fault: &SpfTreeFault) -> Finding {
    let broken = |what: String, fix: &str| {
        let what = format!("SPF of {domain} is a permerror: {what}");
        kinds::SPF_INCLUDE_BROKEN.found(what, fix)
    };
    match fault {
        SpfTreeFault::NoRecord(target) => {
            broken(format!("{target} has no SPF record"), "Remove the `include` or `redirect`")
        }
        SpfTreeFault::SeveralRecords(target) => broken(
            format!("{target} has several SPF records"),
            "Ask the owner of the domain to merge them, or remove the term",
        ),
        SpfTreeFault::Syntax(target, error) => broken(
            format!("the record of {target} is invalid: {error}"),
            "Ask the owner of the domain to correct it, or remove the term",
        ),
        SpfTreeFault::Loop(target) => kinds::SPF_LOOP.found(
            format!("SPF of {domain} is a permerror: {target} includes itself"),
            "Remove the `include` or `redirect` that closes the loop",
        ),
        SpfTreeFault::TooManyExchangers(target, count) => kinds::SPF_TOO_MANY_EXCHANGERS.found(
            format!("`mx` of {target} has {count} names, more than {NAMES_MAX}: a permerror"),
            "Replace `mx` by `ip4` and `ip6`",
        ),
    }
}
