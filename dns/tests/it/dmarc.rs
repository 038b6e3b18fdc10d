//! The tree walk and the parser against checkdmarc (`fixtures/dns/dmarc`, recorded by `record_checkdmarc.py`).

use bouncewatch_dns::dmarc::{AlignmentMode, DmarcPolicy, DmarcRecord, discover};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::zone::Zone;
use crate::{fixture, fixture_text};

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
        "p": policy.name(),
        "sp": subdomains.name(),
        "np": record.nonexistent_policy.unwrap_or(subdomains).name(),
        "adkim": mode(record.dkim_alignment),
        "aspf": mode(record.spf_alignment),
        "rua": record.aggregate_reports,
    })
}

/// What both programs find: where the record is, and its values; null if no record applies.
fn found_here(case: &Case) -> Value {
    let zone = Zone(serde_json::from_value(case.zone.clone()).unwrap());
    let discovery = discover(&zone, &case.domain);
    match (&discovery.found, discovery.policy()) {
        (Some(found), Some(_)) => {
            json!({"location": found.domain, "tags": tags(&found.record)})
        }
        _ => Value::Null,
    }
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
    json!({"location": answer["location"], "tags": tags})
}

#[test]
fn policies_agree_with_checkdmarc() {
    let mut names: Vec<String> = std::fs::read_dir(fixture("dmarc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    names.sort();
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
