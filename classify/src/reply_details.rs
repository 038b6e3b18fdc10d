//! Further facts in a reply: the retry delay and the block list.

use std::sync::LazyLock;

use bouncewatch_schemas::cause::Cause;
use memchr::memmem;

/// Greatest plausible retry delay: a week.
const RETRY_SECONDS_MAX: u32 = 7 * 86_400;

/// Units of time in seconds, with their names.
const UNITS: [(u32, &[&str]); 4] = [
    (1, &["s", "sec", "secs", "second", "seconds", "secondes", "segundos", "sekunden", "secondi"]),
    (60, &["m", "min", "mins", "minute", "minutes", "minutos", "minuten", "minuti"]),
    (3_600, &["h", "hr", "hrs", "hour", "hours", "heures", "horas", "stunden", "ore"]),
    (86_400, &["d", "day", "days"]),
];

/// Phrases before a retry delay: `try again in 300 seconds`, `retry after 5 minutes`, `wait at least 30 seconds`.
static MARKS: LazyLock<[memmem::Finder<'static>; 6]> = LazyLock::new(|| {
    ["again in ", "again after ", "retry after ", "retry in ", "wait ", "greylisted for "]
        .map(memmem::Finder::new)
});

/// Seconds after which the server asks for a retry. Only for temporary causes; `folded` is the output of `fold`.
pub(super) fn retry_after(cause: Cause, folded: &[u8]) -> Option<u32> {
    let is_temporary = matches!(
        cause,
        Cause::RateLimited | Cause::Greylisted | Cause::ServerError | Cause::ReputationLow
    );
    if !is_temporary {
        return None;
    }
    MARKS.iter().find_map(|mark| {
        let at = mark.find(folded)? + mark.needle().len();
        duration(&folded[at..])
    })
}

/// The duration within the first five words of a text, in seconds.
fn duration(text: &[u8]) -> Option<u32> {
    let mut words = text
        .split(|byte| *byte == b' ')
        .take(5)
        .map(|word| str::from_utf8(word).unwrap_or_default());
    let number = words.find_map(|word| {
        clock(word).or_else(|| word.parse::<u32>().ok().map(Token::Number)).or_else(|| {
            // `300s`
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number = digits.parse::<u32>().ok()?;
            seconds(number, word.get(digits.len()..)?).map(Token::Seconds)
        })
    })?;
    let seconds = match number {
        Token::Seconds(seconds) => seconds,
        Token::Number(number) => seconds(number, words.next()?)?,
    };
    (1..=RETRY_SECONDS_MAX).contains(&seconds).then_some(seconds)
}

/// The start of a duration.
enum Token {
    /// A complete duration, such as `300s`.
    Seconds(u32),
    /// A number, with its unit in the next word.
    Number(u32),
}

/// Parses `00:05:00`.
fn clock(word: &str) -> Option<Token> {
    let mut parts = word.trim_end_matches(['.', ',']).splitn(3, ':');
    let mut part = || parts.next()?.parse::<u32>().ok().filter(|part| *part < 100);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(Token::Seconds(hours * 3_600 + minutes * 60 + seconds))
}

/// `number` units in seconds.
fn seconds(number: u32, unit: &str) -> Option<u32> {
    let unit = unit.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
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
    use crate::fold::fold;

    #[test]
    fn retry_delay_is_read_in_all_units() {
        for (text, seconds) in [
            ("Greylisted, please try again in 300 seconds", Some(300)),
            ("try again after 5 minutes", Some(300)),
            ("please retry after 00:04:58", Some(298)),
            ("Retry in 600s", Some(600)),
            ("Greylisted for 300 seconds", Some(300)),
            ("you have to wait at least 2 minutes", Some(120)),
            ("try again later", None),
            ("try again in a while, error 300 something", None),
            ("try again in 99999999999 seconds", None),
            ("try again in 4000000000 hours", None),
        ] {
            let mut folded = Vec::new();
            fold(text, None, &mut folded);
            assert_eq!(retry_after(Cause::Greylisted, &folded), seconds, "{text}");
        }
        assert_eq!(retry_after(Cause::ContentSpam, b" try again in 300 seconds "), None);
    }

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
