//! Timestamps in all formats that AWS services write, days and durations. A time is in milliseconds since 1970-01-01
//! UTC.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// Milliseconds of one day.
pub const DAY_MS: i64 = 86_400_000;

/// Plausible times of an event: 2000 to 2200. Other values are not timestamps.
const PLAUSIBLE_MS: std::ops::Range<i64> = 946_684_800_000..7_258_118_400_000;

/// Parses a timestamp: RFC 3339 with `T` or a space, with or without seconds, fraction and zone (default: UTC), the basic
/// format of ISO 8601, RFC 2822, a date, the forms of web server logs, of C, Go, Java, JavaScript and .NET, or seconds,
/// milliseconds, microseconds or nanoseconds since 1970. Fractions of a millisecond are truncated. `None` if the time is not in the
/// years 2000 to 2199.
pub fn parse_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let ms = parse_common(text.as_bytes())
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_millis()))
        .or_else(|| parse_other(text))?;
    PLAUSIBLE_MS.contains(&ms).then_some(ms)
}

/// Fast path for `YYYY-MM-DDThh:mm:ss[.SSS]Z`, the format of almost all timestamps.
fn parse_common(text: &[u8]) -> Option<i64> {
    let millis = match text.len() {
        24 if text[19] == b'.' && text[23] == b'Z' => digits(&text[20..23])?,
        20 if text[19] == b'Z' => 0,
        _ => return None,
    };
    let separators = [text[4], text[7], text[10], text[13], text[16]];
    if separators != *b"--T::" {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(&text[0..4])?).ok()?,
        digits(&text[5..7])?,
        digits(&text[8..10])?,
    )?;
    let time = date.and_hms_milli_opt(
        digits(&text[11..13])?,
        digits(&text[14..16])?,
        digits(&text[17..19])?,
        millis,
    )?;
    Some(time.and_utc().timestamp_millis())
}

/// Parses ASCII digits.
fn digits(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0_u32, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Maximum length of a time, bytes.
const TEXT_BYTES_MAX: usize = 96;

/// Formats of dates and times, without the zone.
const FORMATS: [&str; 14] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y%m%dT%H%M%S%.f",
    "%d/%b/%Y:%H:%M:%S",
    "%a, %d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S UTC %Y",
    "%a %b %d %H:%M:%S GMT %Y",
    "%a %b %d %Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
];

/// Parses all formats except RFC 3339.
fn parse_other(text: &str) -> Option<i64> {
    if text.len() > TEXT_BYTES_MAX || !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    // up to the year 5138 seconds have at most 11 digits, milliseconds 14, and microseconds 17; from 1973 milliseconds
    // have at least 12, microseconds 15, and nanoseconds 18
    if let Ok(number) = text.parse::<i64>() {
        return Some(match number.unsigned_abs() {
            0..100_000_000_000 => number * 1_000,
            100_000_000_000..100_000_000_000_000 => number,
            100_000_000_000_000..100_000_000_000_000_000 => number / 1_000,
            _ => number / 1_000_000,
        });
    }
    if let Ok(number) = text.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a saturated value is not plausible and is rejected"
        )]
        return Some(if number.abs() < 1e11 { number * 1000.0 } else { number } as i64);
    }
    // .NET: `/Date(1794992405000)/`
    if let Some(inner) = text.strip_prefix("/Date(").and_then(|text| text.strip_suffix(")/")) {
        let end = inner.rfind(['+', '-']).filter(|at| *at > 0).unwrap_or(inner.len());
        return inner.get(..end)?.parse().ok();
    }
    // JavaScript writes the name of the zone after its offset, in parentheses
    let text = text
        .strip_suffix(')')
        .and_then(|text| text.split_once(" ("))
        .map_or(text, |(time, _)| time);
    // so does Java, in brackets
    let named = text.strip_suffix(']').and_then(|text| text.split_once('['));
    let (time, offset) = split_zone(named.map_or(text, |(time, _)| time));
    if offset.is_none() && named.is_some() {
        return None;
    }
    let time = decimal_point(time);
    let local = FORMATS.iter().find_map(|form| NaiveDateTime::parse_from_str(&time, form).ok());
    let local = local.or_else(|| {
        let date = NaiveDate::parse_from_str(&time, "%Y-%m-%d").ok();
        date.filter(|_| offset.is_none())?.and_hms_opt(0, 0, 0)
    });
    Some(local?.and_utc().timestamp_millis() - offset.unwrap_or_default())
}

/// Splits a time into the part before its zone, and the offset of the zone in milliseconds: `UTC`, `GMT`, `UT`, `Z`, or
/// a sign and two or four digits of hours and minutes.
fn split_zone(text: &str) -> (&str, Option<i64>) {
    if let Some(time) =
        ["UTC", "GMT", "UT", "Z", "z"].iter().find_map(|zone| text.strip_suffix(zone))
    {
        return (time.trim_end(), Some(0));
    }
    // the sign of an offset follows the time of day, a hyphen of a date does not
    let Some(sign) = text
        .rfind(['+', '-'])
        .filter(|at| text.get(..*at).is_some_and(|time| time.contains(':') || time.contains('T')))
    else {
        return (text, None);
    };
    let (time, zone) = text.split_at(sign);
    let numbers: String = zone.chars().skip(1).filter(|c| *c != ':').collect();
    let (hours, minutes) = numbers.split_at_checked(2).unwrap_or_default();
    let minutes = if minutes.is_empty() { "00" } else { minutes };
    let (Some(hours @ 0..24), Some(minutes @ 0..60)) =
        (digits(hours.as_bytes()), digits(minutes.as_bytes()))
    else {
        return (text, None);
    };
    let offset = i64::from(hours * 60 + minutes) * 60_000;
    let time = time.strip_suffix("GMT").unwrap_or(time);
    (time.trim_end(), Some(if zone.starts_with('-') { -offset } else { offset }))
}

/// Replaces the comma before a fraction by a point.
fn decimal_point(time: &str) -> Cow<'_, str> {
    match time.rsplit_once(',') {
        Some((head, fraction)) if fraction.starts_with(|c: char| c.is_ascii_digit()) => {
            Cow::Owned(format!("{head}.{fraction}"))
        }
        _ => Cow::Borrowed(time),
    }
}

/// The time in an SES message ID: four characters, then 12 hex digits of milliseconds since 1970. AWS does not document
/// this format; use it only if the event has no valid timestamp.
pub fn message_id_time_ms(id: &str) -> Option<i64> {
    let digits = id.get(4..16)?;
    let ms = i64::from_str_radix(digits, 16).ok()?;
    (id.as_bytes().get(16) == Some(&b'-') && PLAUSIBLE_MS.contains(&ms)).then_some(ms)
}

/// Formats a time as RFC 3339 in UTC with milliseconds.
pub fn format_ms(ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms).map_or_else(
        || ms.to_string(),
        |time| time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    )
}

/// The UTC day of a time, in days since 1970-01-01.
pub fn day_of(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS)
}

/// Formats a day as `YYYY-MM-DD`.
pub fn format_day(day: i64) -> String {
    format_ms(day * DAY_MS).chars().take(10).collect()
}

/// Parses a day, `YYYY-MM-DD`.
pub fn parse_day(text: &str) -> Option<i64> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day_of(date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis()))
}

/// Parses a duration such as `500ms`, `90s`, `15m`, `24h`, `7d`, `2w`. Returns milliseconds; `None` above a century.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    const CENTURY_MS: i64 = 100 * 366 * DAY_MS;
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => DAY_MS,
        "w" => 7 * DAY_MS,
        _ => return None,
    };
    let ms = number.parse::<i64>().ok()?.checked_mul(unit_ms)?;
    (ms <= CENTURY_MS).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_ms_reads_all_formats_and_rejects_implausible_times() {
        for (text, expected) in [
            ("2016-01-27T14:59:38.237Z", "2016-01-27T14:59:38.237Z"),
            ("2017-08-05T00:40:02Z", "2017-08-05T00:40:02.000Z"),
            ("2018-10-08T14:05:45 +0000", "2018-10-08T14:05:45.000Z"),
            ("2009-12-03T04:24:21.000-05:00", "2009-12-03T09:24:21.000Z"),
            ("2023-02-01T15:12:55.826123456Z", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01 15:12:55.826", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01T15:12:55", "2023-02-01T15:12:55.000Z"),
            ("1675264375826", "2023-02-01T15:12:55.826Z"),
            ("1675264375", "2023-02-01T15:12:55.000Z"),
            ("1675264375.826", "2023-02-01T15:12:55.826Z"),
            ("1675264375826000", "2023-02-01T15:12:55.826Z"),
            ("1675264375826000000", "2023-02-01T15:12:55.826Z"),
            ("2023/02/01 15:12:55", "2023-02-01T15:12:55.000Z"),
            ("01/Feb/2023:16:12:55 +0100", "2023-02-01T15:12:55.000Z"),
            ("Wed, 01 Feb 2023 15:12:55 +0000", "2023-02-01T15:12:55.000Z"),
            ("Wed, 01 Feb 2023 15:12:55 GMT", "2023-02-01T15:12:55.000Z"),
            ("Wed, 1 Feb 2023 15:12:55 UT", "2023-02-01T15:12:55.000Z"),
            ("1 Feb 2023 10:12:55 -0500", "2023-02-01T15:12:55.000Z"),
            ("2023-02-01T15:12:55,826Z", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01 15:12:55,826+0000", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01 16:12:55.826+01", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01 09:42:55 -05:30", "2023-02-01T15:12:55.000Z"),
            ("20230201T151255Z", "2023-02-01T15:12:55.000Z"),
            ("20230201T151255.826-0000", "2023-02-01T15:12:55.826Z"),
            ("2023-02-01 15:12:55 UTC", "2023-02-01T15:12:55.000Z"),
            ("2023-02-01T15:12:55UTC", "2023-02-01T15:12:55.000Z"),
            ("2023-02-01T15:12Z", "2023-02-01T15:12:00.000Z"),
            ("2023-02-01 15:12", "2023-02-01T15:12:00.000Z"),
            ("2023-02-01T15:12Z[UTC]", "2023-02-01T15:12:00.000Z"),
            ("2023-02-01T16:12:55+01:00[Europe/Berlin]", "2023-02-01T15:12:55.000Z"),
            ("2023-02-01", "2023-02-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse_ms(text).map(format_ms).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "soon",
            "2023-13-01T00:00:00Z",
            "9999-01-01T00:00:00Z",
            "1",
            "1e300",
            "NaN",
            "2023-02-01T15:12[Europe/Berlin]",
            "2023-02-01+00",
            "15:12:55",
            "2023-02-01T15:12:55+24",
            "Tue, 01 Feb 2023 15:12:55 GMT",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
    }

    #[test]
    fn message_id_time_is_read_from_real_ids_only() {
        let time = |id| message_id_time_ms(id).map(format_ms);
        assert_eq!(
            time("010101860d89bc12-11f9d58f-9d2b-4c3e-8f0d-3a4a5b6c7d8e-000000").as_deref(),
            Some("2023-02-01T15:12:55.826Z")
        );
        assert_eq!(time("EXAMPLE7c191be45-e9aedb9a-02f9-4d12-a87d-dd0099a07f8a-000000"), None);
        assert_eq!(time("short"), None);
        assert_eq!(time("ünïcödé-ünïcödé-ünïcödé"), None);
    }

    #[test]
    fn day_rounds_towards_the_past_before_1970() {
        assert_eq!(day_of(-1), -1);
        assert_eq!(format_day(parse_day("2026-11-20").unwrap()), "2026-11-20");
    }

    #[test]
    fn durations_are_parsed_in_all_units() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("90s", Some(90_000)),
            ("15m", Some(900_000)),
            ("15min", Some(900_000)),
            ("24h", Some(DAY_MS)),
            ("2w", Some(14 * DAY_MS)),
            ("36600d", Some(36_600 * DAY_MS)),
            ("36601d", None),
            ("99999999999999999999d", None),
            ("5", None),
            ("h", None),
            ("-1h", None),
            ("1h ", None),
            ("", None),
        ] {
            assert_eq!(parse_duration_ms(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parse_ms_inverts_all_formats(ms in PLAUSIBLE_MS) {
            let time = DateTime::<Utc>::from_timestamp_millis(ms).unwrap();
            let zone = chrono::FixedOffset::west_opt(5 * 3_600).unwrap();
            proptest::prop_assert_eq!(parse_ms(&format_ms(ms)), Some(ms));
            for text in [
                ms.to_string(),
                format!(" {}\n", time.format("%Y-%m-%d %H:%M:%S%.3f")),
                time.format("%Y-%m-%dT%H:%M:%S%.9f +0000").to_string(),
                time.with_timezone(&zone).to_rfc3339(),
            ] {
                proptest::prop_assert_eq!(parse_ms(&text), Some(ms), "{}", text);
            }
            let seconds = Some(ms.div_euclid(1_000) * 1_000);
            proptest::prop_assert_eq!(parse_ms(&(ms / 1_000).to_string()), seconds);
            proptest::prop_assert_eq!(parse_ms(&time.to_rfc2822()), seconds);
        }

        #[test]
        fn any_text_gives_a_plausible_time_or_none(text in "\\PC{0,40}|[0-9T:.Z+ -]{8,30}") {
            proptest::prop_assert!(parse_ms(&text).is_none_or(|ms| PLAUSIBLE_MS.contains(&ms)));
        }

        #[test]
        fn fast_path_equals_chrono(text in "(20|19)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-5][0-9](\\.[0-9]{3})?Z") {
            let expected = DateTime::parse_from_rfc3339(&text).ok().map(|time| time.timestamp_millis());
            proptest::prop_assert_eq!(parse_common(text.as_bytes()), expected);
        }

        #[test]
        fn parse_day_inverts_format_day(day in -30_000_i64..80_000) {
            proptest::prop_assert_eq!(parse_day(&format_day(day)), Some(day));
            proptest::prop_assert_eq!(day_of(day * DAY_MS), day);
            proptest::prop_assert_eq!(day_of(day * DAY_MS + DAY_MS - 1), day);
        }
    }
}
