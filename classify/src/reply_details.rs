//! Further facts in a reply: the retry delay and the block list.

use std::sync::LazyLock;

use memchr::memmem;

/// Greatest plausible retry delay: a week.
const RETRY_SECONDS_MAX: u32 = 7 * 86_400;

/// Words in which a duration stands, such as `at least another 2 minutes`.
const WORDS_MAX: usize = 6;

/// Units of time in seconds, with their names.
const UNITS: [(u32, &[&str]); 4] = [
    (1, &["s", "sec", "secs", "second", "seconds", "secondes", "segundos", "sekunden", "secondi"]),
    (60, &["m", "min", "mins", "minute", "minutes", "minutos", "minuten", "minuti"]),
    (3_600, &["h", "hr", "hrs", "hour", "hours", "heures", "horas", "stunden", "ore"]),
    (86_400, &["d", "day", "days"]),
];

/// The duration within the first words of a text, in seconds: `00:05:00`, `300s`, `1 hour(s) 25 minute(s)`.
pub(super) fn duration(text: &[u8]) -> Option<u32> {
    let mut words = text
        .split(|byte| *byte == b' ')
        .map(|word| str::from_utf8(word).unwrap_or_default())
        .filter(|word| !word.is_empty())
        .take(WORDS_MAX);
    let mut total: Option<u32> = None;
    while let Some(word) = words.next() {
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let found = clock(word).or_else(|| {
            let number = word.strip_suffix(unit)?.parse().ok()?;
            if unit.is_empty() { seconds(number, words.next()?) } else { seconds(number, unit) }
        });
        match found {
            Some(seconds) => total = Some(total.unwrap_or_default().checked_add(seconds)?),
            None if total.is_some() => break,
            None => {}
        }
    }
    total.filter(|total| (1..=RETRY_SECONDS_MAX).contains(total))
}

/// Seconds of `00:05:00`.
fn clock(word: &str) -> Option<u32> {
    let mut parts = word.trim_end_matches(['.', ',']).splitn(3, ':');
    let mut part = || parts.next()?.parse::<u32>().ok().filter(|part| *part < 100);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(hours * 3_600 + minutes * 60 + seconds)
}

/// `number` units in seconds.
fn seconds(number: u32, unit: &str) -> Option<u32> {
    // `hour(s).`
    let unit = unit.split(|c: char| !c.is_ascii_alphabetic()).next()?;
    let (factor, _) = UNITS.iter().find(|(_, words)| words.contains(&unit))?;
    number.checked_mul(*factor)
}

/// The host name of a block list: the first word with a dot after `blocked using`, `listed at`, ...
pub(super) fn block_list_host(text: &str) -> Option<&str> {
    static MARKS: LazyLock<[memmem::Finder<'static>; 7]> = LazyLock::new(|| {
        [
            "blocked using ",
            "blocked by ",
            "listed at ",
            "listed by ",
            "listed in ",
            "listed on ",
            "found in ",
        ]
        .map(memmem::Finder::new)
    });
    MARKS.iter().find_map(|mark| {
        let rest = text.get(mark.find(text.as_bytes())? + mark.needle().len()..)?;
        let word = rest.split_whitespace().find(|word| word.contains('.'))?;
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let host = word.split("//").last()?.split(['/', '?', ';', ',']).next()?;
        let is_name = host.contains('.')
            && host.bytes().any(|b| b.is_ascii_alphabetic())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        is_name.then_some(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_list_host_is_the_first_host_after_the_marker() {
        for (text, host) in [
            ("Client host [192.0.2.1] blocked using bl.example.net; see", Some("bl.example.net")),
            ("192.0.2.1 is listed at https://rbl.example/query?ip=192.0.2.1", Some("rbl.example")),
            ("blocked using our own list", None),
            ("listed in 10.0.0.1", None),
        ] {
            assert_eq!(block_list_host(text), host, "{text}");
        }
    }
}
