//! `check`: the levels now, and whether events still come.

pub mod confidence;
pub mod contribution;
mod contributors;
pub mod levels;
pub mod reconcile;
pub mod thresholds;
pub mod trend;
pub mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::format_ms;
use serde::Serialize;

use crate::check::levels::{Level, Thresholds};
use crate::check::thresholds::Rules;
pub use crate::check::verdict::Verdict;
use crate::check::verdict::{MATURE_AFTER_MS, Place};
use crate::error::AnalyzeError;
use crate::scan::loading::{Wanted, load};
use crate::scan::{History, Look, Scan, Timelines};
use crate::timeline::model::{Basis, Cut, NO_FEEDBACK, Outcome, ScopeWord, Timeline};
use crate::timeline::windows::Window;

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
    /// By which time events belong to windows.
    pub basis: Basis,
    /// Cuts below account and region.
    pub cuts: Vec<Cut>,
    /// Nothing before this moment counts, epoch milliseconds.
    pub counted_from: Option<i64>,
    /// By what it is told who drives a rate.
    pub contributors: Vec<ScopeWord>,
    /// Domains whose mail SES does not count.
    pub own_domains: Vec<String>,
    /// Thresholds of the bounce rate.
    pub bounce: Thresholds,
    /// Thresholds of the complaint rate.
    pub complaint: Thresholds,
    /// Attempts below which a rate must be sure.
    pub minimum_volume: u64,
    /// Thresholds and minimum volumes of some scopes.
    pub rules: Rules,
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
    let asked = cuts.len();
    // beside them: the mail of each to providers that tell of no complaints
    if request.service == Service::Ses {
        let no_feedback = |cut: &Cut| {
            Cut(cut.0.iter().cloned().chain([ScopeWord::Column(NO_FEEDBACK)]).collect())
        };
        cuts.extend(cuts.clone().iter().map(no_feedback));
    }
    let (look, ends) = (
        Look { cuts: &cuts, basis: request.basis, counted_from: request.counted_from },
        [request.at],
    );
    let wanted = Wanted {
        look,
        asked,
        windows: &request.windows,
        ends: &ends,
        moments: &moments,
        back: trend::back(&request.windows),
    };
    let history = load(scan, &wanted)?;
    let mut verdicts = verdicts(request, &cuts[..asked], &history);
    contributors::add(request, scan, &cuts[..asked], &mut verdicts)?;
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

/// Moments that verdicts look at beside begin and end of their window.
fn moments(timeline: &Timeline, window: &Window, to: i64) -> Vec<i64> {
    let mut moments = trend::moments(timeline, window, to);
    moments.push(to.saturating_sub(MATURE_AFTER_MS));
    moments
}

fn verdicts(request: &Request, cuts: &[Cut], history: &History) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (at, cut) in cuts.iter().enumerate() {
        let Some(timelines) = history.cuts.get(at) else { continue };
        let without_feedback = history.cuts.get(cuts.len() + at);
        for (values, timeline) in timelines {
            let mut beside = values.clone();
            beside.push(Some(NO_FEEDBACK.to_owned()));
            let without_feedback = without_feedback.and_then(|cut| cut.get(&beside));
            for window in &request.windows {
                let place = Place { request, cut, values, timeline, without_feedback, window };
                verdicts.extend(place.verdicts());
            }
        }
    }
    verdicts
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
