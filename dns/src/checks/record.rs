//! Records that a service requires, compared one by one.

use crate::answer::{Answer, Lookup, Question, RecordType};
use crate::catalogue as kinds;
use crate::finding::Finding;
use crate::name;
use crate::request::RequiredRecord;
use crate::snapshot::texts;

/// Compares a record with the DNS. Other records of the name and type are no fault.
pub(crate) fn check(lookup: &dyn Lookup, required: &RequiredRecord) -> Finding {
    let RequiredRecord { name, record_type, value } = required;
    let at = name::of_domain(name);
    let record = format!("{record_type} {at}");
    let fix = format!("Publish {record} \"{value}\"");
    let answer = match Question::new(&at, *record_type) {
        Some(question) => lookup.answer(&question),
        None => Answer::NxDomain,
    };
    if let Some(reason) = answer.failure() {
        let what = format!("the required record {record} could not be checked");
        return kinds::RECORD_LOOKUP_FAILED
            .found(what, "Run the check again, or with another DNS server")
            .with(format!("{record}: {reason}"));
    }
    let values = texts(&answer);
    // names have no case, texts do
    let plain = |text: &str| match record_type {
        RecordType::Txt => text.to_owned(),
        _ => text.trim_end_matches('.').to_ascii_lowercase(),
    };
    if values.is_empty() {
        kinds::RECORD_MISSING.found(format!("the required record {record} is missing"), fix)
    } else if values.iter().any(|found| plain(found) == plain(value)) {
        kinds::RECORD_OK.found(format!("the required record {record} exists"), "")
    } else {
        let what = format!("{record} exists, but not with the required value");
        kinds::RECORD_DIFFERS
            .found(what, fix)
            .with_all(values.iter().map(|found| format!("{record}: {found}")))
    }
}
