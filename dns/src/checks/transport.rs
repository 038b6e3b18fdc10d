//! MTA-STS (RFC 8461) and TLS-RPT (RFC 8460) records of a domain that receives mail. The policy of MTA-STS is behind
//! HTTPS and is not read.

use crate::answer::Lookup;
use crate::catalogue as kinds;
use crate::finding::{Finding, FindingKind};
use crate::name;
use crate::snapshot::escape;
use crate::tags::{has_version, parse_tags, value};

/// Most characters of an `id` (RFC 8461, section 3.1).
const ID_CHARS_MAX: usize = 32;

/// Checks both records. Absent records give no finding, and neither does a failed lookup: both records are optional.
pub(crate) fn check(lookup: &dyn Lookup, domain: &str) -> Vec<Finding> {
    let domain = name::of_domain(domain);
    let mta_sts = check_record(
        lookup,
        &format!("_mta-sts.{domain}"),
        "STSv1",
        (kinds::MTA_STS, kinds::MTA_STS_INVALID),
        |text| {
            value(&parse_tags(text), "id").is_some_and(|id| {
                (1..=ID_CHARS_MAX).contains(&id.len())
                    && id.bytes().all(|b| b.is_ascii_alphanumeric())
            })
        },
    );
    let tls_rpt = check_record(
        lookup,
        &format!("_smtp._tls.{domain}"),
        "TLSRPTv1",
        (kinds::TLS_RPT, kinds::TLS_RPT_INVALID),
        |text| {
            let is_uri = |uri: &str| {
                let uri = uri.trim().to_ascii_lowercase();
                uri.starts_with("mailto:") && uri.contains('@') || uri.starts_with("https://")
            };
            value(&parse_tags(text), "rua").is_some_and(|uris| uris.split(',').all(is_uri))
        },
    );
    mta_sts.into_iter().chain(tls_rpt).collect()
}

fn check_record(
    lookup: &dyn Lookup,
    at: &str,
    version: &str,
    (valid, invalid): (FindingKind, FindingKind),
    is_valid: impl Fn(&[u8]) -> bool,
) -> Option<Finding> {
    let texts = lookup.texts(at).ok()?;
    let is_meant = |text: &&Vec<u8>| {
        let start = format!("v={version}").to_ascii_lowercase().into_bytes();
        text.trim_ascii().to_ascii_lowercase().starts_with(&start)
    };
    let records: Vec<&Vec<u8>> = texts.iter().filter(is_meant).collect();
    let evidence = records.iter().map(|text| format!("TXT {at}: {}", escape(text)));
    let finding = match records.as_slice() {
        [] => return None,
        [text] if has_version(text, version) && is_valid(text) => {
            valid.found(format!("{at} has a valid {version} record"), "")
        }
        [_] => invalid.found(
            format!("the {version} record at {at} is invalid: senders ignore it"),
            "Correct it",
        ),
        _ => {
            let what = format!("{at} has several {version} records: senders ignore them");
            invalid.found(what, "Remove all but one")
        }
    };
    Some(finding.with_all(evidence))
}
