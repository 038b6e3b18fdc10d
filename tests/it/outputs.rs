//! What people and programs see: each form of each answer, hostile text in them, and the small rules of a good command.

use std::process::Stdio;

use serde_json::json;

use crate::command::{Place, said};
use crate::messages::{Message, NOW, message, sent_and_bounced};

fn report(place: &Place, further: &str) -> crate::command::Said {
    place.run(&format!(
        "report --store STORE --from 2026-11-18 --to {NOW} --every 1d --window 24h {further}"
    ))
}

#[test]
fn a_report_in_each_form() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(200, 7));
    insta::assert_snapshot!("report_table", report(&place, "--by tag:campaign").whole());
    insta::assert_snapshot!(
        "report_csv",
        report(&place, "--by identity --by recipient_domain --format csv").whole()
    );
    insta::assert_snapshot!("report_json", report(&place, "--format json").whole());
    let parquet = place.command(&format!(
        "report --store STORE --from 2026-11-18 --to {NOW} --format parquet -o r.parquet"
    ));
    let mut parquet = parquet;
    assert_eq!(said(parquet.output().unwrap()).code, 0);
    assert!(std::fs::read(place.path("r.parquet")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn strangers_write_neither_formulas_nor_control_characters() {
    let place = Place::new();
    let hostile = Message {
        tags: json!({"campaign": ["=HYPERLINK(\"http://x\")\u{1b}[31m,\u{202e}"]}),
        ..message(1)
    };
    place.ingest(&hostile.send());
    let csv = report(&place, "--by tag:campaign --format csv").out;
    assert!(csv.contains("\"'=HYPERLINK"), "{csv}");
    let table = report(&place, "--by tag:campaign").out;
    assert!(!table.contains('\u{1b}') && !table.contains('\u{202e}'), "{table:?}");
}

#[test]
fn what_an_ingest_says() {
    let place = Place::new();
    let events = sent_and_bounced(3, 1)
        + "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\"}\n<html>\u{1b}[2J\n{\"eventType\":\"Teleport\",\"mail\":{\"messageId\":\"m\"}}\n";
    let told = place.run_with("ingest - --store STORE", &events).whole();
    let told = told.split_once(", in ").unwrap().0.to_owned() + told.split_once(" s\n").unwrap().1;
    insta::assert_snapshot!("ingest_table", told);
    let list = place.run("store quarantine list --store STORE --bodies");
    assert_eq!(list.code, 0);
    let without_times: Vec<&str> = list
        .out
        .lines()
        .map(|line| line.split_once("Z  ").map_or(line, |(_, rest)| rest))
        .collect();
    insta::assert_snapshot!("quarantine_list", without_times.join("\n"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(50, 2));
    let mut command = place.command(&format!(
        "report --store STORE --from 2020-01-01 --to {NOW} --every 1h --format csv"
    ));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = said(child.wait_with_output().unwrap());
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));
}

#[test]
fn settings_are_strict() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(1_000, 30));
    let with = |text: &str| {
        std::fs::write(place.path("c.toml"), text).unwrap();
        place.run(&format!("check --config c.toml --store STORE --at {NOW}"))
    };
    assert_eq!(with("[bounce]\nwarning = 0.03\n").code, 1);
    assert_eq!(with("store = 'elsewhere'\nown_domains = ['example.org']\n").code, 3);
    for (text, names) in [
        ("wimdows = []", "wimdows"),
        ("[bounce]\nwarning = 5\n", "fractions"),
        ("windows = [", "TOML"),
    ] {
        let failed = with(text);
        assert_eq!(failed.code, 3, "{failed:?}");
        assert!(failed.err.contains(names) && failed.err.contains("c.toml"), "{failed:?}");
    }
    assert_eq!(place.run("config show").code, 0);
    assert!(place.run("config init").out.contains("minimum_volume = 1000"));
}

#[test]
fn files_that_cannot_be_read_are_named_and_the_others_are_taken() {
    let place = Place::new();
    std::fs::create_dir(place.path("in")).unwrap();
    std::fs::write(place.path("in/a.ndjson"), sent_and_bounced(5, 0)).unwrap();
    std::fs::write(place.path("in/b.parquet"), b"PAR1....PAR1").unwrap();
    std::fs::write(place.path("in/c.gz"), [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).unwrap();
    let said = place.run("ingest in --store STORE --format json");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("b.parquet` is a Parquet file") && said.err.contains("c.gz"),
        "{said:?}"
    );
    assert_eq!(said.json()["rows"], 5);
}

#[test]
fn a_cause_is_told_once() {
    let place = Place::new();
    std::fs::write(place.path("file"), "").unwrap();
    let said = place.run_with("ingest - --store file/below", "");
    assert_eq!((said.code, said.err.matches("os error").count()), (2, 1), "{said:?}");
}

#[test]
fn bash_completes_what_is_typed() {
    let place = Place::new();
    let said = place.run("completions bash");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let ask = r#"COMP_WORDS=(bouncewatch ingest --sto); COMP_CWORD=2; _bouncewatch bouncewatch --sto ingest; echo "${COMPREPLY[@]}""#;
    let script = format!("{}\n{ask}", said.out);
    let answer = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8(answer.stdout).unwrap(), "--store\n");
}

#[test]
fn an_answer_goes_into_a_pipe_and_replaces_no_device() {
    let place = Place::new();
    place.ingest(&sent_and_bounced(50, 2));
    let said = place.run(&format!("check --store STORE --at {NOW} -o /dev/null"));
    assert_eq!((said.code, said.out.as_str()), (0, ""), "{said:?}");
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    let said = place.run(&format!("check --store STORE --at {NOW} -o -"));
    assert!(said.out.starts_with("OK"), "{said:?}");
    for words in ["--config c.toml check --nope", "--log-format json check --nope"] {
        assert_eq!(place.run(words).code, 3, "{words}");
    }
    for own in [".own.example", "@own.example", "own.example."] {
        assert_eq!(
            place.run(&format!("check --store STORE --at {NOW} --own-domain {own}")).code,
            0
        );
    }
    assert_eq!(place.run(&format!("check --store STORE --at {NOW} --own-domain a,b")).code, 3);
}
