//! Check reports for the tests of this module.

use bouncewatch_schemas::event::Service;

use crate::alert::policy::AlertScope;
use crate::check::confidence::headroom;
use crate::check::level::{AlertLevel, Assessment, ScopeKind, assess};
use crate::check::sending::SendingReport;
use crate::check::thresholds::{Limits, Thresholds};
use crate::check::verdict::Headroom;
use crate::check::{CheckReport, FeedHealth, Verdict};
use crate::timeline::{Basis, Denominator, Scope};

/// Time of these checks: 2026-11-20T00:00:00Z.
pub(crate) const AT: i64 = 1_795_132_800_000;

/// Account and region, window `24h`.
pub(crate) fn account_scope() -> AlertScope {
    AlertScope {
        windows: vec!["24h".into()],
        groupings: vec![vec!["account".into(), "region".into()]],
    }
}

/// A verdict of account `1`, region `r`, and a group below it.
pub(crate) fn verdict(
    metric: &'static str,
    group: &[(&str, &str)],
    window: &str,
    count: u64,
    attempts: Option<u64>,
) -> Verdict {
    let thresholds = match metric {
        "bounce_rate" => Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 },
        _ => Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 },
    };
    let kind = if group.is_empty() { ScopeKind::Account } else { ScopeKind::Group };
    let limits = Limits { thresholds, minimum_volume: 1_000 };
    let Assessment { level, rate, interval, significant } = assess(count, attempts, limits, kind);
    let known = attempts.filter(|attempts| *attempts > 0);
    let scope = [("account", "1"), ("region", "r")].iter().chain(group);
    Verdict {
        metric,
        level,
        scope: Scope(scope.map(|(name, value)| ((*name).into(), Some((*value).into()))).collect()),
        window: window.to_owned(),
        basis: Basis::Event,
        from: None,
        to: "2026-11-20T00:00:00.000Z".to_owned(),
        after: 0,
        count,
        attempts,
        denominator: attempts.map(|_| Denominator::Sends),
        rate,
        interval,
        warning: thresholds.warning,
        critical: thresholds.critical,
        minimum_volume: 1_000,
        minimum_count: thresholds.minimum_count,
        significant,
        headroom: known.map(|n| Headroom {
            warning: headroom(count, n, thresholds.warning),
            critical: headroom(count, n, thresholds.critical),
        }),
        incoming_bounces: None,
        mature: None,
        with_feedback: None,
        before: None,
        pace: None,
        crosses_warning_at: None,
        crosses_critical_at: None,
        contributors: Vec::new(),
    }
}

/// A check with these verdicts and a live feed.
pub(crate) fn check_of(verdicts: Vec<Verdict>) -> CheckReport {
    let status = verdicts.iter().map(|verdict| verdict.level).max().unwrap_or(AlertLevel::Ok);
    CheckReport {
        version: 1,
        as_of: "2026-11-20T00:00:00.000Z".to_owned(),
        service: Service::Ses,
        status,
        exit_code: status.exit_code(),
        feed: FeedHealth {
            newest_event_at: Some("2026-11-19T23:59:00.000Z".to_owned()),
            silent_seconds: Some(60),
            stale: false,
            missing: Vec::new(),
            sends_without_outcome: Vec::new(),
        },
        incomplete_days: Vec::new(),
        sending: SendingReport::default(),
        verdicts,
        incidents: Vec::new(),
        brake: None,
        other_service: None,
    }
}
