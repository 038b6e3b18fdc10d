//! The DKIM records of an SES identity.

use crate::answer::{Lookup, RecordType, Unanswered};
use crate::catalogue as kinds;
use crate::dkim_key::{DkimKey, DkimKeyRecord, is_key};
use crate::finding::{Finding, FindingKind, FindingLevel};
use crate::name;
use crate::request::{Dkim, DkimKeys};
use crate::snapshot::escape;

/// Least bits of an RSA key that receivers must accept (RFC 8301).
const RSA_BITS_MIN: usize = 1024;
/// Bits of an RSA key that signers should have (RFC 8301).
const RSA_BITS_WANTED: usize = 2048;

/// Checks each record of the keys of an identity.
pub(crate) fn check(lookup: &dyn Lookup, domain: &str, dkim: &Dkim) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !dkim.is_signing {
        let what = format!("SES does not sign mail with a key of {domain}");
        let fix =
            "Enable DKIM signing of the identity; if its DKIM status is FAILED, start DKIM again";
        findings.push(kinds::DKIM_SIGNING_OFF.found(what, fix));
    }
    let Some(keys) = &dkim.keys else { return findings };
    if matches!(keys, DkimKeys::Easy { tokens, .. } if tokens.is_empty()) {
        let what = format!("SES has no DKIM tokens for {domain}");
        findings
            .push(kinds::DKIM_SIGNING_OFF.found(what, "Start DKIM verification of the identity"));
    }
    let count = match keys {
        DkimKeys::Easy { tokens, signing_hosted_zone } => {
            for token in tokens {
                findings.extend(check_token(lookup, domain, token, signing_hosted_zone));
            }
            tokens.len()
        }
        DkimKeys::Own { selector } => {
            let at = format!("{selector}._domainkey.{domain}");
            match lookup.texts(&at) {
                Ok(texts) => findings.extend(own_key(lookup, domain, &at, &texts)),
                Err(failure) => findings.push(unknown(&failure)),
            }
            1
        }
    };
    if findings.iter().all(|finding| finding.level < FindingLevel::Unknown) {
        let what = format!("all DKIM records of {domain} are correct ({count})");
        findings.push(kinds::DKIM_OK.found(what, ""));
    }
    findings
}

fn unknown(failure: &Unanswered) -> Finding {
    let what = format!("the DKIM record {} could not be checked", failure.question.name());
    kinds::DKIM_LOOKUP_FAILED.unanswered(what).with(failure)
}

/// The CNAME record of one token, and the key to which it points.
fn check_token(lookup: &dyn Lookup, domain: &str, token: &str, zone: &str) -> Vec<Finding> {
    let at = format!("{token}._domainkey.{domain}");
    let target = name::normalise(&format!("{token}.{zone}"));
    // look up both before an early return, so that `MissingQuestions` records both
    let (aliases, texts) = (lookup.targets(&at, RecordType::Cname), lookup.texts(&at));
    let (aliases, texts) = match (aliases, texts) {
        (Ok(aliases), Ok(texts)) => (aliases, texts),
        (Err(failure), _) | (_, Err(failure)) => return vec![unknown(&failure)],
    };
    let record = format!("CNAME {at} -> {target}");
    match aliases.first() {
        Some(alias) if *alias != target => {
            let what = format!("the DKIM record {at} points to another name");
            let fix = format!("Change it to {record}");
            vec![kinds::DKIM_CNAME_WRONG.found(what, fix).with(format!("CNAME {at} -> {alias}"))]
        }
        Some(_) if texts.iter().any(|text| is_key(text)) => {
            texts.iter().flat_map(|text| of_key(&at, text)).collect()
        }
        Some(alias) => {
            let what = format!("the DKIM record {at} is correct, but {alias} has no key");
            let fix = "If the identity was created again, publish the records of its new tokens";
            vec![kinds::DKIM_TARGET_WITHOUT_KEY.found(what, fix).with(record)]
        }
        None if texts.iter().any(|text| is_key(text)) => {
            let what = format!(
                "{at} is a copy of the key instead of a CNAME record: it breaks when SES rotates keys"
            );
            let fix = format!("Publish {record}; turn off flattening or proxying of the DNS host");
            vec![kinds::DKIM_CNAME_FLATTENED.found(what, fix).with_all(texts_of(&at, &texts))]
        }
        None => {
            let is_at = |name: &str| {
                lookup
                    .targets(name, RecordType::Cname)
                    .is_ok_and(|aliases| aliases.contains(&target))
            };
            vec![missing(domain, &at, &record, kinds::DKIM_CNAME_MISSING, is_at)]
        }
    }
}

/// A missing record. `is_at` is whether a name has the record: perhaps the one with the domain twice.
fn missing(
    domain: &str,
    at: &str,
    record: &str,
    kind: FindingKind,
    is_at: impl Fn(&str) -> bool,
) -> Finding {
    let doubled = format!("{at}.{domain}");
    if is_at(&doubled) {
        let what = format!("the DKIM record is at {doubled}: the domain occurs twice in its name");
        let fix = format!("In the DNS console enter the name without `.{domain}` at its end: {at}");
        return kinds::DKIM_NAME_DOUBLED.found(what, fix);
    }
    let fix = format!(
        "Publish {record}. SES searches for 72 hours; after that, start the verification again"
    );
    kind.found(format!("the DKIM record {at} is missing"), fix).with(format!("{at}: no record"))
}

fn texts_of(at: &str, texts: &[Vec<u8>]) -> Vec<String> {
    texts.iter().map(|text| format!("TXT {at}: {}", escape(text))).collect()
}

/// The key of the customer at a selector.
fn own_key(lookup: &dyn Lookup, domain: &str, at: &str, texts: &[Vec<u8>]) -> Vec<Finding> {
    match texts {
        [] => {
            let record = format!("TXT {at} \"p=PUBLIC_KEY\"");
            let is_at = |name: &str| {
                lookup.texts(name).is_ok_and(|texts| texts.iter().any(|text| is_key(text)))
            };
            vec![missing(domain, at, &record, kinds::DKIM_KEY_MISSING, is_at)]
        }
        [text] => of_key(at, text),
        texts => {
            let what =
                format!("{at} has {} text records; receivers may use any of them", texts.len());
            let finding = kinds::DKIM_TWO_KEYS.found(what, "Remove all but the key in use");
            vec![finding.with_all(texts_of(at, texts))]
        }
    }
}

fn of_key(at: &str, text: &[u8]) -> Vec<Finding> {
    let record = match DkimKeyRecord::parse(text) {
        Ok(record) => record,
        Err(reason) => {
            let what = format!("the DKIM key {at} is not usable: {reason}");
            let fix = "Publish the record again as the signer shows it; a value above 255 bytes needs several strings";
            let finding = kinds::DKIM_KEY_INVALID.found(what, fix);
            return vec![finding.with(format!("TXT {at}: {}", escape(text)))];
        }
    };
    let mut findings = Vec::new();
    match record.key {
        None => {
            let what = format!("the DKIM key {at} is revoked: `p` is empty");
            findings.push(kinds::DKIM_KEY_REVOKED.found(what, "Publish the key that signs"));
        }
        Some(DkimKey::Rsa(bits)) if bits < RSA_BITS_MIN => {
            let what = format!(
                "the DKIM key {at} has {bits} bits: receivers reject keys below {RSA_BITS_MIN} bits"
            );
            findings.push(kinds::DKIM_KEY_TOO_SHORT.found(what, "Change to a key of 2048 bits"));
        }
        Some(DkimKey::Rsa(bits)) if bits < RSA_BITS_WANTED => {
            let what =
                format!("the DKIM key {at} has {bits} bits; {RSA_BITS_WANTED} are recommended");
            findings.push(kinds::DKIM_KEY_1024.found(what, "Change to a key of 2048 bits"));
        }
        Some(DkimKey::Rsa(_) | DkimKey::Ed25519) => {}
    }
    if record.is_testing {
        let what =
            format!("the DKIM key {at} has t=y: receivers that honour it treat mail as unsigned");
        findings.push(kinds::DKIM_TESTING.found(what, "Remove `t=y`"));
    }
    findings
}
