//! Cases of `fixtures/doctor`: a healthy account with some values changed, and the findings that result.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bouncewatch_doctor::dns_request::{DnsOptions, dns_request};
use bouncewatch_doctor::finding::{Check, Finding, FindingLevel};
use bouncewatch_doctor::judge::{Figures, StoreFigures, judge, worst};
use bouncewatch_doctor::snapshot::Snapshot;
use serde::Deserialize;
use serde_json::Value;

/// A case as it is in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(rename = "shows")]
    _shows: String,
    set: BTreeMap<String, Value>,
    #[serde(default)]
    figures: Figures,
    findings: Vec<String>,
    #[serde(default)]
    contains: Vec<String>,
    /// Values of the request for DNS records.
    #[serde(default)]
    request: BTreeMap<String, Value>,
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../fixtures/doctor")
}

/// The healthy account.
pub(crate) fn healthy() -> Value {
    let text = std::fs::read_to_string(folder().join("healthy.base.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All cases by name.
pub(crate) fn cases() -> BTreeMap<String, Case> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
        (name != "healthy.base").then(|| name.to_owned())
    };
    files
        .filter_map(|path| Some((name(&path)?, path)))
        .map(|(name, path)| {
            let case = serde_json::from_str(&std::fs::read_to_string(path).unwrap());
            let case = case.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, case)
        })
        .collect()
}

impl Case {
    /// The snapshot of the case.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut value = healthy();
        for (pointer, new) in &self.set {
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            match value.pointer_mut(parent) {
                Some(Value::Object(fields)) => {
                    fields.insert(last.to_owned(), new.clone());
                }
                Some(Value::Array(items)) => {
                    let at: usize = last.parse().unwrap();
                    items.splice(at..items.len().min(at + 1), [new.clone()]);
                }
                _ => panic!("{pointer}: no such parent"),
            }
        }
        Snapshot::parse(&value.to_string()).unwrap()
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        judge(&self.snapshot(), &self.figures)
    }
}

/// `LEVEL ID SUBJECT` of findings above `ok`.
fn lines(findings: &[Finding]) -> Vec<String> {
    let problems = findings.iter().filter(|finding| finding.level != FindingLevel::Ok);
    problems
        .map(|finding| {
            let subject = finding.subject.as_deref().unwrap_or_default();
            format!("{} {} {subject}", finding.level.as_str(), finding.id)
        })
        .collect()
}

/// `LEVEL ID` of an expected finding.
fn without_subject(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn judge_returns_the_findings_of_each_fixture() {
    let mut wrong = Vec::new();
    for (name, case) in cases() {
        let findings = case.judge();
        let found = lines(&findings);
        let is_equal = found.len() == case.findings.len()
            && found.iter().zip(&case.findings).all(|(found, expected)| {
                found.trim_end() == expected || without_subject(found) == *expected
            });
        if !is_equal {
            wrong.push(format!("{name}\n  expected {:?}\n  found    {found:?}", case.findings));
        }
        let options = DnsOptions::default();
        let request = serde_json::to_value(dns_request(&case.snapshot(), &options)).unwrap();
        for (pointer, expected) in &case.request {
            if request.pointer(pointer) != Some(expected) {
                wrong.push(format!("{name}: {pointer} is not {expected} in {request}"));
            }
        }
        let json = serde_json::to_string(&findings).unwrap();
        let missing = case.contains.iter().filter(|text| !json.contains(*text));
        wrong.extend(missing.map(|text| format!("{name}: no `{text}` in {json}")));
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// For each check a case with a finding, and a similar one without it.
#[test]
fn every_check_has_a_pair_of_cases() {
    let cases = cases();
    let mut covered = Vec::new();
    for (name, case) in &cases {
        if name.ends_with("_near") {
            assert!(cases.contains_key(name.trim_end_matches("_near")), "{name} has no partner");
            continue;
        }
        let near = cases.get(&format!("{name}_near")).unwrap_or_else(|| panic!("no {name}_near"));
        let request_differs = case.request != near.request;
        let near: Vec<String> = near.findings.iter().map(|line| without_subject(line)).collect();
        let own: Vec<String> = case.findings.iter().map(|line| without_subject(line)).collect();
        let only_here: Vec<&String> = own.iter().filter(|line| !near.contains(line)).collect();
        assert!(
            !only_here.is_empty() || request_differs,
            "{name} and its partner have the same findings"
        );
        covered
            .extend(only_here.into_iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()));
    }
    let missing: Vec<&str> = Check::ALL
        .iter()
        .map(|check| check.as_str())
        .filter(|id| !covered.iter().any(|covered| covered == id))
        .collect();
    assert!(missing.is_empty(), "checks without a pair of cases: {missing:?}");
}

#[test]
fn fixes_are_sentences() {
    for (name, case) in cases() {
        for finding in case.judge() {
            let is_sentence = finding.fix.is_empty() || finding.fix.starts_with(char::is_uppercase);
            assert!(is_sentence, "{name}: {finding:?}");
        }
    }
}

/// What AWS does not document is never the base of a critical finding.
#[test]
fn assumptions_are_never_critical() {
    for (name, case) in cases() {
        for finding in case.judge() {
            let is_critical = finding.level == FindingLevel::Critical;
            assert!(!is_critical || finding.assumption.is_none(), "{name}: {finding:?}");
        }
    }
}

/// Whatever part is missing: no crash, no status OK.
#[test]
fn denied_part_is_unknown_and_names_the_action() {
    let parts = [
        "account",
        "send_statistics",
        "metrics",
        "identities",
        "set_names",
        "tenants",
        "recommendations",
        "dedicated_ips",
        "workmail",
        "dns",
        "identities.value.0.details",
        "identities.value.0.notifications",
        "sets.main.options",
        "sets.main.destinations",
    ];
    for part in parts {
        let mut value = healthy();
        let mut found = &mut value;
        for member in part.split('.') {
            found = match member.parse::<usize>() {
                Ok(at) => &mut found[at],
                Err(_) => &mut found[member],
            };
        }
        *found = serde_json::json!({"denied": format!("aws:Read-{part}")});
        let snapshot = Snapshot::parse(&value.to_string()).unwrap();
        let figures = Figures { store: Some(StoreFigures::default()), ..Figures::default() };
        let findings = judge(&snapshot, &figures);
        let expected = format!("access to aws:Read-{part} is denied");
        let found = findings.iter().find(|finding| finding.what == expected);
        let found = found.unwrap_or_else(|| panic!("{part}: {findings:?}"));
        assert_eq!(found.level, FindingLevel::Unknown, "{part}");
        // a contract: the text names what is needed
        assert!(found.fix.contains(&format!("needs aws:Read-{part}")), "{found:?}");
    }
}

#[test]
fn error_names_the_field_and_quotes_no_value() {
    let snapshot = |extra: &str| format!(r#"{{"version": 1, "region": "eu-west-1"{extra}}}"#);
    let error = |json: &str| {
        let error = Snapshot::parse(json).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "{error:?}");
        error.to_string()
    };
    assert!(
        error(&snapshot("")).contains("no field `taken_at` at line 1"),
        "{}",
        error(&snapshot(""))
    );
    for value in ["\"jane@example.com\"", "[\"jane@example.com\"]", "jane@example.com"] {
        for field in ["taken_at", "account", "identities", "version"] {
            let text = error(&snapshot(&format!(
                r#", "taken_at": "2026-11-26T12:00:00Z", "{field}": {value}"#
            )));
            assert!(!text.contains("jane"), "{text}");
        }
    }
}

/// A snapshot without a part states nothing about it.
#[test]
fn missing_part_is_unknown() {
    let healthy = healthy();
    for part in healthy.as_object().unwrap().keys() {
        let mut value = healthy.clone();
        value.as_object_mut().unwrap().remove(part);
        let required = ["version", "taken_at", "region"];
        let settings = ["own_queues", "own_sets", "recipient"];
        // the healthy account has nothing for which these are read
        let unused = ["keys", "block_lists", "receipt_rules"];
        if [&required[..], &settings, &unused].concat().contains(&part.as_str()) {
            continue;
        }
        let snapshot = Snapshot::parse(&value.to_string()).unwrap();
        let figures = Figures { store: Some(StoreFigures::default()), ..Figures::default() };
        let findings = judge(&snapshot, &figures);
        let is_unknown = findings.iter().any(|finding| {
            finding.level == FindingLevel::Unknown && finding.what.contains("not in the snapshot")
        });
        assert!(is_unknown, "{part}: {findings:?}");
    }
    let empty = r#"{"version": 1, "taken_at": "2026-11-26T12:00:00Z", "region": "eu-west-1"}"#;
    let findings = judge(&Snapshot::parse(empty).unwrap(), &Figures::default());
    assert_eq!(worst(&findings).status().exit_code(), 3, "{findings:?}");
}

#[test]
fn masked_snapshot_has_the_same_findings_and_no_address() {
    for (name, case) in cases() {
        let snapshot = case.snapshot();
        let masked = snapshot.to_json(false).unwrap();
        for address in ["alice@", "bob@", "ops@", "info@"] {
            assert!(!masked.to_lowercase().contains(address), "{name}: {masked}");
        }
        let again = Snapshot::parse(&masked).unwrap();
        let ids = |findings: Vec<Finding>| -> Vec<_> {
            findings.into_iter().map(|finding| (finding.level, finding.id)).collect()
        };
        assert_eq!(ids(judge(&again, &case.figures)), ids(case.judge()), "{name}");
        assert_eq!(Snapshot::parse(&snapshot.to_json(true).unwrap()).unwrap(), snapshot, "{name}");
    }
}
