//! Formatting for people: percentages, times, durations.

/// Formats a fraction as percent: `6.69 %`; `unknown` for `None`.
pub fn percent(rate: Option<f64>) -> String {
    rate.map_or_else(|| "unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0))
}

/// Formats an RFC 3339 time in UTC to the minute: `2026-11-20 00:00 UTC`.
pub fn utc_minute(time: &str) -> String {
    let (date, clock) = time.split_once('T').unwrap_or((time, ""));
    format!("{date} {} UTC", clock.chars().take(5).collect::<String>())
}

/// Formats an RFC 3339 time in UTC to the second, or to the minute if the seconds are zero.
pub fn utc_second(time: &str) -> String {
    let (date, clock) = time.split_once('T').unwrap_or((time, ""));
    match clock.get(..8) {
        Some(seconds) if !seconds.ends_with(":00") => format!("{date} {seconds} UTC"),
        _ => utc_minute(time),
    }
}

/// Formats seconds in the unit that fits: `91 s`, `60 min`, `12 h`, `3 days`.
pub fn duration(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 2 * 3_600 => format!("{} min", s / 60),
        s if s < 2 * 86_400 => format!("{} h", s / 3_600),
        s => format!("{} days", s / 86_400),
    }
}

/// Returns the hexadecimal digits of some bytes, in lower case.
pub fn hex_digits(bytes: &[u8]) -> impl Iterator<Item = char> + '_ {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
}

/// An error and its sources, joined by `: `, each once. Do not use `Debug` instead: that of an SDK prints responses that
/// cannot be parsed, with the email addresses in them (invariant I-8).
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |chain, cause| {
        if chain.contains(&cause) { chain } else { format!("{chain}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_to_the_minute_or_second() {
        let time = "2026-11-19T23:58:28.262Z";
        assert_eq!(utc_minute(time), "2026-11-19 23:58 UTC");
        assert_eq!(utc_second(time), "2026-11-19 23:58:28 UTC");
        assert_eq!(utc_second("2026-11-20T00:00:00.000Z"), "2026-11-20 00:00 UTC");
    }
}
