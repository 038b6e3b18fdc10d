//! Thresholds by scope and small volumes, and the forms of a check for Nagios and Prometheus.

use serde_json::{Value, json};

use crate::command::Place;
use crate::messages::{Message, NOW, message, sent_and_bounced};
use crate::watch::parsed;

fn with_settings(place: &Place, settings: &str, words: &str) -> crate::command::Said {
    std::fs::write(place.path("settings.toml"), settings).unwrap();
    place
        .run(&format!("--config settings.toml check --store STORE --at {NOW} --window 24h {words}"))
}

/// The level and thresholds of the bounce rate of a scope with so many words.
fn bounce(said: &crate::command::Said, words: usize) -> Value {
    let found = said.json();
    let verdicts = found["verdicts"].as_array().unwrap();
    let is_it = |verdict: &&Value| {
        verdict["metric"] == "bounce_rate" && verdict["scope"].as_object().unwrap().len() == words
    };
    let verdict = verdicts.iter().find(is_it).unwrap();
    json!([verdict["level"], verdict["warning"], verdict["critical"], verdict["minimum_volume"]])
}

#[test]
fn a_scope_has_thresholds_of_its_own() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(600, 24));
    let settings = r#"
        by = ["identity", "identity,tag:campaign"]
        [[threshold]]
        metric = "bounce_rate"
        identity = "example.com"
        warning = 0.01
        critical = 0.02
        minimum_volume = 500
        [[threshold]]
        metric = "bounce_rate"
        identity = "example.com"
        campaign = "spring"
        warning = 0.03
        critical = 0.2
    "#;
    let said = with_settings(&place, settings, "--format json");
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(bounce(&said, 2), json!(["ok", 0.05, 0.1, 1000]));
    assert_eq!(bounce(&said, 3), json!(["critical", 0.01, 0.02, 500]));
    assert_eq!(bounce(&said, 4), json!(["ok", 0.03, 0.2, 1000]));
    // what no cut looks at is told
    let said = with_settings(&place, &settings.replace("by = [", "by = [] #"), "");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err
            .contains("the [[threshold]] for bounce_rate of identity=example.com is not looked at"),
        "{said:?}"
    );
    let shown = place.run("--config settings.toml config show").out;
    assert!(
        shown.contains("[[threshold]]") && shown.contains("identity = \"example.com\""),
        "{shown}"
    );
    // and what is shown can be read again
    std::fs::write(place.path("shown.toml"), &shown).unwrap();
    assert_eq!(place.run("--config shown.toml config show").out, shown);
}

#[test]
fn settings_that_make_no_sense_are_told() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(10, 0));
    let rule = |further: &str| format!("[[threshold]]\nmetric = \"bounce_rate\"\n{further}");
    for (settings, told) in [
        (rule("warning = 0.1\ncritical = 0.2"), "it names no scope"),
        (rule("colour = \"red\"\nwarning = 0.1\ncritical = 0.2"), "cannot cut by `colour`"),
        (
            rule("identity = \"a\"\nwarning = 0.3\ncritical = 0.2"),
            "[[threshold]] of bounce_rate identity=a needs",
        ),
        (rule("identity = \"a\"\nwarning = 0.1"), "missing field `critical`"),
        (
            rule("identity = \"a\"\nwarnin = 0.1\nwarning = 0.1\ncritical = 0.2"),
            "invalid type: floating point",
        ),
        ("[alert]\nclear_below = 1.5".to_owned(), "clear_below"),
        ("[alert]\nclear_after = \"soon\"".to_owned(), "clear_after"),
        ("[alert]\npager = \"x\"".to_owned(), "unknown field `pager`"),
    ] {
        let said = with_settings(&place, &settings, "");
        assert_eq!(said.code, 3, "{settings}: {said:?}");
        assert!(said.err.contains(told), "{settings}: {said:?}");
    }
}

#[test]
fn one_bounce_of_a_small_scope_is_no_alarm() {
    for (sent, bounced, of_domain) in
        [(1, 1, "ok"), (4, 4, "ok"), (20, 2, "ok"), (20, 15, "critical"), (5, 5, "critical")]
    {
        let place = Place::new();
        place.ingest(&sent_and_bounced(sent, bounced));
        let words = format!("check --store STORE --at {NOW} --by recipient_domain --format json");
        let verdicts = place.run(&words).json()["verdicts"].as_array().unwrap().clone();
        let level = |is_domain: bool| {
            let is_asked = |one: &&serde_json::Value| {
                one["metric"] == "bounce_rate"
                    && one["scope"]["recipient_domain"].is_string() == is_domain
            };
            verdicts.iter().find(is_asked).unwrap()["level"].clone()
        };
        assert_eq!(level(true), of_domain, "{bounced} of {sent}");
        // a whole account is one scope: there a sure rate is enough
        let of_account = if bounced == 2 { "ok" } else { "critical" };
        assert_eq!(level(false), of_account, "{bounced} of {sent}");
    }
}

/// Two accounts' worth of trouble: a warning, and a campaign of a hostile name.
fn hostile() -> Place {
    let place = Place::new();
    let campaign = "it's 50 % off | now=1\n\"\\'%s $HOME";
    let of = |number: usize| Message { tags: json!({"campaign": [campaign]}), ..message(number) };
    let sends = (0..1_000).map(|number| of(number).send());
    place.ingest(&sends.chain((0..62).map(|number| of(number).bounce())).collect::<String>());
    place
}

#[test]
fn nagios_reads_one_line() {
    let place = hostile();
    let said = place.run(&format!(
        "check --store STORE --at {NOW} --window 24h --by tag:campaign --format nagios"
    ));
    insta::assert_snapshot!("nagios", said.whole());
    assert_eq!(said.out.lines().count(), 1);
    // one bar; then labels in quotes, each followed by value;warn;crit;min;max
    let (text, data) = said.out.trim_end().split_once(" | ").unwrap();
    assert!(!text.contains('|') && !data.contains('|'));
    let mut rest = data;
    let mut labels = 0;
    while let Some(quoted) = rest.strip_prefix('\'') {
        let end = quoted.replace("''", "__").find('\'').unwrap();
        let (label, after) = quoted.split_at(end);
        assert!(!label.contains('='), "{label}");
        let values = after.strip_prefix("'=").unwrap();
        let (values, next) = values.split_once(' ').unwrap_or((values, ""));
        let numbers: Vec<&str> = values.split(';').collect();
        assert_eq!(numbers.len(), 5, "{values}");
        assert!(
            numbers[0].ends_with('%') && numbers[0].trim_end_matches('%').parse::<f64>().is_ok()
        );
        assert!(numbers[1..].iter().all(|number| number.parse::<f64>().is_ok()), "{values}");
        (labels, rest) = (labels + 1, next);
    }
    assert_eq!((labels, rest), (4, ""));
}

#[test]
fn nagios_of_what_is_unknown_and_of_what_is_much() {
    let place = Place::new();
    place.ingest(&(0..30).map(|number| message(number).bounce()).collect::<String>());
    let said = place.run(&format!("check --store STORE --at {NOW} --window 24h --format nagios"));
    assert_eq!(said.code, 3);
    assert!(
        said.out.starts_with("BOUNCEWATCH UNKNOWN: bounce rate unknown (30 of an unknown number)"),
        "{said:?}"
    );
    assert!(said.out.contains("us-east-1'=U;5;10;0;100"), "{said:?}");
    // a line that is too long is cut between rates, and says so
    let place = Place::new();
    let many = (0..200).map(|number| {
        Message { tags: json!({"campaign": [format!("campaign-{number}")]}), ..message(number) }
            .send()
    });
    place.ingest(&many.collect::<String>());
    let said = place.run(&format!(
        "check --store STORE --at {NOW} --window 24h --by tag:campaign --format nagios"
    ));
    assert!(said.out.len() <= 4_000 && said.out.contains(" of 402 rates)"), "{said:?}");
    assert!(said.out.trim_end().ends_with(";0;100"), "{said:?}");
}

#[test]
fn prometheus_reads_metrics() {
    let place = hostile();
    let words = format!(
        "check --store STORE --at {NOW} --window 24h,7d --by tag:campaign --by tenant --format prometheus"
    );
    let said = place.run(&words);
    assert_eq!(said.code, 1, "{said:?}");
    let families = parsed(&said.out, "text");
    let names: Vec<&str> = families.iter().map(|family| family["name"].as_str().unwrap()).collect();
    assert!(
        names.len() > 15 && names.iter().all(|name| name.starts_with("bouncewatch_")),
        "{names:?}"
    );
    let mut series = std::collections::BTreeSet::new();
    for family in &families {
        assert_eq!(family["type"], "gauge", "{family}");
        assert!(family["help"].as_str().unwrap().ends_with('.'), "{family}");
        for sample in family["samples"].as_array().unwrap() {
            assert!(
                series.insert(sample.to_string().rsplit_once(',').unwrap().0.to_owned()),
                "twice: {sample}"
            );
        }
    }
    let samples = |name: &str| -> Vec<Value> {
        let family = families.iter().find(|family| family["name"] == format!("bouncewatch_{name}"));
        family.map_or_else(Vec::new, |family| family["samples"].as_array().unwrap().clone())
    };
    // account, campaign, and mail without a tenant, in two windows
    assert_eq!(samples("bounce_ratio").len(), 6);
    assert!(samples("bounce_ratio").iter().all(|sample| sample[2] == 0.062));
    assert_eq!(samples("bounces")[0][2], 62.0);
    assert_eq!(samples("check_status")[0][2], 1.0);
    assert_eq!(samples("check_timestamp_seconds")[0][2], 1_795_132_800.0);
    assert_eq!(samples("feed_newest_event_timestamp_seconds")[0][2], 1_795_129_200.0);
    assert!(
        samples("bounce_ratio").iter().any(|sample| {
            sample[1]["tag_campaign"] == "it's 50 % off | now=1\\u{a}\"\\'%s $HOME"
        }),
        "{}",
        said.out
    );

    // a file that appears when it is whole, for the collector of node_exporter
    assert_eq!(place.run(&format!("{words} -o bouncewatch.prom")).code, 1);
    assert_eq!(std::fs::read_to_string(place.path("bouncewatch.prom")).unwrap(), said.out);
    // unknown is absent
    let place = Place::new();
    place.ingest(&message(1).bounce());
    let said =
        place.run(&format!("check --store STORE --at {NOW} --window 24h --format prometheus"));
    assert_eq!(said.code, 3);
    assert!(
        !said.out.contains("bouncewatch_bounce_ratio") && !said.out.contains("attempts{"),
        "{said:?}"
    );
    assert!(
        said.out.contains("bouncewatch_bounce_level") && said.out.contains("} 3\n"),
        "{said:?}"
    );
}
