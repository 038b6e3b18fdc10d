//! The checks on saved records: one file of `fixtures/dns` is one case, and an almost equal one without the finding.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_dns::{FINDING_KINDS, Finding, Lookup, Request, gather_with, judge};
use serde::Deserialize;
use serde_json::Value;

use crate::zone::Zone;
use crate::{fixture_text, json_fixtures};

/// A file of `fixtures/dns`; `fixtures/dns/README.md` describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[expect(dead_code, reason = "for readers")]
    shows: String,
    finding: String,
    base: String,
    with: Variant,
    without: Variant,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    request: Option<Value>,
    #[serde(default)]
    zone: Value,
    #[serde(default)]
    expected: BTreeMap<String, String>,
}

/// A file of `fixtures/dns/base`: a request of which all records are as they must be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Base {
    pub(crate) request: Value,
    pub(crate) zone: Value,
}

impl Base {
    pub(crate) fn read(name: &str) -> Self {
        serde_json::from_str(&fixture_text(&format!("base/{name}.json"))).unwrap()
    }
}

/// Replaces members by those of a patch; null removes (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (_, Value::Null) => {}
        (target, patch) => *target = patch.clone(),
    }
}

/// A finding as `id level`.
fn key(finding: &Finding) -> String {
    format!("{} {}", finding.id, serde_json::to_value(finding.level).unwrap().as_str().unwrap())
}

/// The texts of a finding, for review.
fn text_of(name: &str, finding: &Finding) -> String {
    let Finding { subject, what, evidence, fix, assumption, source, .. } = finding;
    let subject = subject.as_deref().unwrap();
    let mut lines = vec![format!("{name}: {subject}: {}", key(finding)), format!("  {what}")];
    lines.extend(evidence.iter().map(|line| format!("  - {line}")));
    if !fix.is_empty() {
        lines.push(format!("  fix: {fix}"));
    }
    lines.extend(assumption.map(|assumption| format!("  assumes: {assumption}")));
    lines.push(format!("  {source}\n"));
    lines.join("\n")
}

/// Judges a variant, and checks that the findings are those expected.
fn run(name: &str, base: &str, variant: &Variant) -> Result<Vec<Finding>, String> {
    let Base { mut request, mut zone } = Base::read(base);
    merge(&mut zone, &variant.zone);
    merge(&mut request, variant.request.as_ref().unwrap_or(&Value::Null));
    let error = |error: serde_json::Error| format!("{name}: {error}");
    let zone = Zone(serde_json::from_value(zone).map_err(error)?);
    let request: Request = serde_json::from_value(request).map_err(error)?;
    let findings = judge(&zone, &request);

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let gathered = gather_with(&request, async |question| zone.answer(question));
    let answers = runtime.block_on(gathered);
    if judge(&answers, &request) != findings {
        return Err(format!("{name}: the gathered answers give other findings"));
    }
    let saved = serde_json::to_string(&answers).map_err(error)?;
    if serde_json::from_str(&saved).ok() != Some(answers) {
        return Err(format!("{name}: the saved answers differ: {saved}"));
    }
    let found: BTreeSet<String> = findings.iter().map(key).collect();
    let faults: BTreeSet<String> =
        found.iter().filter(|key| !key.ends_with(" ok")).cloned().collect();
    let expected: BTreeSet<String> =
        variant.expected.iter().map(|(id, level)| format!("{id} {level}")).collect();
    if faults == expected {
        Ok(findings)
    } else {
        Err(format!("{name}: found {faults:?}, expected {expected:?}\n{findings:#?}"))
    }
}

#[test]
fn each_fixture_gives_its_findings_and_its_other_variant_does_not() {
    let names = json_fixtures("");
    let mut shown = BTreeSet::new();
    let mut errors = Vec::new();
    let mut texts = Vec::new();
    for name in &names {
        let case: Case = serde_json::from_str(&fixture_text(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        shown.insert(case.finding.split(' ').next().unwrap().to_owned());
        match run(name, &case.base, &case.with) {
            Ok(findings) => match findings.iter().find(|finding| key(finding) == case.finding) {
                Some(finding) => texts.push(text_of(name, finding)),
                None => errors.push(format!("{name}: no {}: {findings:#?}", case.finding)),
            },
            Err(error) => errors.push(error),
        }
        match run(&format!("{name} (without)"), &case.base, &case.without) {
            Ok(findings) if findings.iter().any(|finding| key(finding) == case.finding) => {
                errors.push(format!("{name}: {} without its cause", case.finding));
            }
            result => errors.extend(result.err()),
        }
    }
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    insta::assert_snapshot!("texts", texts.concat());
    let all: BTreeSet<String> = FINDING_KINDS.iter().map(|kind| kind.id.to_owned()).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "no fixture");
    assert_eq!(shown.difference(&all).collect::<Vec<_>>(), Vec::<&String>::new(), "no such kind");
}

#[test]
fn judge_reports_no_fault_for_base_requests() {
    let mut texts = Vec::new();
    for name in ["sender", "work_mail", "exchange", "recipient", "relay"] {
        let variant = Variant { request: None, zone: Value::Null, expected: BTreeMap::new() };
        let findings = run(name, name, &variant).unwrap();
        texts.extend(findings.iter().map(|finding| text_of(name, finding)));
    }
    insta::assert_snapshot!("texts_of_bases", texts.concat());
}

#[test]
fn kinds_have_unique_ids() {
    let ids: BTreeSet<&str> = FINDING_KINDS.iter().map(|kind| kind.id).collect();
    assert_eq!(ids.len(), FINDING_KINDS.len());
}
