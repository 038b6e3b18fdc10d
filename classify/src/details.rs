//! What else a text tells: when to try again, and which block list it names.

use std::sync::LazyLock;

use memchr::memmem;

use bouncewatch_schemas::cause::Cause;

/// The longest wait that is believed.
const RETRY_SECONDS_MAX: u32 = 7 * 86_400;

/// Words for units of time, in seconds.
const UNITS: [(u32, &[&str]); 4] = [
    (1, &["s", "sec", "secs", "second", "seconds", "secondes", "segundos", "sekunden", "secondi"]),
    (60, &["m", "min", "mins", "minute", "minutes", "minutos", "minuten", "minuti"]),
    (3_600, &["h", "hr", "hrs", "hour", "hours", "heures", "horas", "stunden", "ore"]),
    (86_400, &["d", "day", "days"]),
];

/// What stands before a length of time: `try again in 300 seconds`, `retry after 5 minutes`, `wait at least 30 seconds`.
static MARKS: LazyLock<[memmem::Finder<'static>; 6]> = LazyLock::new(|| {
    ["again in ", "again after ", "retry after ", "retry in ", "wait ", "greylisted for "]
        .map(memmem::Finder::new)
});

/// Seconds after which the server wants to be tried again, where a failure passes; `folded` as `fold` makes it.
pub(super) fn retry_after(cause: Cause, folded: &[u8]) -> Option<u32> {
    let passes = matches!(
        cause,
        Cause::RateLimited | Cause::Greylisted | Cause::ServerError | Cause::ReputationLow
    );
    if !passes {
        return None;
    }
    MARKS.iter().find_map(|mark| {
        let at = mark.find(folded)? + mark.needle().len();
        wait(&folded[at..])
    })
}

/// The length of time within the first words of a text.
fn wait(text: &[u8]) -> Option<u32> {
    let mut words = text
        .split(|byte| *byte == b' ')
        .take(5)
        .map(|word| str::from_utf8(word).unwrap_or_default());
    let number = words.find_map(|word| {
        clock(word).or_else(|| word.parse::<u32>().ok().map(Wait::Number)).or_else(|| {
            // `300s`
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let number = digits.parse::<u32>().ok()?;
            seconds(number, word.get(digits.len()..)?).map(Wait::Seconds)
        })
    })?;
    let seconds = match number {
        Wait::Seconds(seconds) => seconds,
        Wait::Number(number) => seconds(number, words.next()?)?,
    };
    (1..=RETRY_SECONDS_MAX).contains(&seconds).then_some(seconds)
}

enum Wait {
    Seconds(u32),
    Number(u32),
}

/// `00:05:00`.
fn clock(word: &str) -> Option<Wait> {
    let mut parts = word.trim_end_matches(['.', ',']).splitn(3, ':');
    let mut part = || parts.next()?.parse::<u32>().ok().filter(|part| *part < 100);
    let (hours, minutes, seconds) = (part()?, part()?, part()?);
    Some(Wait::Seconds(hours * 3_600 + minutes * 60 + seconds))
}

fn seconds(number: u32, unit: &str) -> Option<u32> {
    let unit = unit.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let (factor, _) = UNITS.iter().find(|(_, words)| words.contains(&unit))?;
    number.checked_mul(*factor)
}

/// The host name of a list: the first word with a dot in it after `blocked using` and its like.
pub(super) fn host_of_list(text: &str) -> Option<&str> {
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
    fn waits() {
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
    fn hosts_of_lists() {
        for (text, host) in [
            ("Client host [192.0.2.1] blocked using bl.example.net; see", Some("bl.example.net")),
            ("192.0.2.1 is listed at https://rbl.example/query?ip=192.0.2.1", Some("rbl.example")),
            ("blocked using our own list", None),
            ("listed in 10.0.0.1", None),
        ] {
            assert_eq!(host_of_list(text), host, "{text}");
        }
    }
}
