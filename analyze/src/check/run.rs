//! The check: loads the history, computes verdicts, contributors and feed health.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::{DAY_MS, format_ms};
use serde::Serialize;

use crate::brake::report::BrakeReport;
use crate::check::contributors::add_contributors;
use crate::check::feed::{FeedHealth, feed_health, service_with_events};
use crate::check::level::AlertLevel;
use crate::check::request::CheckRequest;
use crate::check::sending::{SendingReport, sending_report};
use crate::check::service::{is_ses, serialize_service};
use crate::check::trend;
use crate::check::verdict::{MATURE_AFTER_MS, ScopeWindow, Verdict};
use crate::error::AnalyzeError;
use crate::incidents::find::noticeable_incidents;
use crate::incidents::model::ProviderIncident;
use crate::scan::{History, HistoryQuery, LoadRequest, StoreScan, load_history};
use crate::timeline::{Dimension, Grouping, NO_FEEDBACK, Timeline, Window};

/// Result of a check. Its JSON is a contract (`docs/src/numbers.md`).
#[derive(Debug, Clone, Serialize)]
pub struct CheckReport {
    /// Version of the JSON.
    pub version: u32,
    /// Time of the evaluation, RFC 3339.
    pub as_of: String,
    /// Service that was evaluated; omitted for SES.
    #[serde(serialize_with = "serialize_service", skip_serializing_if = "is_ses")]
    pub service: Service,
    /// Worst level of all verdicts and of the feed; critical if sending is disabled for a part of
    /// the account. An unknown rate of a group below the account is ignored.
    pub status: AlertLevel,
    /// Exit code of the status.
    pub exit_code: u8,
    /// Health of the feed.
    pub feed: FeedHealth,
    /// Days with damaged segments that `store repair` moved to the folder `damaged`; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incomplete_days: Vec<String>,
    /// What AWS reported about the account; omitted if there is nothing.
    #[serde(skip_serializing_if = "SendingReport::is_empty")]
    pub sending: SendingReport,
    /// One for each metric, scope and window.
    pub verdicts: Vec<Verdict>,
    /// Provider incidents of the last 24 hours; omitted if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<ProviderIncident>,
    /// The brake, which the caller adds; omitted without `--brake`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeReport>,
    /// The other service, if the store contains events of it and none of the evaluated one.
    #[serde(skip)]
    pub other_service: Option<Service>,
}

impl CheckReport {
    /// Returns the report of verdicts, feed and sending, with their worst level as status.
    pub(crate) fn new(
        request: &CheckRequest,
        feed: FeedHealth,
        sending: SendingReport,
        verdicts: Vec<Verdict>,
    ) -> Self {
        let minimum =
            if feed.stale || verdicts.is_empty() { AlertLevel::Unknown } else { AlertLevel::Ok };
        // a group without sends is normal: mail was forwarded, or its sends lack the dimension
        let counts =
            |verdict: &&Verdict| verdict.level != AlertLevel::Unknown || verdict.scope.is_account();
        let levels = verdicts.iter().filter(counts).map(|verdict| verdict.level);
        let status = levels.fold(minimum.max(sending.level()), AlertLevel::max);
        Self {
            version: 1,
            as_of: format_ms(request.at),
            service: request.service,
            status,
            exit_code: status.exit_code(),
            feed,
            incomplete_days: Vec::new(),
            sending,
            verdicts,
            incidents: Vec::new(),
            brake: None,
            other_service: None,
        }
    }

    /// Returns the report of a run that could not evaluate everything: the status is at least
    /// unknown.
    #[must_use]
    pub fn incomplete(self) -> Self {
        let status = self.status.max(AlertLevel::Unknown);
        Self { status, exit_code: status.exit_code(), ..self }
    }
}

/// Evaluates bounce and complaint rates against the thresholds.
///
/// # Errors
/// If the store does not exist or cannot be read.
pub fn check(request: &CheckRequest) -> Result<CheckReport, AnalyzeError> {
    StoreScan::run(&request.store, request.service, &request.own_domains, |scan| {
        check_scan(request, CheckDetail::Full, scan)
    })
}

/// What a check computes besides rates and levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckDetail {
    /// Contributors, incidents, and complaint rates of mail to providers that send complaint feedback.
    Full,
    /// Nothing else.
    RatesOnly,
}

pub(crate) fn check_scan(
    request: &CheckRequest,
    detail: CheckDetail,
    scan: &StoreScan,
) -> Result<CheckReport, AnalyzeError> {
    let mut groupings = vec![Grouping::account()];
    groupings.extend(request.groupings.iter().filter(|grouping| !grouping.is_account()).cloned());
    let evaluated = groupings.len();
    // for each grouping, one more with its mail to providers that send no complaint feedback
    if request.service == Service::Ses && detail == CheckDetail::Full {
        groupings.extend(groupings.clone().iter().map(without_feedback));
    }
    let ends = [request.at];
    let load_request = LoadRequest {
        query: HistoryQuery {
            groupings: &groupings,
            basis: request.basis,
            counted_from: request.counted_from,
        },
        evaluated,
        windows: &request.windows,
        ends: &ends,
        boundaries: &boundaries,
        lookback_ms: trend::lookback_ms(&request.windows),
    };
    let history = load_history(scan, &load_request)?;
    let mut verdicts = verdicts(request, &groupings[..evaluated], &history);
    if detail == CheckDetail::Full {
        add_contributors(request, scan, &groupings[..evaluated], &mut verdicts)?;
    }
    let feed = feed_health(request, scan, history.by_grouping.first())?;
    let sending = sending_report(scan, request.at)?;
    let other_service = match (&feed.newest_event_at, request.service) {
        (None, Service::Ses) => service_with_events(scan, Service::WorkMail, request.at)?,
        (None, Service::WorkMail) => service_with_events(scan, Service::Ses, request.at)?,
        (Some(_), _) => None,
    };
    let incidents = match (&request.incidents, detail) {
        (Some(search), CheckDetail::Full) => {
            // own domains are included, as in `suppress`
            let from = request.at.saturating_sub(DAY_MS);
            noticeable_incidents(&scan.with_own_domains(), search, from, request.at)?
        }
        _ => Vec::new(),
    };
    let incomplete_days = scan.incomplete_days()?;
    let report = CheckReport::new(request, feed, sending, verdicts);
    Ok(CheckReport { incomplete_days, incidents, other_service, ..report })
}

/// Returns the grouping of the mail to providers that send no complaint feedback.
pub(crate) fn without_feedback(grouping: &Grouping) -> Grouping {
    grouping.with(Dimension::Column(NO_FEEDBACK))
}

/// Times other than the bounds of a window at which the paces, the previous period and the mature part start or end.
fn boundaries(timeline: &Timeline, window: &Window, to: i64) -> Vec<i64> {
    let mut boundaries = trend::boundaries(timeline, window, to);
    boundaries.push(to.saturating_sub(MATURE_AFTER_MS));
    boundaries
}

fn verdicts(request: &CheckRequest, groupings: &[Grouping], history: &History) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (at, grouping) in groupings.iter().enumerate() {
        let Some(timelines) = history.by_grouping.get(at) else { continue };
        let without_feedback = history.by_grouping.get(groupings.len() + at);
        for (values, timeline) in timelines {
            let mut no_feedback_values = values.clone();
            no_feedback_values.push(Some(NO_FEEDBACK.to_owned()));
            let without_feedback = without_feedback.and_then(|all| all.get(&no_feedback_values));
            for window in &request.windows {
                let scope_window =
                    ScopeWindow { request, grouping, values, timeline, without_feedback, window };
                verdicts.extend(scope_window.verdicts());
            }
        }
    }
    verdicts
}
