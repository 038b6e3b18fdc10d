//! Whom not to mail again: nobody for the fault of others, whatever the code says; who comes off the list; lists of others.

use bouncewatch_schemas::cause::{Cause, Fault};
use serde_json::{Value, json};

use crate::command::{Place, Said};
use crate::failures::{Bounce, FULL, HARD, SOFT, bounce};
use crate::messages::{Message, NOW, message};

fn suppress(place: &Place, further: &str) -> Said {
    let said = place.run(&format!("suppress --store STORE --at {NOW} {further}"));
    assert_eq!(said.code, 0, "{said:?}");
    said
}

/// Address, reason and count of all.
fn told(place: &Place, further: &str) -> Vec<Value> {
    let answer = suppress(place, &format!("--format json {further}")).json();
    let all = answer["addresses"].as_array().unwrap();
    all.iter().map(|one| json!([one["address"], one["reason"], one["count"]])).collect()
}

/// Texts that people labelled, each as a hard bounce of an address of its own, and each three times on different days. Not
/// one about the sender, the content, a policy, a rate or the way may put an address on the list.
#[test]
fn nobody_is_listed_for_the_fault_of_others() {
    let place = Place::new();
    let texts = include_str!("../../fixtures/causes/texts.tsv");
    let days = ["2026-11-10T12:00:00.000Z", "2026-11-12T12:00:00.000Z", "2026-11-14T12:00:00.000Z"];
    let mut labels: Vec<Cause> = Vec::new();
    let mut events = String::new();
    for line in texts.lines().filter(|line| !line.starts_with('#')) {
        let mut columns = line.split('\t');
        labels.push(columns.next().and_then(Cause::from_word).unwrap());
        let text = columns.nth(1).unwrap().replace("\\n", "\n");
        for (day, at) in days.into_iter().enumerate() {
            let number = labels.len();
            let to = format!("u{number}@example.org");
            events.push_str(&Bounce { at, ..bounce(&to, HARD, &text) }.event(number * 10 + day));
        }
    }
    place.ingest(&events);
    let listed = told(&place, "");
    let mut listed_by_cause = vec![0; Cause::ALL.len()];
    for one in &listed {
        let number: usize =
            one[0].as_str().unwrap().split(['u', '@']).nth(1).unwrap().parse().unwrap();
        let label = labels[number - 1];
        let is_about_recipient =
            matches!(label.fault(), Fault::RecipientAddress | Fault::RecipientMailbox)
                || matches!(label, Cause::NetworkTimeout | Cause::RelayDenied);
        assert!(
            is_about_recipient,
            "{label:?}: {}",
            texts.lines().filter(|line| !line.starts_with('#')).nth(number - 1).unwrap()
        );
        let at_once = one[1] == "hard_bounce";
        assert!(
            !at_once || !matches!(label, Cause::NetworkTimeout | Cause::RelayDenied),
            "{one} {label:?}"
        );
        listed_by_cause[label as usize] += 1;
    }
    // and it is no list that is always empty
    for cause in
        [Cause::MailboxUnknown, Cause::MailboxDisabled, Cause::MailboxFull, Cause::DomainInvalid]
    {
        let all = labels.iter().filter(|label| **label == cause).count();
        assert!(
            listed_by_cause[cause as usize] * 10 >= all * 8,
            "{cause:?}: {} of {all}",
            listed_by_cause[cause as usize]
        );
    }
}

fn delivered(to: &str, number: usize, at: &'static str) -> String {
    Message { to: to.to_owned(), at, ..message(number) }.delivery()
}

fn complaint(to: &[&str], number: usize, kind: &str, subtype: Option<&str>) -> String {
    let listed: Vec<Value> = to.iter().map(|to| json!({"emailAddress": to})).collect();
    let detail = json!({"timestamp": "2026-11-18T10:00:00.000Z", "complainedRecipients": listed,
        "complaintFeedbackType": kind, "complaintSubType": subtype});
    Message { to: to[0].to_owned(), at: "2026-11-18T09:00:00.000Z", ..message(number) }.event(
        "Complaint",
        "complaint",
        &detail,
    )
}

#[test]
fn who_is_listed_and_who_comes_off() {
    let unknown = "550 5.1.1 user unknown";
    let full = "452 4.2.2 mailbox full";
    let on = |at: &'static str, to: &str, ses, text: &str, number: usize| {
        Bounce { at, ..bounce(to, ses, text) }.event(number)
    };
    let [d1, d2, d3, d4] = [
        "2026-11-01T12:00:00.000Z",
        "2026-11-05T12:00:00.000Z",
        "2026-11-10T12:00:00.000Z",
        "2026-11-12T12:00:00.000Z",
    ];
    let (soon, within_the_hour) = ("2026-11-01T13:00:00.001Z", "2026-11-01T13:00:00.000Z");
    for (what, events, expected) in [
        ("dead", on(d1, "a@example.org", HARD, unknown, 1), json!([["a@example.org", "hard_bounce", 1]])),
        ("delivered later", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, soon), json!([])),
        ("clocks", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, within_the_hour), json!([["a@example.org", "hard_bounce", 1]])),
        // the remote server took the mail, and sent it back
        ("the same message", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 1, d2), json!([["a@example.org", "hard_bounce", 1]])),
        ("another's", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("b@example.org", 2, d2), json!([["a@example.org", "hard_bounce", 1]])),
        ("after now", on(d1, "a@example.org", HARD, unknown, 1) + &delivered("a@example.org", 2, "2026-11-20T00:00:00.001Z"), json!([["a@example.org", "hard_bounce", 1]])),
        ("dead after now", on("2026-11-20T00:00:00.001Z", "a@example.org", HARD, unknown, 1), json!([])),
        ("copies", on(d1, "a@example.org", HARD, unknown, 1).repeat(3), json!([["a@example.org", "hard_bounce", 1]])),
        ("full twice", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2), json!([])),
        ("full three times", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2) + &on(d3, "a@example.org", FULL, full, 3), json!([["a@example.org", "repeated_failure", 3]])),
        ("emptied between", on(d1, "a@example.org", FULL, full, 1) + &on(d2, "a@example.org", FULL, full, 2) + &delivered("a@example.org", 9, d3) + &on(d4, "a@example.org", FULL, full, 3), json!([])),
        ("full for good", on(d1, "a@gmail.com", FULL, "552 5.2.2 The email account that you tried to reach is over quota and inactive. https://support.google.com/mail/?p=OverQuotaPerm x - gsmtp", 1), json!([["a@gmail.com", "hard_bounce", 1]])),
        ("on the list already", on(d1, "a@example.org", ("Permanent", "OnAccountSuppressionList"), "", 1), json!([])),
        ("out of office", Message { to: "a@example.org".to_owned(), ..message(1) }.event("Bounce", "bounce", &json!({"bounceType": "Transient", "bounceSubType": "General", "timestamp": d1, "bouncedRecipients": [{"emailAddress": "a@example.org"}]})), json!([])),
        ("simulator", on(d1, "bounce@simulator.amazonses.com", HARD, unknown, 1), json!([])),
        ("complaint", complaint(&["a@example.org"], 1, "abuse", None) + &delivered("a@example.org", 2, "2026-11-19T12:00:00.000Z"), json!([["a@example.org", "complaint", 1]])),
        ("not spam", complaint(&["a@example.org"], 1, "not-spam", None), json!([])),
        ("held back", complaint(&["a@example.org"], 1, "abuse", Some("OnAccountSuppressionList")), json!([])),
        ("a complaint is worse", on(d1, "a@example.org", HARD, unknown, 1) + &complaint(&["a@example.org"], 2, "abuse", None), json!([["a@example.org", "complaint", 1]])),
        ("soft domain", on(d1, "a@hotmial.it", SOFT, "550 5.4.4 Invalid domain", 1), json!([["a@hotmial.it", "hard_bounce", 1]])),
    ] {
        let place = Place::new();
        place.ingest(&events);
        assert_eq!(json!(told(&place, "")), expected, "{what}");
    }
}

#[test]
fn soft_failures_are_counted_as_told() {
    let place = Place::new();
    let full = |at, number| {
        Bounce { at, ..bounce("a@example.org", FULL, "452 4.2.2 mailbox full") }.event(number)
    };
    place.ingest(&(full("2026-11-05T12:00:00.000Z", 1) + &full("2026-11-15T12:00:00.000Z", 2)));
    for (words, count) in
        [("", 0), ("--soft 2", 1), ("--soft 2 --soft-days 10", 0), ("--soft 1 --soft-days 5", 1)]
    {
        assert_eq!(told(&place, words).len(), count, "{words}");
    }
    let one = suppress(&place, "--soft 2 --format json").json()["addresses"][0].clone();
    assert_eq!(
        (&one["first_at"], &one["last_at"], &one["expires_at"]),
        (
            &json!("2026-11-05T12:00:00.000Z"),
            &json!("2026-11-15T12:00:00.000Z"),
            &json!("2026-12-05T12:00:00.000Z")
        )
    );
    // on that moment it is over
    let at = |at: &str| {
        place.run(&format!("suppress --store STORE --soft 2 --format txt --at {at}")).out
    };
    assert_eq!(at("2026-12-05T11:59:59.999Z"), "a@example.org\n");
    assert_eq!(at("2026-12-05T12:00:00.000Z"), "");
}

#[test]
fn a_complaint_may_be_of_one_of_several() {
    let place = Place::new();
    place.ingest(&complaint(&["a@example.org", "b@example.org"], 1, "abuse", None));
    let answer = suppress(&place, "--format json").json();
    assert_eq!(answer["addresses"][1]["evidence"], "complaint (abuse), of one of 2 recipients");
    assert_eq!(
        suppress(&place, "--format ses").out,
        "a@example.org,COMPLAINT\nb@example.org,COMPLAINT\n"
    );
}

#[test]
fn lists_of_others_are_compared() {
    let place = Place::new();
    let dead = |to: &str, number| bounce(to, HARD, "550 5.1.1 user unknown").event(number);
    place.ingest(
        &(dead("a@example.org", 1)
            + &dead("b@example.org", 2)
            + &delivered("c@example.org", 3, "2026-11-18T12:00:00.000Z")),
    );
    let ses = r#"{"SuppressedDestinationSummaries": [{"EmailAddress": "B@example.org", "Reason": "BOUNCE"},
        {"EmailAddress": "c@example.org", "Reason": "BOUNCE"}], "NextToken": "x"}"#;
    for (name, text) in [
        ("ses.json", ses),
        ("list.txt", "b@example.org\nc@example.org\n"),
        ("list.csv", "address,why\nb@example.org,x\nc@example.org,\"y, z\"\n"),
    ] {
        std::fs::write(place.path(name), text).unwrap();
        let said = suppress(&place, &format!("--format txt --diff {name}"));
        assert_eq!(said.out, "+ a@example.org\n- c@example.org\n", "{name}");
        assert_eq!(said.err.contains("NextToken"), name == "ses.json", "{said:?}");
    }
    let json = suppress(&place, "--format json --diff list.txt").json();
    assert_eq!(json["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(
        json["without_evidence"],
        json!([{"address": "c@example.org", "delivered_at": "2026-11-18T12:00:00.000Z"}])
    );
    let said = suppress(&place, "--format ses --diff list.txt");
    assert_eq!(said.out, "a@example.org,BOUNCE\n");
    // and the answer of one run is a list for the next
    for format in ["csv", "json", "txt", "ses"] {
        suppress(&place, &format!("--format {format} -o own"));
        assert_eq!(suppress(&place, "--format txt --diff own").out, "", "{format}");
    }
    std::fs::write(place.path("wrong.json"), "{\"a\": 1}").unwrap();
    let said = place.run("suppress --store STORE --diff wrong.json");
    assert!(
        said.code == 2 && said.err.contains("wrong.json") && said.err.contains("hint:"),
        "{said:?}"
    );
}

#[test]
fn hashed_addresses_are_listed_and_dropped_ones_cannot_be() {
    let place = Place::new();
    std::fs::write(place.path("key"), "0123456789abcdef0123456789abcdef").unwrap();
    std::fs::write(place.path("c.toml"), "[addresses]\npolicy = \"hash\"\nkey_file = \"key\"\n")
        .unwrap();
    let dead = bounce("anna@gmial.com", HARD, "550 5.1.1 <anna@gmial.com>: user unknown").event(1);
    let taken = place.run_with("ingest - --config c.toml --store STORE", &dead);
    assert_eq!(taken.code, 0, "{taken:?}");
    let taken = place.run_with(
        "ingest - --addresses drop --store STORE",
        &bounce("bob@example.org", HARD, "550 5.1.1 user unknown").event(2),
    );
    assert_eq!(taken.code, 0, "{taken:?}");
    let said = suppress(&place, "");
    let line = said.out.lines().nth(1).unwrap();
    assert!(
        line.starts_with("h-")
            && line.contains("@gmial.com,hard_bounce")
            && line.contains(",gmail.com,"),
        "{said:?}"
    );
    assert!(!said.out.contains("anna") && said.out.lines().count() == 2, "{said:?}");
    assert!(
        said.err.contains("1 failures for good are of addresses that were dropped"),
        "{said:?}"
    );
    let ses = suppress(&place, "--format ses");
    assert!(ses.out.is_empty() && ses.err.contains("1 addresses are stored as hashes"), "{ses:?}");
}
