//! The text of findings.

use bouncewatch_doctor::json::FindingsDocument;
use bouncewatch_doctor::judge::{Figures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::table::render_table;
use bouncewatch_schemas::text_layout::TextLayout;

use crate::cases::{cases, healthy};

/// Lines of a terminal.
const SCREEN_LINES: usize = 24;

#[test]
fn healthy_account_fits_one_screen() {
    let snapshot = Snapshot::parse(&healthy().to_string()).unwrap();
    let text = render_table(&judge(&snapshot, &Figures::default()), TextLayout::default());
    assert!(text.starts_with("OK: "), "{text}");
    assert_eq!(text.lines().nth(1), Some(""), "{text}");
    assert!(text.lines().count() <= SCREEN_LINES, "{text}");
    assert!(text.contains("account.sandbox") && text.contains("wiring.queue_policy"), "{text}");
}

#[test]
fn first_line_states_what_to_repair_first() {
    let case = &cases()["wiring_default_set"];
    let text = render_table(&case.judge(), TextLayout::default());
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with(
            "CRITICAL: fix first: example.com: the identity has no default configuration set"
        ),
        "{text}"
    );
    assert!(first.ends_with("(2 critical, 0 warning, 0 unknown)"), "{text}");
}

#[test]
fn findings_that_differ_in_their_subject_are_one_paragraph() {
    let mut value = healthy();
    let identity = value["identities"]["value"][0].clone();
    let identities = (0..40).map(|number| {
        let mut identity = identity.clone();
        identity["name"] = serde_json::json!(format!("d{number:02}.example"));
        identity["details"]["value"]["configuration_set"] = serde_json::Value::Null;
        identity
    });
    value["identities"]["value"] = identities.collect();
    let snapshot = Snapshot::parse(&value.to_string()).unwrap();
    let findings = judge(&snapshot, &Figures::default());
    let default_set = findings.iter().filter(|finding| finding.id == "wiring.default_set");
    assert_eq!(default_set.count(), 40);
    let text = render_table(&findings, TextLayout::default());
    assert_eq!(text.matches("wiring.default_set").count(), 1, "{text}");
    assert!(text.contains("d00.example, d01.example") && text.contains("and 30 more"), "{text}");
}

#[test]
fn narrow_terminal_wraps_all_but_commands() {
    const WIDTH: usize = 60;
    let findings = cases()["wiring_default_set"].judge();
    let plain = render_table(&findings, TextLayout::default());
    let narrow = TextLayout { width: Some(WIDTH), has_color: false, has_blocks: false };
    let wrapped = render_table(&findings, narrow);
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&wrapped), words(&plain));
    let is_fix = |line: &&str| line.trim_start().starts_with("fix: ");
    let fixes = |text: &str| text.lines().filter(is_fix).map(str::to_owned).collect::<Vec<_>>();
    assert!(!fixes(&plain).is_empty());
    assert_eq!(fixes(&wrapped), fixes(&plain));
    for line in wrapped.lines().filter(|line| !is_fix(line)) {
        assert!(line.len() <= WIDTH, "{line}");
    }
    assert!(wrapped.lines().count() > plain.lines().count());
    let colored = render_table(&findings, TextLayout { has_color: true, ..narrow });
    assert!(colored.starts_with("\u{1b}[1m\u{1b}[31mCRITICAL\u{1b}[0m: "), "{colored}");
    assert_eq!(anstream::adapter::strip_str(&colored).to_string(), wrapped);
}

#[test]
fn text_of_aws_is_escaped() {
    let mut value = healthy();
    value["recommendations"] = serde_json::json!({"value": [{
        "resource": "arn:x", "kind": "DKIM", "description": "bad\u{1b}[2J\nOK: all", "status": "OPEN",
        "impact": "HIGH",
    }]});
    let snapshot = Snapshot::parse(&value.to_string()).unwrap();
    let text = render_table(&judge(&snapshot, &Figures::default()), TextLayout::default());
    assert!(!text.contains('\u{1b}') && text.contains("bad\\u{1b}[2J\\u{a}OK: all"), "{text}");
}

#[test]
fn json_has_the_status_of_the_worst_finding() {
    let status = |name: &str| {
        let case = &cases()[name];
        let (snapshot, findings) = (case.snapshot(), case.judge());
        let value = serde_json::to_value(FindingsDocument::new(&snapshot, &findings)).unwrap();
        let first = value["findings"][0]["id"].as_str().unwrap().to_owned();
        (value["status"].as_str().unwrap().to_owned(), value["exit_code"].as_u64().unwrap(), first)
    };
    let expected = |status: &str, code, id: &str| (status.to_owned(), code, id.to_owned());
    assert_eq!(status("account_sandbox"), expected("critical", 2, "account.sandbox"));
    assert_eq!(status("wiring_retention"), expected("warning", 1, "wiring.retention"));
    assert_eq!(status("account_review_unknown"), expected("unknown", 3, "account.review"));
    // a note changes no status
    assert_eq!(status("wiring_raw_delivery"), expected("ok", 0, "wiring.raw_delivery"));
}
