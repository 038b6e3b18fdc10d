//! Snapshots from other people: any value may stand anywhere.

use bouncewatch_doctor::finding::FindingLevel;
use bouncewatch_doctor::judge::{Figures, StoreFigures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::table::render_table;
use bouncewatch_schemas::text_layout::TextLayout;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cases::healthy;

/// JSON pointers of all values.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        pointers(child, &pointer, found);
        found.push(pointer);
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(-1), Just(0)].prop_map(Value::from),
        prop_oneof![Just(f64::MAX), Just(f64::MIN), Just(-0.5)].prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("arn:::::\u{1b}[2J")),
        Just(json!("1970-01-01T00:00:00Z")),
        Just(json!("9999-12-31T23:59:59Z")),
        Just(Value::from(json!({"Statement": []}).to_string())),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"denied": "x:Y"})),
        Just(json!({"absent": "x:Y"})),
        Just(json!({"error": {"action": "x:Y", "message": "\u{202e}"}})),
    ]
}

proptest! {
    #[test]
    fn any_snapshot_is_judged_and_printed_without_control_characters(
        changes in prop::collection::vec((any::<prop::sample::Index>(), replacement()), 1..6),
        attempts in any::<i64>(),
        hours in any::<u32>(),
    ) {
        let mut value = healthy();
        value["send_statistics"]["value"][0]["attempts"] = json!(attempts);
        for (index, new) in changes {
            let mut all = Vec::new();
            pointers(&value, "", &mut all);
            *value.pointer_mut(index.get::<String>(&all)).unwrap() = new;
        }
        let Ok(snapshot) = Snapshot::parse(&value.to_string()) else { return Ok(()) };
        let store = StoreFigures { hours, ..StoreFigures::default() };
        let findings = judge(&snapshot, &Figures { store: Some(store), ..Figures::default() });
        let text = render_table(&findings, TextLayout::default());
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{}", text);
        let is_sorted = findings.is_sorted_by(|a, b| a.level >= b.level);
        prop_assert!(is_sorted);
        let assumed = findings.iter().filter(|finding| finding.assumption.is_some());
        prop_assert!(assumed.into_iter().all(|finding| finding.level < FindingLevel::Critical));
    }
}
