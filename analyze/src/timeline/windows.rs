//! Rolling windows over the timeline of a scope. Pure, and exact to the millisecond.

use std::fmt;
use std::str::FromStr;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::day_of;

use crate::error::AnalyzeError;
use crate::timeline::model::{Denominator, Outcome, Timeline};
use crate::timeline::send_counts::Volumes;
pub use crate::timeline::times::Located;
use crate::timeline::times::Times;

/// A window: a duration, or the last so many attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    text: String,
    span: Span,
}

/// How far a window reaches back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// `(t - ms, t]`.
    Millis(i64),
    /// From the n-th last attempt on, that one included: how SES itself looks at an account.
    Attempts(u64),
}

impl Window {
    /// How far it reaches back.
    pub fn span(&self) -> Span {
        self.span
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Window {
    type Err = AnalyzeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let bad = || AnalyzeError::Window(text.to_owned());
        let span = match text.strip_prefix("volume:") {
            Some(number) => Span::Attempts(number.parse().ok().filter(|n| *n > 0).ok_or_else(bad)?),
            None => Span::Millis(parse_duration_ms(text).ok_or_else(bad)?),
        };
        Ok(Self { text: text.to_owned(), span })
    }
}

/// `90s`, `15m`, `1h`, `24h`, `7d`, `2w`; more than nothing, less than a century.
pub fn parse_duration_ms(text: &str) -> Option<i64> {
    bouncewatch_schemas::time::parse_duration_ms(text).filter(|ms| *ms > 0)
}

/// What a window holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the count of the outcome of its name")]
pub struct Counts {
    pub sends: u64,
    pub deliveries: u64,
    pub hard: u64,
    pub soft: u64,
    pub undetermined: u64,
    pub suppressed: u64,
    pub auto_replies: u64,
    pub complaints: u64,
    pub delays: u64,
    pub rejects: u64,
    pub rendering_failures: u64,
    pub incoming_bounces: u64,
    /// What enters the bounce rate.
    pub bounces: u64,
    /// (message, recipient) pairs that were tried; `None` where that is not known.
    pub attempts: Option<u64>,
}

/// A window at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Where it begins; `None` where a volume window has no attempt to begin at.
    pub from: Option<i64>,
    /// What counts lies behind this moment.
    pub after: i64,
    /// What is in it.
    pub counts: Counts,
    /// What the attempts were counted from.
    pub denominator: Option<Denominator>,
}

/// What is in a window that ends at `to` (inclusive).
///
/// # Panics
/// If it begins or ends in a day of which only the number is known; [`edge`] tells which day that would be.
pub fn measure(timeline: &Timeline, window: &Window, to: i64) -> Measured {
    match window.span() {
        Span::Millis(ms) => {
            let counted = timeline.counted_from.map_or(i64::MIN, |from| from.saturating_sub(1));
            count(timeline, to.saturating_sub(ms).max(counted).min(to), to)
        }
        Span::Attempts(n) => {
            let tried = attempts(timeline, i64::MIN, to);
            match tried.and_then(|tried| tried.nth_last(n, to)) {
                // the first attempt itself is in the window, and whatever happened in its millisecond
                Some(Located::At(first)) => {
                    Measured { from: Some(first), ..count_out_of(timeline, first - 1, to, tried) }
                }
                // nothing was tried, as far as is known: everything that is known is told
                None => Measured { from: None, ..count_out_of(timeline, i64::MIN, to, tried) },
                Some(Located::In(day)) => {
                    panic!(
                        "a window of {n} attempts begins in day {day}, of which only the number is known"
                    )
                }
            }
        }
    }
}

/// Counts `(after, to]`, out of the best denominator that this span has.
pub fn count(timeline: &Timeline, after: i64, to: i64) -> Measured {
    count_out_of(timeline, after, to, attempts(timeline, after, to))
}

fn count_out_of(timeline: &Timeline, after: i64, to: i64, tried: Option<Tried<'_>>) -> Measured {
    let of = |outcome| timeline.of(outcome).between(after, to);
    Measured {
        from: Some(after),
        after,
        denominator: tried.map(|tried| tried.denominator),
        counts: Counts {
            sends: of(Outcome::Send),
            deliveries: of(Outcome::Delivery),
            hard: of(Outcome::Hard),
            soft: of(Outcome::Soft),
            undetermined: of(Outcome::Undetermined),
            suppressed: of(Outcome::Suppressed) + of(Outcome::SuppressedCounted),
            auto_replies: of(Outcome::AutoReply),
            complaints: of(Outcome::Complaint),
            delays: of(Outcome::Delay),
            rejects: of(Outcome::Reject),
            rendering_failures: of(Outcome::RenderingFailure),
            incoming_bounces: of(Outcome::IncomingBounce),
            bounces: Outcome::bounces(timeline.service).iter().copied().map(of).sum(),
            attempts: tried.map(|tried| tried.between(after, to)),
        },
    }
}

/// From what attempts are counted.
#[derive(Debug, Clone, Copy)]
struct Tried<'a> {
    denominator: Denominator,
    /// Attempts one by one.
    times: &'a Times,
    /// Attempts that others tell, up to a moment.
    volumes: Option<(&'a Volumes, i64)>,
}

impl<'a> Tried<'a> {
    fn of(timeline: &'a Timeline, denominator: Denominator) -> Self {
        let (sends, volumes) = (timeline.of(Outcome::Send), &timeline.volumes);
        let times = match denominator {
            Denominator::Sends | Denominator::VolumesAndSends => sends,
            Denominator::DeliveriesAndBounces | Denominator::SentAndBounced => {
                &timeline.delivered_or_bounced
            }
            Denominator::Volumes => &NO_TIMES,
        };
        let volumes = match denominator {
            Denominator::Volumes => Some((volumes, i64::MAX)),
            Denominator::VolumesAndSends => {
                Some((volumes, timeline.first_send.map_or(i64::MAX, |first| first - 1)))
            }
            _ => None,
        };
        Self { denominator, times, volumes }
    }

    fn upto(&self, to: i64) -> u64 {
        let told = self.volumes.map_or(0, |(volumes, until)| volumes.upto(to.min(until)));
        self.times.upto(to) + told
    }

    fn between(&self, after: i64, to: i64) -> u64 {
        self.upto(to).saturating_sub(self.upto(after))
    }

    fn nth_last(&self, n: u64, to: i64) -> Option<Located> {
        let counted = self.times.upto(to);
        match self.volumes {
            // a span is taken whole: it begins before the attempt that is looked for
            Some((volumes, until)) if counted < n => volumes
                .nth_last(n - counted, to.min(until))
                .map(Located::At)
                .or_else(|| self.times.nth_last(n, to)),
            _ => self.times.nth_last(n, to),
        }
    }
}

/// No attempts one by one.
static NO_TIMES: Times = Times::new();

/// The best denominator of `(after, to]`: sends where the window has any (before the first that is known, what volumes
/// tell); else deliveries and final bounces, where it has deliveries; else volumes; else whatever the scope is known to
/// have at all; else nobody knows. It depends on the window alone, not on how much history was loaded.
///
/// WorkMail's log has a line for each recipient to whom mail was sent and for each that bounced, and none for both.
fn attempts(timeline: &Timeline, after: i64, to: i64) -> Option<Tried<'_>> {
    let tried = |denominator| Some(Tried::of(timeline, denominator));
    let is_known = |first: Option<i64>| first.is_some_and(|first| first <= to);
    if timeline.service == Service::WorkMail {
        return is_known(timeline.first_send)
            .then_some(())
            .and_then(|()| tried(Denominator::SentAndBounced));
    }
    let volumes = &timeline.volumes;
    if timeline.of(Outcome::Send).between(after, to) > 0 {
        let first = timeline.first_send.unwrap_or(i64::MIN);
        return tried(if volumes.has_any(after, first.saturating_sub(1)) {
            Denominator::VolumesAndSends
        } else {
            Denominator::Sends
        });
    }
    if timeline.of(Outcome::Delivery).between(after, to) > 0 {
        return tried(Denominator::DeliveriesAndBounces);
    }
    if volumes.has_any(after, to) {
        return tried(Denominator::Volumes);
    }
    if is_known(timeline.first_send) {
        return tried(Denominator::Sends);
    }
    if is_known(timeline.first_delivery) {
        return tried(Denominator::DeliveriesAndBounces);
    }
    if is_known(volumes.first()) { tried(Denominator::Volumes) } else { None }
}

/// Whether a window must do without sends but has deliveries, so that pairs are wanted.
pub fn wants_pairs(timeline: &Timeline, window: &Window, to: i64) -> bool {
    let after = match window.span() {
        Span::Millis(ms) => to.saturating_sub(ms),
        Span::Attempts(_) => i64::MIN,
    };
    attempts(timeline, after, to).is_some_and(|tried| tried.denominator.is_of_pairs())
}

/// How many attempts are known up to a moment.
pub fn attempts_until(timeline: &Timeline, to: i64) -> u64 {
    attempts(timeline, i64::MIN, to).map_or(0, |tried| tried.upto(to))
}

/// The same out of a denominator that is known from a larger span.
pub fn count_out(timeline: &Timeline, denominator: Denominator, after: i64, to: i64) -> Measured {
    count_out_of(timeline, after, to, Some(Tried::of(timeline, denominator)))
}

/// Where a window begins that ends at `to`; none, where it begins before everything.
pub fn begin(timeline: &Timeline, window: &Window, to: i64) -> Option<Located> {
    match window.span() {
        Span::Millis(ms) => Some(Located::At(to.saturating_sub(ms))),
        Span::Attempts(n) => attempts(timeline, i64::MIN, to)?.nth_last(n, to),
    }
}

/// The day in which a window begins that ends at `to`. Times of that day and of the day of `to` must be known one by one.
pub fn edge(timeline: &Timeline, window: &Window, to: i64) -> Option<i64> {
    Some(match begin(timeline, window, to)? {
        Located::At(time) => day_of(time),
        Located::In(day) => day,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_as_they_are_typed() {
        for (text, span) in [
            ("1h", Span::Millis(3_600_000)),
            ("24h", Span::Millis(86_400_000)),
            ("7d", Span::Millis(604_800_000)),
            ("volume:10000", Span::Attempts(10_000)),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!((window.span(), window.to_string().as_str()), (span, text));
        }
        for text in
            ["", "h", "0h", "-1h", "1y", "volume:0", "volume:", "24", "99999999999999999d", "1.5h"]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    fn times(times: &[i64]) -> Times {
        times.iter().copied().collect()
    }

    fn timeline(sends: &[i64], hard: &[i64]) -> Timeline {
        let mut timeline = Timeline::new(Service::Ses);
        timeline.times.insert(Outcome::Send, times(sends));
        timeline.first_send = sends.iter().min().copied();
        timeline.times.insert(Outcome::Hard, times(hard));
        timeline
    }

    #[test]
    fn windows_are_half_open() {
        let timeline = timeline(&[0, 1_000, 2_000], &[1_000, 2_000]);
        let window: Window = "1s".parse().unwrap();
        let at = |to| {
            let measured = measure(&timeline, &window, to);
            (measured.counts.attempts, measured.counts.bounces)
        };
        assert_eq!(at(999), (Some(1), 0));
        assert_eq!(at(1_000), (Some(1), 1));
        assert_eq!(at(1_999), (Some(1), 1));
        assert_eq!(at(2_000), (Some(1), 1));
        assert_eq!(at(5_000), (Some(0), 0));
    }

    #[test]
    fn volume_windows_begin_at_an_attempt() {
        let timeline = timeline(&[10, 20, 20, 30], &[5, 20, 40]);
        let at = |n: usize, to| {
            let measured = measure(&timeline, &format!("volume:{n}").parse().unwrap(), to);
            (measured.from, measured.counts.attempts, measured.counts.bounces)
        };
        assert_eq!(at(1, 50), (Some(30), Some(1), 1));
        // two attempts share a millisecond: both are in
        assert_eq!(at(2, 50), (Some(20), Some(3), 2));
        assert_eq!(at(100, 50), (Some(10), Some(4), 2));
        assert_eq!(at(1, 9), (None, None, 1));
    }

    #[test]
    fn each_window_has_the_best_denominator_that_it_has() {
        // sends ended at 20, deliveries go on
        let mut timeline = timeline(&[10, 20], &[35]);
        timeline.times.insert(Outcome::Delivery, times(&[11, 21, 31, 32]));
        timeline.delivered_or_bounced = times(&[11, 21, 31, 32, 35]);
        let at = |window: &str, to| {
            let measured = measure(&timeline, &window.parse().unwrap(), to);
            (measured.denominator, measured.counts.attempts)
        };
        assert_eq!(at("1s", 40), (Some(Denominator::Sends), Some(2)));
        assert_eq!(at("10ms", 40), (Some(Denominator::DeliveriesAndBounces), Some(3)));
        assert_eq!(at("5ms", 60), (Some(Denominator::Sends), Some(0)));
        assert_eq!(at("5ms", 9), (None, None));
        assert_eq!(at("volume:1", 40), (Some(Denominator::Sends), Some(1)));
    }

    #[test]
    fn without_attempts_nothing_is_known() {
        let mut timeline = Timeline::new(Service::Ses);
        timeline.times.insert(Outcome::Hard, times(&[1, 2, 3]));
        let measured = measure(&timeline, &"1d".parse().unwrap(), 10);
        assert_eq!(
            (measured.denominator, measured.counts.attempts, measured.counts.bounces),
            (None, None, 3)
        );
    }

    #[test]
    fn of_workmail_every_bounce_counts_out_of_what_was_sent_or_bounced() {
        let mut timeline = timeline(&[10, 20, 30], &[21]);
        timeline.service = Service::WorkMail;
        timeline.times.insert(Outcome::Soft, times(&[22]));
        timeline.times.insert(Outcome::Undetermined, times(&[55]));
        timeline.times.insert(Outcome::IncomingBounce, times(&[23, 24]));
        timeline.delivered_or_bounced = times(&[10, 20, 21, 22, 30, 55]);
        let at = |window: &str, to| {
            let measured = measure(&timeline, &window.parse().unwrap(), to);
            (measured.denominator, measured.counts.attempts, measured.counts.bounces)
        };
        let sent_and_bounced = Some(Denominator::SentAndBounced);
        assert_eq!(at("1s", 60), (sent_and_bounced, Some(6), 3));
        assert_eq!(at("1s", 25), (sent_and_bounced, Some(4), 2));
        // a window in which everything bounced, and one before anything was sent
        assert_eq!(at("10ms", 60), (sent_and_bounced, Some(1), 1));
        assert_eq!(at("10ms", 9), (None, None, 0));
        assert_eq!(at("volume:3", 60), (sent_and_bounced, Some(3), 2));
        let measured = measure(&timeline, &"1s".parse().unwrap(), 60);
        assert_eq!((measured.counts.sends, measured.counts.incoming_bounces), (3, 2));
    }

    proptest::proptest! {
        #[test]
        fn windows_equal_a_brute_force_count(
            sends in proptest::collection::vec(0i64..2_000, 0..80),
            hard in proptest::collection::vec(0i64..2_000, 0..30),
            width in 1i64..2_500,
            n in 1usize..90,
            to in -10i64..2_500,
        ) {
            let timeline = timeline(&sends, &hard);
            let brute = |from: i64, times: &[i64]| times.iter().filter(|t| **t > from && **t <= to).count() as u64;
            let got = measure(&timeline, &format!("{width}ms").parse().unwrap(), to);
            proptest::prop_assert_eq!(got.counts.sends, brute(to - width, &sends));
            proptest::prop_assert_eq!(got.counts.bounces, brute(to - width, &hard));

            let mut before: Vec<i64> = sends.iter().copied().filter(|t| *t <= to).collect();
            before.sort_unstable_by(|a, b| b.cmp(a));
            let got = measure(&timeline, &format!("volume:{n}").parse().unwrap(), to);
            let first = before.get(n - 1).or(before.last());
            proptest::prop_assert_eq!(got.from, first.copied());
            if let Some(first) = first {
                proptest::prop_assert_eq!(got.counts.sends, brute(first - 1, &sends));
                proptest::prop_assert_eq!(got.counts.bounces, brute(first - 1, &hard));
            }
        }
    }
}
