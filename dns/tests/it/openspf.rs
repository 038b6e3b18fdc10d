//! The evaluation against the openspf test suite for RFC 7208 (`fixtures/dns/openspf`).

use bouncewatch_dns::spf::{SpfQuery, SpfResult, check_host};
use bouncewatch_dns::{Answer, Answers, Mx, Question, Record, RecordType};
use yaml_rust2::{Yaml, YamlLoader};

use crate::fixture_text;
use crate::zone::Zone;

/// Number of cases in the suite; a smaller number would mean that the reader skips some.
const CASES: usize = 203;

const TYPES: [RecordType; 6] = [
    RecordType::A,
    RecordType::Aaaa,
    RecordType::Cname,
    RecordType::Mx,
    RecordType::Ptr,
    RecordType::Txt,
];

/// The suite writes bytes as characters from U+0000 to U+00FF.
fn bytes(text: &Yaml) -> Vec<u8> {
    let text = text.as_str().unwrap();
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

fn text_record(value: &Yaml) -> Record {
    match value {
        Yaml::Array(strings) => Record::Txt(strings.iter().map(bytes).collect()),
        text => Record::Txt(vec![bytes(text)]),
    }
}

fn record(record_type: &str, value: &Yaml) -> (RecordType, Record) {
    let name = |value: &Yaml| value.as_str().unwrap().trim_end_matches('.').to_lowercase();
    match record_type {
        "A" => (RecordType::A, Record::A(value.as_str().unwrap().parse().unwrap())),
        "AAAA" => (RecordType::Aaaa, Record::Aaaa(value.as_str().unwrap().parse().unwrap())),
        "CNAME" => (RecordType::Cname, Record::Cname(name(value))),
        "PTR" => (RecordType::Ptr, Record::Ptr(name(value))),
        "MX" => {
            let preference = u16::try_from(value[0].as_i64().unwrap()).unwrap();
            (RecordType::Mx, Record::Mx(Mx { preference, exchange: name(&value[1]) }))
        }
        "SPF" | "TXT" => (RecordType::Txt, text_record(value)),
        other => panic!("record type {other}"),
    }
}

/// Records of type SPF are text records too, unless the name has text records of its own (header of the suite).
fn zone(zone_data: &Yaml) -> Zone {
    let mut answers = Answers::default();
    for (name, entries) in zone_data.as_hash().unwrap() {
        let name = name.as_str().unwrap();
        let mut records: Vec<(RecordType, Record)> = Vec::new();
        let mut is_silent = false;
        let entries: Vec<(&str, &Yaml)> = entries
            .as_vec()
            .unwrap()
            .iter()
            .filter_map(|entry| {
                is_silent |= entry.as_str() == Some("TIMEOUT");
                let (key, value) = entry.as_hash()?.iter().next()?;
                Some((key.as_str().unwrap(), value))
            })
            .collect();
        let has_texts = entries.iter().any(|(key, _)| *key == "TXT");
        for (key, value) in entries {
            if !(key == "SPF" && has_texts || key == "TXT" && value.as_str() == Some("NONE")) {
                records.push(record(key, value));
            }
        }
        for record_type in TYPES {
            let of_type = records.iter().filter(|(other, _)| *other == record_type);
            let of_type: Vec<Record> = of_type.map(|(_, record)| record.clone()).collect();
            let question = Question::new(name, record_type);
            match question {
                Some(question) if !of_type.is_empty() => {
                    answers.insert(question, Answer::Records(of_type));
                }
                Some(question) if is_silent => answers.insert(question, Answer::Timeout),
                _ => {}
            }
        }
    }
    Zone(answers)
}

/// What is wrong with the outcome of a case; `None` if the suite agrees.
fn difference(case: &Yaml, zone: &Zone) -> Option<String> {
    let text = |key: &str| case[key].as_str().unwrap_or_default();
    let query = SpfQuery {
        ip: text("host").parse().unwrap(),
        sender: text("mailfrom"),
        helo: text("helo"),
        receiver: "receiver.example",
        time_unix_secs: 0,
    };
    let outcome = check_host(zone, &query);
    let allowed: Vec<&str> = match &case["result"] {
        Yaml::Array(results) => results.iter().map(|result| result.as_str().unwrap()).collect(),
        result => vec![result.as_str().unwrap()],
    };
    if !allowed.contains(&outcome.result.as_str()) {
        return Some(format!("{} for {allowed:?}: {}", outcome.result.as_str(), outcome.reason));
    }
    let explanation = outcome.explanation.as_deref().unwrap_or("DEFAULT");
    let expected = case["explanation"].as_str()?;
    // hexadecimal digits of macros have no case
    (outcome.result == SpfResult::Fail && !explanation.eq_ignore_ascii_case(expected))
        .then(|| format!("explanation `{explanation}` for `{expected}`"))
}

#[test]
fn check_host_agrees_with_the_openspf_suite() {
    let suite = YamlLoader::load_from_str(&fixture_text("openspf/rfc7208-tests.yml")).unwrap();
    let (mut cases, mut differences) = (0, Vec::new());
    for scenario in &suite {
        let zone = zone(&scenario["zonedata"]);
        for (name, case) in scenario["tests"].as_hash().unwrap() {
            cases += 1;
            if let Some(found) = difference(case, &zone) {
                differences.push(format!("{}: {found}", name.as_str().unwrap()));
            }
        }
    }
    println!("openspf: {} of {cases} cases agree", cases - differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert_eq!(cases, CASES);
}
