//! `check`: the levels now. And the part of a check that reports share: how far back history must be loaded.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::confidence;
use crate::contribution::{Contributor, contributors};
use crate::error::AnalyzeError;
use crate::levels::{Judged, Level, Thresholds, judge};
use crate::model::{Cut, Denominator, Outcome, Scope, ScopeValues, ScopeWord, Timeline};
use crate::scan::{Exact, History, Part, Scan, Timelines};
use crate::windows::{Measured, Span, Window, attempts_until, count, edge, measure, wants_pairs};

/// How much further back each try looks for the attempts of a volume window.
const FURTHER: i64 = 4;
/// Days that the first try looks back for them.
const FIRST_DAYS: i64 = 8;
/// Ends of windows beyond which every day is known time by time.
const EXACT_ENDS_MAX: usize = 400;
/// Sends after which not one bounce of any kind is a sign that bounces are not reported.
const SENDS_WITHOUT_BOUNCE: u64 = 1_000;

/// What a check is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The store.
    pub store: PathBuf,
    /// Whose mail.
    pub service: Service,
    /// The moment for which levels are told, epoch milliseconds.
    pub at: i64,
    /// Windows that end at that moment.
    pub windows: Vec<Window>,
    /// Cuts below account and region.
    pub cuts: Vec<Cut>,
    /// Domains whose mail SES does not count.
    pub own_domains: Vec<String>,
    /// Thresholds of the bounce rate.
    pub bounce: Thresholds,
    /// Thresholds of the complaint rate.
    pub complaint: Thresholds,
    /// Attempts below which a rate must be sure.
    pub minimum_volume: u64,
    /// Silence after which the feed is stale, in milliseconds.
    pub stale_after: i64,
}

/// The answer of a check; its JSON is a contract (design 5).
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Version of this output.
    pub version: u32,
    /// The moment for which it holds.
    pub as_of: String,
    /// Whose mail it is about; left out for SES.
    #[serde(serialize_with = "as_word", skip_serializing_if = "is_ses")]
    pub service: Service,
    /// The worst level.
    pub status: Level,
    /// Its exit code.
    pub exit_code: u8,
    /// Whether events still come.
    pub feed: Feed,
    /// One for each metric, scope and window.
    pub verdicts: Vec<Verdict>,
    /// Another service of which the store holds events, where it holds none of the one that was asked about.
    #[serde(skip)]
    pub other_service: Option<Service>,
}

/// Whether an output is about SES, as those are that do not say.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(crate) fn is_ses(service: &Service) -> bool {
    *service == Service::Ses
}

/// A service by its word.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
pub(crate) fn as_word<S: serde::Serializer>(
    service: &Service,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(service.as_str())
}

/// Whether events still come.
#[derive(Debug, Clone, Serialize)]
pub struct Feed {
    /// Time of the newest event.
    pub newest_event_at: Option<String>,
    /// Seconds since.
    pub silent_seconds: Option<i64>,
    /// Whether that is too long.
    pub stale: bool,
    /// Kinds of events that should be there and are not.
    pub missing: Vec<&'static str>,
}

/// One rate, judged.
#[derive(Debug, Clone, Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of the JSON, which design 5 and the README describe"
)]
pub struct Verdict {
    pub metric: &'static str,
    pub level: Level,
    pub scope: Scope,
    pub window: String,
    pub basis: &'static str,
    pub from: Option<String>,
    pub to: String,
    #[serde(skip)]
    pub after: i64,
    pub count: u64,
    pub attempts: Option<u64>,
    pub denominator: Option<Denominator>,
    pub rate: Option<f64>,
    pub interval: Option<[f64; 2]>,
    pub warning: f64,
    pub critical: f64,
    pub sure: bool,
    pub headroom: Option<Headroom>,
    /// WorkMail alone: bounces of others' mail, which are in no rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incoming_bounces: Option<u64>,
    pub crosses_critical_at: Option<String>,
    pub contributors: Vec<Contributor>,
}

/// How many more reach a threshold, at the same attempts.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Headroom {
    /// Until the warning.
    pub warning: u64,
    /// Until the critical level.
    pub critical: u64,
}

/// Computes the levels of a store.
///
/// # Errors
/// If there is no store or it cannot be read.
pub fn check(request: &Request) -> Result<Check, AnalyzeError> {
    Scan::over(&request.store, request.service, &request.own_domains, |scan| answer(request, scan))
}

fn answer(request: &Request, scan: &Scan) -> Result<Check, AnalyzeError> {
    let mut cuts = vec![Cut::account()];
    cuts.extend(request.cuts.iter().filter(|cut| !cut.is_account()).cloned());
    let history = load(scan, &cuts, &request.windows, &[request.at])?;
    let mut verdicts = verdicts(request, &cuts, &history);
    add_contributors(request, scan, &cuts, &mut verdicts)?;
    let feed = feed(request, scan, history.cuts.first())?;
    let unknown = if feed.stale || verdicts.is_empty() { Level::Unknown } else { Level::Ok };
    let other_service = match (&feed.newest_event_at, request.service) {
        (None, Service::Ses) => other(scan, Service::WorkMail, request.at)?,
        (None, Service::WorkMail) => other(scan, Service::Ses, request.at)?,
        (Some(_), _) => None,
    };
    let status = verdicts.iter().map(|verdict| verdict.level).fold(unknown, Level::max);
    Ok(Check {
        version: 1,
        as_of: format_ms(request.at),
        service: request.service,
        status,
        exit_code: status.exit_code(),
        feed,
        verdicts,
        other_service,
    })
}

/// The other service, if the store holds any event of it.
fn other(scan: &Scan, service: Service, at: i64) -> Result<Option<Service>, AnalyzeError> {
    Ok(scan.newest_event(service, at)?.map(|_| service))
}

/// Loads history that holds every window which ends at one of `ends` (in order). A volume window begins where a
/// scope's attempts say; so history is loaded further back until every scope that there is has enough of them, or
/// nothing older exists.
pub(crate) fn load(
    scan: &Scan,
    cuts: &[Cut],
    windows: &[Window],
    ends: &[i64],
) -> Result<History, AnalyzeError> {
    let (first, last) = match ends {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => return Err(AnalyzeError::Span("no window ends in this span".to_owned())),
    };
    let mut longest = 0;
    let mut most = None;
    for window in windows {
        match window.span() {
            Span::Millis(ms) => longest = longest.max(ms),
            Span::Attempts(n) => most = most.max(Some(n)),
        }
    }
    let mut back = if most.is_some() { longest.max(FIRST_DAYS * DAY_MS) } else { longest };
    loop {
        let mut part = Part::new(scan, cuts, first.saturating_sub(back), last)?;
        let history = exact_history(&mut part, windows, ends)?;
        let all = || history.cuts.iter().flat_map(BTreeMap::values);
        let enough =
            |timeline: &Timeline| most.is_none_or(|n| attempts_until(timeline, first) >= n);
        let nothing_older = part.is_all() || most.is_none();
        if nothing_older || (all().all(enough) && !part.older_scopes_differ(&history)?) {
            return Ok(history);
        }
        back = back.saturating_mul(FURTHER);
    }
}

/// The history of a part in which every window is exact.
fn exact_history(
    part: &mut Part<'_>,
    windows: &[Window],
    ends: &[i64],
) -> Result<History, AnalyzeError> {
    let mut exact = if ends.len() > EXACT_ENDS_MAX {
        Exact::All
    } else {
        let begin = |end: &i64, window: &Window| match window.span() {
            Span::Millis(ms) => Some(end.saturating_sub(ms)),
            Span::Attempts(_) => None,
        };
        let begins = ends.iter().flat_map(|end| windows.iter().filter_map(|one| begin(end, one)));
        Exact::of(ends.iter().copied().chain(begins))
    };
    loop {
        let history = part.history(&exact)?;
        let all = || history.cuts.iter().flat_map(BTreeMap::values);
        let each = |timeline| {
            windows
                .iter()
                .flat_map(move |window| ends.iter().map(move |end| (timeline, window, *end)))
        };
        if !part.has_pairs()
            && all()
                .flat_map(each)
                .any(|(timeline, window, end)| wants_pairs(timeline, window, end))
        {
            part.load_pairs()?;
            continue;
        }
        // where a volume window begins is known only now
        let edges =
            all().flat_map(each).filter_map(|(timeline, window, end)| edge(timeline, window, end));
        if !exact.add(edges) {
            return Ok(history);
        }
    }
}

fn verdicts(request: &Request, cuts: &[Cut], history: &History) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (cut, timelines) in cuts.iter().zip(&history.cuts) {
        for (values, timeline) in timelines {
            for window in &request.windows {
                let measured = measure(timeline, window, request.at);
                let place = Place { request, cut, values, window, measured: &measured };
                verdicts.push(place.verdict(
                    "bounce_rate",
                    measured.counts.bounces,
                    request.bounce,
                ));
                // WorkMail hears of no complaints: none were counted, which is not that there are none
                if request.service == Service::Ses {
                    verdicts.push(place.verdict(
                        "complaint_rate",
                        measured.counts.complaints,
                        request.complaint,
                    ));
                }
            }
        }
    }
    verdicts
}

/// Where a verdict is made.
struct Place<'a> {
    request: &'a Request,
    cut: &'a Cut,
    values: &'a ScopeValues,
    window: &'a Window,
    measured: &'a Measured,
}

impl Place<'_> {
    fn verdict(&self, metric: &'static str, count: u64, thresholds: Thresholds) -> Verdict {
        let tried = self.measured.counts.attempts;
        let Judged { level, rate, interval, sure } =
            judge(count, tried, thresholds, self.request.minimum_volume, self.cut.is_account());
        let headroom = tried.filter(|tried| *tried > 0).map(|tried| Headroom {
            warning: confidence::headroom(count, tried, thresholds.warning),
            critical: confidence::headroom(count, tried, thresholds.critical),
        });
        Verdict {
            metric,
            level,
            scope: Scope::new(self.cut, self.values),
            window: self.window.to_string(),
            basis: "event",
            from: self.measured.from.map(format_ms),
            to: format_ms(self.request.at),
            after: self.measured.after,
            count,
            attempts: tried,
            denominator: self.measured.denominator,
            rate,
            interval,
            warning: thresholds.warning,
            critical: thresholds.critical,
            sure,
            headroom,
            incoming_bounces: (self.request.service == Service::WorkMail)
                .then_some(self.measured.counts.incoming_bounces),
            crosses_critical_at: None,
            contributors: Vec::new(),
        }
    }
}

/// For bounce rates over a threshold: the recipient domains that have most of the bounces.
fn add_contributors(
    request: &Request,
    scan: &Scan,
    cuts: &[Cut],
    verdicts: &mut [Verdict],
) -> Result<(), AnalyzeError> {
    const BY: &str = "recipient_domain";
    let over =
        |verdict: &Verdict| verdict.metric == "bounce_rate" && verdict.level >= Level::Warning;
    for cut in cuts {
        let words: Vec<String> = cut.0.iter().map(ScopeWord::name).collect();
        let is_here =
            |verdict: &Verdict| verdict.scope.0.iter().map(|(word, _)| word).eq(words.iter());
        if words.iter().any(|word| word == BY)
            || !verdicts.iter().any(|verdict| over(verdict) && is_here(verdict))
        {
            continue;
        }
        let mut finer = cut.clone();
        finer.0.push(ScopeWord::Column(BY));
        let here = || verdicts.iter().filter(|verdict| over(verdict) && is_here(verdict));
        let earliest = here().map(|verdict| verdict.after).min().unwrap_or(request.at);
        let finer = [finer];
        let exact = Exact::of(here().map(|verdict| verdict.after).chain([request.at]));
        let mut part = Part::new(scan, &finer, earliest, request.at)?;
        if here().any(|verdict| verdict.denominator.is_some_and(Denominator::is_of_pairs)) {
            part.load_pairs()?;
        }
        let history = part.history(&exact)?;
        let Some(timelines) = history.cuts.first() else { continue };
        for verdict in verdicts.iter_mut().filter(|verdict| over(verdict) && is_here(verdict)) {
            verdict.contributors = of_scope(verdict, timelines, BY, request.at);
        }
    }
    Ok(())
}

fn of_scope(verdict: &Verdict, timelines: &Timelines, by: &str, to: i64) -> Vec<Contributor> {
    let values: Vec<&Option<String>> = verdict.scope.0.iter().map(|(_, value)| value).collect();
    let parts = timelines
        .iter()
        .filter(|(finer, _)| finer.iter().take(values.len()).eq(values.iter().copied()))
        .map(|(finer, timeline)| {
            let counts = count(timeline, verdict.after, to).counts;
            (finer.last().cloned().flatten(), counts.bounces, counts.attempts)
        });
    contributors(by, verdict.count, verdict.attempts.unwrap_or_default(), parts)
}

fn feed(
    request: &Request,
    scan: &Scan,
    accounts: Option<&Timelines>,
) -> Result<Feed, AnalyzeError> {
    let newest = scan.newest_event(scan.service(), request.at)?;
    let silent = newest.map(|newest| request.at - newest);
    let seen = |outcomes: &[Outcome]| {
        let lists = accounts.into_iter().flat_map(BTreeMap::values);
        lists
            .map(|timeline| {
                outcomes.iter().map(|outcome| timeline.of(*outcome).number()).sum::<u64>()
            })
            .sum::<u64>()
    };
    let bounces = seen(&Outcome::FINAL_BOUNCES);
    let (sends, deliveries) = (seen(&[Outcome::Send]), seen(&[Outcome::Delivery]));
    let mut missing = Vec::new();
    if sends == 0 && bounces + deliveries > 0 {
        missing.push("send");
    }
    // WorkMail's sends tell what was delivered
    if deliveries == 0 && bounces + sends > 0 && scan.service() == Service::Ses {
        missing.push("delivery");
    }
    // in WorkMail's log both stand beside each other
    if bounces == 0 && sends >= SENDS_WITHOUT_BOUNCE && scan.service() == Service::Ses {
        missing.push("bounce");
    }
    Ok(Feed {
        newest_event_at: newest.map(format_ms),
        silent_seconds: silent.map(|ms| ms / 1_000),
        stale: silent.is_none_or(|ms| ms > request.stale_after),
        missing,
    })
}
