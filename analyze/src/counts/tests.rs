use std::io::Cursor;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, parse_ms};
use polars::prelude::{Column, DataFrame, ParquetWriter};

use crate::alert::test_data::AT;
use crate::counts::{Counts, CountsContext, CountsError, parse};

const CONTEXT: CountsContext = CountsContext { service: Service::Ses, at: AT, counted_from: None };
const HEADER: &str =
    "account,region,service,window,from,to,attempts,denominator,bounces,complaints,newest_event_at";
const ACCOUNT: &str = "123456789012,eu-west-1,ses,24h,2026-11-19T00:00:00Z,2026-11-20T00:00:00Z,957,sends,64,1,2026-11-19T23:59:00Z";

fn parsed(text: &str) -> Result<Counts, CountsError> {
    parse(text.as_bytes().to_vec(), CONTEXT)
}

fn error(text: &str) -> String {
    parsed(text).expect_err(text).to_string()
}

/// The account with one value replaced.
fn changed(column: &str, value: &str) -> String {
    let at = HEADER.split(',').position(|name| name == column).unwrap();
    let mut values: Vec<&str> = ACCOUNT.split(',').collect();
    values[at] = value;
    format!("{HEADER}\n{}\n", values.join(","))
}

/// Account, region, attempts and bounces of the first row.
fn first(counts: &Counts) -> (Vec<Option<String>>, Option<u64>, u64) {
    let (_, scopes) = &counts.groupings[0];
    let ((values, _), one) = scopes.first_key_value().unwrap();
    (values.clone(), one.counts.measured.counts.attempts, one.counts.measured.counts.bounces)
}

#[test]
fn csv_ndjson_and_parquet_are_read_alike() {
    let expected =
        (vec![Some("123456789012".to_owned()), Some("eu-west-1".to_owned())], Some(957), 64);
    let csv = format!("\u{feff}{HEADER}\r\n{}\r\n", ACCOUNT.replace("64", "64.0"));
    let ndjson = format!(
        r#"{{"account":"123456789012","region":"eu-west-1","service":"ses","window":"24h","from":{},"to":{AT},"attempts":957,"denominator":"sends","bounces":64.0,"complaints":1,"newest_event_at":{AT},"by":null}}"#,
        AT - DAY_MS
    );
    for text in [csv, ndjson.clone(), format!("\n{ndjson}\n\n")] {
        let counts = parsed(&text).unwrap();
        assert_eq!((first(&counts), counts.to), (expected.clone(), AT), "{text}");
    }
    let counts = parse(parquet(64.0), CONTEXT).unwrap();
    assert_eq!(first(&counts), expected);
    let text = parse(parquet(f64::NAN), CONTEXT).unwrap_err().to_string();
    assert!(text.starts_with("row 1: `bounces` is not a count: `NaN`"), "{text}");
    let text = parse(b"PAR1 and no more".to_vec(), CONTEXT).unwrap_err().to_string();
    assert!(text.starts_with("the Parquet file cannot be read"), "{text}");
}

/// As engines write it: sums are floats, times are timestamps.
fn parquet(bounces: f64) -> Vec<u8> {
    let text = |name: &str, value: &str| Column::new(name.into(), [value]);
    let time = |name: &str, ms: i64| {
        let column = Column::new(name.into(), [ms * 1_000]);
        let unit = polars::prelude::TimeUnit::Microseconds;
        column.cast(&polars::prelude::DataType::Datetime(unit, None)).unwrap()
    };
    let columns = vec![
        text("account", "123456789012"),
        text("region", "eu-west-1"),
        text("service", "ses"),
        text("window", "24h"),
        time("from", AT - DAY_MS),
        time("to", AT),
        Column::new("attempts".into(), [957_i32]),
        text("denominator", "sends"),
        Column::new("bounces".into(), [bounces]),
        Column::new("complaints".into(), [1_i64]),
        time("newest_event_at", AT),
    ];
    let mut file = Cursor::new(Vec::new());
    let mut frame = DataFrame::new(1, columns).unwrap();
    ParquetWriter::new(&mut file).finish(&mut frame).unwrap();
    file.into_inner()
}

#[test]
fn times_are_rfc_3339_or_as_engines_print_them_or_milliseconds() {
    for text in [
        "2026-11-20T00:00:00Z",
        "2026-11-20 00:00:00+00",
        "2026-11-20 00:00:00.000",
        "2026-11-20 00:00:00.000 UTC",
        "2026-11-20T01:00:00+01:00",
        "1795132800000",
    ] {
        assert_eq!(parse_ms("2026-11-20T00:00:00Z"), Some(AT));
        assert_eq!(parsed(&changed("to", text)).unwrap().to, AT, "{text}");
    }
}

#[test]
fn wrong_value_is_an_error_with_its_line_and_a_hint() {
    for (column, value, expected) in [
        ("attempts", "-1", "`attempts` is not a count: `-1`"),
        ("attempts", "1.5", "`attempts` is not a count"),
        ("attempts", "1e300", "`attempts` is not a count"),
        ("attempts", "9007199254740993", "`attempts` is not a count"),
        ("attempts", "", "only `denominator` has a value"),
        ("bounces", "NaN", "`bounces` is not a count: `NaN`"),
        ("bounces", "inf", "`bounces` is not a count"),
        ("bounces", "", "`bounces` is empty"),
        ("complaints", "none", "`complaints` is not a count"),
        ("denominator", "", "only `attempts` has a value"),
        ("denominator", "send", "unknown `denominator`: `send`"),
        ("denominator", "sent_and_bounced", "unknown `denominator`"),
        ("window", "", "`window` is empty"),
        ("window", "a day", "`window` is not a window: `a day`"),
        ("window", "7d", "`from` of the window 7d is not 2026-11-13T00:00:00.000Z"),
        ("window", "volume:0", "`window` is not a window"),
        ("from", "", "`from` of the window 24h is not"),
        ("from", "2026-11-18T00:00:00Z", "`from` of the window 24h is not"),
        ("to", "yesterday", "`to` is not a time"),
        ("to", "2026-11-20T00:06:00Z", "`to` is after the time of evaluation"),
        ("newest_event_at", "", "`newest_event_at` is empty"),
        ("newest_event_at", "2026-11-20T00:00:01Z", "`newest_event_at` is after `to`"),
        ("service", "workmail", "`service` is not `ses`: `workmail`"),
        ("service", "", "`service` is not `ses`"),
        ("region", "\u{1b}[31m", "no rows"),
    ] {
        let text = changed(column, value);
        if expected == "no rows" {
            // a value with control characters is a value; output escapes it
            assert!(parsed(&text).is_ok());
            continue;
        }
        let error = error(&text);
        assert!(error.starts_with(&format!("line 2: {expected}")), "{column}={value}: {error}");
        assert!(error.contains("\n  hint: "), "{error}");
    }
}

#[test]
fn error_contains_no_email_address() {
    for column in ["bounces", "to", "window", "service", "denominator"] {
        let error = error(&changed(column, "bob@example.com"));
        assert!(!error.contains('@'), "{error}");
    }
    let error = error(&format!("{HEADER},bob@example.com\n{ACCOUNT},1\n"));
    assert!(error.contains("unknown column") && !error.contains('@'), "{error}");
}

#[test]
fn broken_input_is_an_error() {
    let without = |column: &str| HEADER.replace(column, "identity");
    for (text, expected) in [
        (String::new(), "no rows of counts"),
        (format!("{HEADER}\n"), "no rows of counts"),
        ("[{}]".to_owned(), "the input is a JSON array"),
        ("{}\n".to_owned(), "line 1: no column `account`"),
        ("{\"account\":".to_owned(), "line 1: not a JSON object"),
        (format!("{}\n{ACCOUNT}\n", without("complaints")), "line 2: no column `complaints`"),
        (format!("{HEADER},bounces\n{ACCOUNT},1\n"), "line 2: duplicate column: `bounces`"),
        (format!("{HEADER},open_rate\n{ACCOUNT},1\n"), "line 2: unknown column: `open_rate`"),
        (format!("{HEADER}\n{ACCOUNT},1\n"), "line 2: 12 values, but the header has 11 columns"),
        (format!("{HEADER}\n\n{}\n", ACCOUNT.replace(",64", "")), "line 3: 10 values"),
        (format!("{HEADER}\n{ACCOUNT}\n{ACCOUNT}\n"), "line 3: same scope and window as line 2"),
        (
            format!("{HEADER}\n{ACCOUNT}\n{}\n", ACCOUNT.replace("11-20T", "11-19T")),
            "line 3: `newest_event_at` is after `to`",
        ),
        (
            format!(
                "{HEADER}\n{ACCOUNT}\n{}\n",
                ACCOUNT
                    .replace("24h,2026-11-19T00", "1h,2026-11-19T22")
                    .replace("11-20T00", "11-19T23")
                    .replace("23:59", "22:59")
            ),
            "line 3: `to` is not 2026-11-20T00:00:00.000Z, as in the first row",
        ),
    ] {
        let error = error(&text);
        assert!(error.starts_with(expected), "{expected}: {error}");
    }
    let text =
        parse(format!("{HEADER}\n{ACCOUNT}").replace("eu-west", "\u{fffd}").into_bytes(), CONTEXT);
    assert!(text.is_ok(), "{text:?}");
    let mut bytes = format!("{HEADER}\n{ACCOUNT}").into_bytes();
    bytes[HEADER.len() + 3] = 0xff;
    let error = parse(bytes, CONTEXT).unwrap_err().to_string();
    assert!(error.starts_with("line 2: the text is not UTF-8"), "{error}");
}

#[test]
fn groups_need_their_dimensions_and_their_account() {
    let header = format!("{HEADER},by,identity,tag:campaign");
    let text = |rows: &[(&str, &str)]| {
        let row = |(by, values): &(&str, &str)| format!("{ACCOUNT},{by},{values}\n");
        format!("{header}\n{}", rows.iter().map(row).collect::<String>())
    };
    let counts = parsed(&text(&[
        ("", ","),
        ("\"identity,tag:campaign\"", "a,x"),
        ("\"tag:campaign, identity\"", ",y"),
        ("identity", ","),
    ]))
    .unwrap();
    let names: Vec<usize> = counts.groupings.iter().map(|(_, scopes)| scopes.len()).collect();
    assert_eq!(names, [1, 2, 1]);
    assert_eq!(counts.groupings().len(), 2);
    for (rows, expected) in [
        (&[("identity", "a,")][..], "line 2: no row of its account and region in the window 24h"),
        (&[("", "a,")], "line 2: `identity` has a value, but `by` does not contain it"),
        (&[("tenant", ",")], "line 2: `by` contains `tenant`, but there is no such column"),
        (&[("colour", ",")], "line 2: `by` is not a grouping: `colour`"),
        (&[("account", ",")], "line 2: `by` has no dimension below account and region"),
        (
            &[
                ("", ","),
                ("\"identity,tag:campaign\"", "a,x"),
                ("\"tag:campaign,identity\"", "a,x"),
            ],
            "line 4: same scope and window as line 3",
        ),
    ] {
        let error = error(&text(rows));
        assert!(error.starts_with(expected), "{expected}: {error}");
    }
}

#[test]
fn windows_are_sorted_by_length_and_volume_windows_come_last() {
    let row = |window: &str, from: &str| {
        ACCOUNT.replace("24h", window).replace("2026-11-19T00:00:00Z", from)
    };
    let rows = [
        row("volume:500", "2026-11-01T00:00:00Z"),
        row("7d", "2026-11-13T00:00:00Z"),
        row("volume:50", "2026-11-19T20:00:00Z"),
        ACCOUNT.to_owned(),
    ];
    let counts = parsed(&format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
    let windows: Vec<String> = counts.windows().iter().map(ToString::to_string).collect();
    assert_eq!(windows, ["24h", "7d", "volume:50", "volume:500"]);
    let error = error(&format!("{HEADER}\n{}\n", row("volume:50", "")));
    assert!(error.contains("`from` of the window volume:50 does not match `attempts`"), "{error}");
}

#[test]
fn start_of_counting_shortens_the_window() {
    let context = CountsContext { counted_from: Some(AT - 3_600_000), ..CONTEXT };
    let full = format!("{HEADER}\n{ACCOUNT}\n");
    let error = parse(full.clone().into_bytes(), context).unwrap_err().to_string();
    assert!(error.contains("is not 2026-11-19T22:59:59.999Z"), "{error}");
    let short = full.replace("2026-11-19T00:00:00Z", "2026-11-19T22:59:59.999Z");
    assert!(parse(short.into_bytes(), context).is_ok());
}

#[test]
fn counts_above_the_attempts_are_accepted_and_counted() {
    // the mail of late feedback was sent before the window
    let counts = parsed(&changed("attempts", "63")).unwrap();
    assert_eq!(counts.above_attempts(), 1);
    assert_eq!(parsed(&changed("attempts", "64")).unwrap().above_attempts(), 0);
}
