//! Records that a service requires, compared one by one.

use std::iter::successors;

use crate::answer::{Answer, Lookup, Record, RecordType};
use crate::catalogue as kinds;
use crate::finding::Finding;
use crate::name;
use crate::request::RequiredRecord;
use crate::snapshot::texts;

/// Policies that a domain may choose itself: other checks judge them.
const POLICIES: [&str; 2] = ["v=spf1", "v=dmarc1"];

/// Compares a record with the DNS. Other records of the name and type are no fault.
pub(crate) fn check(lookup: &dyn Lookup, required: &RequiredRecord) -> Option<Finding> {
    let RequiredRecord { name, record_type, value } = required;
    let lower = value.to_ascii_lowercase();
    if *record_type == RecordType::Txt && POLICIES.iter().any(|start| lower.starts_with(start)) {
        return None;
    }
    let at = name::of_domain(name);
    let record = format!("{record_type} {at}");
    let fix = format!("Publish {record} \"{value}\"");
    let answer = lookup.ask(&at, *record_type);
    if let Some(reason) = answer.failure() {
        let what = format!("the required record {record} could not be checked");
        let failure = format!("{record}: {reason}");
        return Some(kinds::RECORD_LOOKUP_FAILED.unanswered(what).with(failure));
    }
    if has(&answer, value) {
        let what = format!("the required record {record} exists");
        return Some(kinds::RECORD_OK.found(what, ""));
    }
    let values = texts(&answer);
    if !values.is_empty() {
        let what = format!("{record} exists, but not with the required value");
        let evidence = values.iter().map(|found| format!("{record}: {found}"));
        return Some(kinds::RECORD_DIFFERS.found(what, fix).with_all(evidence));
    }
    // a DNS console that adds the zone to a name that has it already
    let zones = successors(Some(at.as_str()), |name| name::parent(name));
    let mut doubled = zones
        .filter(|zone| zone.contains('.') && !zone.starts_with('_'))
        .map(|zone| format!("{at}.{zone}"))
        .filter(|name| has(&lookup.ask(name, *record_type), value));
    Some(match doubled.next() {
        Some(doubled) => {
            let what =
                format!("the required record is at {doubled}: the zone occurs twice in its name");
            let fix =
                format!("In the DNS console enter the name without the zone at its end: {at}");
            kinds::RECORD_NAME_DOUBLED.found(what, fix)
        }
        None => {
            kinds::RECORD_MISSING.found(format!("the required record {record} is missing"), fix)
        }
    })
}

/// Whether one of the records has the value: bytes of a text, other values without case and without the dot at the end.
fn has(answer: &Answer, value: &str) -> bool {
    let Answer::Records(records) = answer else { return false };
    let texts = texts(answer);
    records.iter().zip(texts).any(|(record, text)| match record {
        Record::Txt(strings) => strings.concat() == value.as_bytes(),
        _ => name::normalise(&text) == name::normalise(value),
    })
}
