//! Further facts in a reply: the retry delay and the block list.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem;

/// Greatest plausible retry delay: a week.
const RETRY_SECONDS_MAX: u32 = 7 * 86_400;

/// Words in which a duration stands, such as `at least another 2 minutes`.
const WORDS_MAX: usize = 6;

/// Units of time in seconds, with their names; `*` stands for any rest.
const UNITS: [(f64, &[&str]); 4] = [
    (
        1.0,
        &[
            "s",
            "sec",
            "secs",
            "second*",
            "segundo*",
            "sekunde*",
            "secondi",
            "секунд*",
            "秒*",
            "초*",
        ],
    ),
    (60.0, &["m", "min", "mins", "minute*", "minuto*", "minuti", "минут*", "мин", "分*", "분*"]),
    (
        3_600.0,
        &[
            "h", "hr", "hrs", "hour*", "heure*", "hora*", "stunde*", "ora", "ore", "час*", "小时*",
            "小時*", "時間*", "시간*",
        ],
    ),
    (86_400.0, &["d", "day*", "tag", "tage*", "天*"]),
];

/// Numbers that servers write as words.
const NUMBER_WORDS: [(&str, f64); 10] = [
    ("half", 0.5),
    ("a", 1.0),
    ("an", 1.0),
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("ten", 10.0),
    ("thirty", 30.0),
];

/// The duration within the first words of a text, in seconds: `00:05:00`, `1h30m`, `1 hour(s) 25 minute(s)`.
pub(super) fn duration(text: &[u8]) -> Option<u32> {
    let mut total = None;
    let mut number: Option<f64> = None;
    let words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).take(WORDS_MAX);
    for word in words.map(|word| str::from_utf8(word).unwrap_or_default()) {
        if let Some(seconds) = clock(word) {
            total = Some(seconds);
            break;
        }
        // further parts follow a number: `1 hour 25 minutes`
        let is_part = word.contains(|c: char| c.is_ascii_digit())
            || tokens(word).any(|token| unit(token).is_some());
        if total.is_some() && !is_part {
            break;
        }
        for token in tokens(word) {
            let known = number.take();
            number = match (token.parse(), known, unit(token)) {
                (Ok(digits), ..) => Some(digits),
                (Err(_), Some(known), Some(seconds)) => {
                    total = Some(total.unwrap_or_default() + known * seconds);
                    None
                }
                // `half an hour`
                (Err(_), Some(known), None) if matches!(token, "a" | "an") => Some(known),
                (Err(_), None, _) => number_word(token),
                _ => None,
            };
        }
    }
    let seconds = Duration::try_from_secs_f64(total?).ok()?.as_secs();
    u32::try_from(seconds).ok().filter(|total| (1..=RETRY_SECONDS_MAX).contains(total))
}

/// The numbers and the runs of letters of a word.
fn tokens(word: &str) -> impl Iterator<Item = &str> {
    let kind = |c: char| match c {
        '0'..='9' | '.' => 1,
        c if c.is_alphabetic() => 2,
        _ => 0,
    };
    let mut rest = word;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| kind(c) == 0 || c == '.');
        let first = kind(rest.chars().next()?);
        let end = rest.find(|c| kind(c) != first).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        rest = after;
        Some(token.trim_end_matches('.'))
    })
}

fn number_word(token: &str) -> Option<f64> {
    NUMBER_WORDS.iter().find(|(word, _)| *word == token).map(|(_, number)| *number)
}

/// Seconds of a unit.
fn unit(token: &str) -> Option<f64> {
    let is_name = |name: &&str| match name.strip_suffix('*') {
        Some(start) => token.starts_with(start),
        None => token == *name,
    };
    UNITS.iter().find(|(_, names)| names.iter().any(is_name)).map(|(seconds, _)| *seconds)
}

/// Seconds of `00:05:00`.
fn clock(word: &str) -> Option<f64> {
    let mut parts = word.trim_end_matches(['.', ',']).splitn(3, ':');
    let mut part = || parts.next()?.parse::<u8>().ok().filter(|part| *part < 100).map(f64::from);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(hours * 3_600.0 + minutes * 60.0 + seconds)
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
