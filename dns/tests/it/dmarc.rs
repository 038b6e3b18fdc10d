//! The tree walk and the parser against checkdmarc (`fixtures/dns/dmarc`, recorded by `record_checkdmarc.py`).

use bouncewatch_dns::dmarc::{AlignmentMode, DmarcPolicy, DmarcRecord, discover};
use bouncewatch_dns::{Request, judge};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::zone::Zone;
use crate::{fixture_text, json_fixtures};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "for readers")]
    shows: String,
    domain: String,
    zone: Value,
    checkdmarc: Value,
    /// Why the result here is another one.
    difference: Option<String>,
}

fn mode(mode: AlignmentMode) -> &'static str {
    match mode {
        AlignmentMode::Relaxed => "r",
        AlignmentMode::Strict => "s",
    }
}

/// The tags as checkdmarc lists them: with the values that apply if a tag is absent.
fn tags(record: &DmarcRecord) -> Value {
    let policy = record.policy.unwrap_or(DmarcPolicy::None);
    let subdomains = record.subdomain_policy.unwrap_or(policy);
    json!({
        "p": policy.as_str(),
        "sp": subdomains.as_str(),
        "np": record.nonexistent_policy.unwrap_or(subdomains).as_str(),
        "adkim": mode(record.dkim_alignment),
        "aspf": mode(record.spf_alignment),
        "rua": record.aggregate_reports,
    })
}

/// Findings with the text of the warning that checkdmarc gives instead.
const WARNINGS: [(&str, &str); 4] = [
    ("dns.dmarc_removed_tag", "was removed in RFC 9989"),
    ("dns.dmarc_unknown_tag", "Unknown DMARC tag"),
    ("dns.dmarc_invalid_tag", "is not a valid"),
    ("dns.dmarc_reports_refused", "does not indicate that it accepts"),
];

/// What both programs find: where the record is, its values, and what is wrong; null if no record applies.
fn found_here(case: &Case) -> Value {
    let zone = Zone(serde_json::from_value(case.zone.clone()).unwrap());
    let discovery = discover(&zone, &case.domain);
    let (Some(found), Some(_)) = (&discovery.found, discovery.policy()) else { return Value::Null };
    let sender = json!({"domain": case.domain, "identity": {"name": case.domain}});
    let request: Request = serde_json::from_value(json!({"senders": [sender]})).unwrap();
    let findings = judge(&zone, &request);
    let warnings =
        WARNINGS.map(|(id, _)| findings.iter().filter(|finding| finding.id == id).count());
    json!({"location": found.domain, "tags": tags(&found.record), "warnings": warnings})
}

fn found_by_checkdmarc(case: &Case) -> Value {
    let answer = &case.checkdmarc;
    if answer["valid"] == false {
        return Value::Null;
    }
    let mut tags = answer.clone();
    tags.as_object_mut()
        .unwrap()
        .retain(|key, _| ["p", "sp", "np", "adkim", "aspf", "rua"].contains(&key.as_str()));
    let warnings = WARNINGS.map(|(_, text)| {
        let warnings = answer["warnings"].as_array().unwrap().iter();
        warnings.filter(|warning| warning.as_str().unwrap().contains(text)).count()
    });
    json!({"location": answer["location"], "tags": tags, "warnings": warnings})
}

#[test]
fn policies_agree_with_checkdmarc() {
    let names = json_fixtures("dmarc");
    assert!(names.len() >= 20, "{names:?}");
    let mut errors = Vec::new();
    for name in &names {
        let case: Case = serde_json::from_str(&fixture_text(&format!("dmarc/{name}"))).unwrap();
        let (here, there) = (found_here(&case), found_by_checkdmarc(&case));
        if (here == there) == case.difference.is_some() {
            errors.push(format!("{name}: here {here}, checkdmarc {there}"));
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}
