//! `page`: the text of each state, numbers equal to those of the other commands, escaping, limits, mail, many pages.

use std::collections::BTreeMap;
use std::path::Path;

use bouncewatch_fixtures::traffic::{Envelope, Options, Scenario, Shuffle, Traffic};
use serde_json::Value;

use crate::command::Workspace;
use crate::messages::NOW;
use crate::page_html::{check_pointers, text_of, value_text};
use crate::page_states::{HOSTILE, STATES, State, mail, make};

fn page_of(name: &str) -> (Workspace, String, String) {
    let workspace = Workspace::new();
    let state = STATES.iter().find(|state| state.name == name).unwrap();
    let (html, data) = make(&workspace, state);
    (workspace, html, data)
}

/// Tables of many groups would make the snapshots unreadable.
fn is_small(state: &State) -> bool {
    !state.name.starts_with("many_groups")
}

#[test]
fn page_text_and_numbers_match_snapshot_and_document_in_each_state() {
    let folder = std::env::var_os("BOUNCEWATCH_PAGES").map(std::path::PathBuf::from);
    for state in &STATES {
        let workspace = Workspace::new();
        let (html, data) = make(&workspace, state);
        if is_small(state) {
            insta::assert_snapshot!(format!("page_{}", state.name), text_of(&html));
        }
        let checked = check_pointers(&html, &serde_json::from_str(&data).unwrap());
        let expected = if state.name == "no_event" { 1 } else { 60 };
        assert!(checked >= expected, "{}: only {checked} numbers compared", state.name);
        // no address of a recipient, except where a feed puts one into a name
        assert!(!html.contains("user1@") && !data.contains("user1@"), "{}", state.name);
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join(format!("{}.html", state.name)), &html).unwrap();
        }
    }
}

#[test]
fn page_is_the_same_in_each_run_and_from_its_own_data() {
    let (workspace, html, data) = page_of("critical");
    let again = workspace.run(&format!("page --store STORE --at {NOW} --every 1d"));
    assert_eq!((again.exit_code, again.stdout.as_str()), (2, html.as_str()));
    for file in ["data.json", "page.html"] {
        let rendered = workspace.run(&format!("page --from-json {file}"));
        if file == "page.html" && !html.contains("id=\"bouncewatch\"") {
            continue;
        }
        assert_eq!(rendered.stdout, html, "{file}");
    }
    assert!(data.starts_with("{\"version\":1,"), "{data}");
    let broken = workspace.run_with_stdin("page --from-json missing.json", "");
    assert_eq!(broken.exit_code, 3, "{broken:?}");
    assert!(broken.stderr.contains("could not read `missing.json`"), "{broken:?}");
}

/// Removes the keys that differ on purpose: masked texts.
fn without(value: &Value, keys: &[&str]) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !keys.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), without(value, keys)))
            .collect(),
        Value::Array(all) => all.iter().map(|one| without(one, keys)).collect(),
        other => other.clone(),
    }
}

#[test]
fn each_number_of_the_document_is_that_of_its_command() {
    let (workspace, _, data) = page_of("critical");
    let data: Value = serde_json::from_str(&data).unwrap();
    compare_with_commands(&workspace, &data, NOW);
    assert_eq!(data["causes"]["groups"][0]["example"], "550 5.1.1 <...@example.org> user unknown");
}

/// The feeds whose `check` and `report` are compared with DuckDB.
#[test]
fn each_number_of_the_page_is_that_of_its_command_on_traffic() {
    let mixed = Options {
        events: 8_000,
        envelope: Envelope::Mixed,
        duplicates: 0.2,
        shuffle: Shuffle::All,
        accounts: 2,
        ..Options::default()
    };
    let of_scenario =
        |events, scenario| Options { events, scenario, duplicates: 0.2, ..Options::default() };
    for options in [
        mixed,
        of_scenario(4_000, Scenario::DeliveriesOnly),
        of_scenario(2_000, Scenario::BouncesOnly),
    ] {
        let workspace = Workspace::new();
        let events: Vec<String> = Traffic::new(&options).unwrap().collect();
        std::fs::write(workspace.path("events.ndjson"), events.join("\n")).unwrap();
        assert_eq!(workspace.run("ingest events.ndjson --store STORE").exit_code, 0);
        let page = workspace.run(&format!(
            "page --store STORE --at {NOW} --every 1d --data data.json -o page.html"
        ));
        assert_eq!(page.stderr, "", "{options:?}");
        let [html, data] = ["page.html", "data.json"]
            .map(|name| std::fs::read_to_string(workspace.path(name)).unwrap());
        let data: Value = serde_json::from_str(&data).unwrap();
        assert!(check_pointers(&html, &data) > 60, "{options:?}");
        compare_with_commands(&workspace, &data, NOW);
    }
}

/// Compares the document of a page of `at`, with a row per day, with the JSON of the commands.
fn compare_with_commands(workspace: &Workspace, data: &Value, at: &str) {
    // the daily aggregates that the page wrote must not hide a difference
    let json = |arguments: &str| {
        std::fs::remove_dir_all(workspace.store().join("aggregates")).unwrap_or_default();
        workspace.run(&format!("{arguments} --store STORE --format json")).json()
    };
    assert_eq!(data["check"], json(&format!("check --at {at} --no-alert")));
    // without --aws-rate, the reconciliation of the first two windows
    assert_eq!(data["reconcile"], json(&format!("reconcile --at {at} --window 24h,7d")));
    let causes = json(&format!("causes --to {at} --window 7d"));
    let masked = ["example", "unknown", "unknown_bounces"];
    assert_eq!(without(&data["causes"], &masked), without(&causes, &masked));
    // the report has the same rows, with fewer keys
    let report = json(&format!("report --to {at} --from 2026-10-21 --every 1d --window 24h"));
    let rows = report["rows"].as_array().unwrap();
    for row in data["report"]["rows"].as_array().unwrap() {
        let is_same = |other: &&Value| other["to"] == row["to"] && other["scope"] == row["scope"];
        let same = rows.iter().find(is_same).unwrap();
        for (key, value) in row.as_object().unwrap() {
            assert_eq!(value, &same[key], "{key}");
        }
    }
    let stats = json("store stats");
    for key in ["segments", "rows", "first_day", "last_day"] {
        assert_eq!(data["store"][key], stats[key], "{key}");
    }
    let suppress = json(&format!("suppress --at {at}"));
    assert_eq!(data["suppress"]["left_out"], suppress["left_out"]);
    assert_eq!(data["suppress"]["addresses"], suppress["addresses"].as_array().unwrap().len());
}

#[test]
fn groups_have_the_numbers_of_check_and_report() {
    let (workspace, _, data) = page_of("critical");
    let data: Value = serde_json::from_str(&data).unwrap();
    let groups = data["groups"].as_array().unwrap();
    let names: Vec<String> =
        groups.iter().map(|group| group["by"][0].as_str().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        ["identity", "configuration_set", "provider", "recipient_domain", "tag:campaign"]
    );
    for (name, group) in names.iter().zip(groups) {
        std::fs::remove_dir_all(workspace.store().join("aggregates")).unwrap_or_default();
        let check = workspace
            .run(&format!("check --store STORE --at {NOW} --window 24h --by {name} --format json"))
            .json();
        let report = workspace
            .run(&format!("report --store STORE --to {NOW} --from 2026-11-19 --every 1d --window 24h --by {name} --format json"))
            .json();
        for row in group["rows"].as_array().unwrap() {
            let of = |all: &Value, metric: Option<&str>| {
                let is_it = |one: &&Value| {
                    one["scope"] == row["scope"]
                        && metric.is_none_or(|metric| one["metric"] == metric)
                };
                all.as_array().unwrap().iter().find(is_it).unwrap().clone()
            };
            let bounce = of(&check["verdicts"], Some("bounce_rate"));
            for key in ["count", "attempts", "rate", "interval", "sure"] {
                assert_eq!(row[key], bounce[key], "{name} {key}");
            }
            assert_eq!(row["until_critical"], bounce["headroom"]["critical"]);
            let complaint = of(&check["verdicts"], Some("complaint_rate"));
            assert_eq!(
                (&row["complaints"], &row["complaint_rate"]),
                (&complaint["count"], &complaint["rate"])
            );
            let reported = of(&report["rows"], None);
            assert_eq!(row["trend"].as_array().unwrap().last().unwrap(), &reported["bounce_rate"]);
            if name == "provider" {
                for key in ["deliveries", "delivery_rate", "hard", "soft", "delays", "delay_rate"] {
                    assert_eq!(row["outcomes"][key], reported[key], "{key}");
                }
            }
        }
    }
}

/// A check that cannot fail proves nothing: a changed number is found.
#[test]
#[should_panic(expected = "/check/verdicts/0/count")]
fn changed_number_on_the_page_is_found() {
    let (_, html, data) = page_of("critical");
    let data: Value = serde_json::from_str(&data).unwrap();
    let count = value_text(&data["check"]["verdicts"][0]["count"]);
    let number = format!("data-p=\"/check/verdicts/0/count\">{count}<");
    assert!(html.contains(&number), "{number}");
    check_pointers(&html.replace(&number, "data-p=\"/check/verdicts/0/count\">151<"), &data);
}

/// Returns a page without the embedded JSON, which is data: it contains no `<`.
fn without_json(html: &str) -> String {
    let (before, json) = html.split_once("id=\"bouncewatch\">").unwrap_or((html, ""));
    let (json, after) = json.split_once('<').unwrap_or_default();
    assert!(json.is_empty() || json.ends_with('}'), "{json}");
    format!("{before}{after}")
}

#[test]
fn hostile_text_adds_no_element() {
    let (_, hostile, _) = page_of("hostile");
    let (_, plain, _) = page_of("critical");
    for html in [&hostile, &plain] {
        let scripts = html.matches("<script").count();
        assert!(scripts <= 2, "{scripts}");
        let html = without_json(html);
        for forbidden in [
            "<img",
            "<svg onload",
            " onerror=\"",
            " onmouseover=\"",
            " onmouseover='",
            " style=",
            "href=\"javascript",
            "<iframe",
        ] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }
    assert!(!hostile.contains('\u{202e}') && !hostile.contains('\0'));
    let hostile = without_json(&hostile);
    assert!(hostile.contains("x\\u{202e}gpj.exe") && hostile.contains("{{7*7}}"));
    assert!(
        hostile.contains(&format!("{}...", "x".repeat(58))) && !hostile.contains(&"x".repeat(130))
    );
    // each text is escaped where it occurs
    for text in HOSTILE.iter().filter(|text| text.contains('<')) {
        assert!(!hostile.contains(text), "{text}");
    }
}

#[test]
fn pages_stay_within_their_limits() {
    let sample = || {
        let workspace = Workspace::new();
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample");
        workspace.run(&format!("ingest {} --store STORE", sample.display()));
        workspace.run("page --store STORE --at 2026-11-20T00:00:00Z").stdout
    };
    let kib = 1024;
    for (name, limit, html) in [
        ("sample", 120 * kib, sample()),
        ("critical", 120 * kib, page_of("critical").1),
        ("many_groups", 260 * kib, page_of("many_groups").1),
        ("many_groups_top_400", 1_600 * kib, page_of("many_groups_top_400").1),
    ] {
        assert!(html.ends_with("</html>\n") || html.ends_with("</html>"), "{name}");
        assert!(html.len() <= limit, "{name}: {} bytes, limit {limit}", html.len());
    }
}

#[test]
fn page_permits_its_own_style_and_script_only_and_names_no_url() {
    let (_, html, _) = page_of("ok");
    let policy = html.split("http-equiv=\"Content-Security-Policy\" content=\"").nth(1).unwrap();
    let policy = policy.split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("img-src data:; base-uri 'none'; form-action 'none'"), "{policy}");
    let urls = html.matches("http").count();
    let own =
        html.matches("http://www.w3.org/2000/svg").count() + html.matches("http-equiv").count();
    assert_eq!(urls, own);
}

#[test]
fn mail_has_text_html_and_the_page() {
    let workspace = Workspace::new();
    let state = STATES.iter().find(|state| state.name == "many_groups").unwrap();
    (state.fill)(&workspace);
    let output =
        workspace.run(&format!("page --store STORE --at {NOW} --every 1d --mail ops@example.com"));
    assert_eq!(output.exit_code, 0, "{output:?}");
    let (headers, rest) = output.stdout.split_once("\n\n").unwrap();
    assert!(
        headers.starts_with(
            "To: ops@example.com\nSubject: OK: bounce rate 1.00 % in 24h - 123456789012 us-east-1\n"
        ),
        "{headers}"
    );
    let parts: Vec<String> = rest
        .split("Content-Transfer-Encoding: base64\n")
        .skip(1)
        .map(|part| {
            decoded(
                part.split("\n\n")
                    .nth(usize::from(part.starts_with("Content-Disposition")))
                    .unwrap_or(part),
            )
        })
        .collect();
    let [text, html, page] = parts.as_slice() else { panic!("{} parts", parts.len()) };
    assert!(text.starts_with("OK: bounce rate 1.00 % in 24h\n"), "{text}");
    assert!(html.len() <= 90 * 1024, "{}", html.len());
    assert!(!html.contains("<svg") && !html.contains("<style") && !html.contains("<script"));
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>"));
    // both forms have the same numbers
    for number in ["1.00 %", "0.62 % to 1.62 %", "1,600", "16"] {
        assert!(text.contains(number) && html.contains(number), "{number}");
    }
    let refused =
        workspace.command("page --store STORE --mail").arg("a@b\nBcc: x@y").output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
}

/// Decodes lines of base64 up to a boundary.
fn decoded(part: &str) -> String {
    let lines: String = part
        .lines()
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.starts_with("--"))
        .collect();
    let values: Vec<u32> = lines
        .bytes()
        .filter_map(|byte| {
            Some(match byte {
                b'A'..=b'Z' => u32::from(byte - b'A'),
                b'a'..=b'z' => u32::from(byte - b'a') + 26,
                b'0'..=b'9' => u32::from(byte - b'0') + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            })
        })
        .collect();
    let mut bytes = Vec::new();
    for group in values.chunks(4) {
        let number =
            group.iter().fold(0, |number, value| number << 6 | value) << (6 * (4 - group.len()));
        bytes.extend(number.to_be_bytes().get(1..group.len()).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn each_group_has_a_page_with_its_own_numbers() {
    let workspace = Workspace::new();
    let mut feed = String::new();
    for number in 0..2_200 {
        let mail = mail(number);
        feed += &mail.send();
        // only mail of one identity bounces
        feed += &if number % 2 == 1 && number % 11 == 0 { mail.bounce() } else { mail.delivery() };
    }
    workspace.ingest(&feed);
    let output = workspace
        .run(&format!("page --store STORE --at {NOW} --every 1d --each identity -o pages"));
    assert_eq!(output.exit_code, 1, "{output:?}");
    assert!(output.stderr.contains("2 pages and index.html written"), "{output:?}");
    let mut pages: BTreeMap<String, String> = BTreeMap::new();
    for file in std::fs::read_dir(workspace.path("pages")).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        assert!(name == "index.html" || (name.len() == 21 && !name.contains("example")), "{name}");
        pages.insert(name, std::fs::read_to_string(file.path()).unwrap());
    }
    let index = pages.remove("index.html").unwrap();
    assert!(index.contains("<h1>WARNING: 1 of 2 groups at or above a threshold</h1>"), "{index}");
    assert_eq!(pages.len(), 2);
    for (name, page) in &pages {
        assert!(index.contains(&format!("href=\"{name}\"")));
        let is_bad = page.contains("<h1>WARNING: bounce rate 9.09 % in 24h</h1>");
        let is_good = page.contains("<h1>OK: bounce rate 0.00 % in 24h</h1>");
        assert!(is_bad || is_good, "{}", text_of(page));
        assert_eq!(page.contains("shop.example"), is_bad);
        assert_eq!(page.contains(">example.com<"), is_good);
    }
    let missing = workspace.run("page --store STORE --each identity");
    assert_eq!(missing.exit_code, 3, "{missing:?}");
}
