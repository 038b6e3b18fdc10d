//! Alerts of the alert state, for a page.

use bouncewatch_analyze::alert::state::{Alert, AlertKey};
use bouncewatch_analyze::alert::state_file::StateFile;
use bouncewatch_analyze::alert::timestamp::Timestamp;
use bouncewatch_analyze::check::level::AlertLevel;
use serde::Serialize;

use super::masking::Masking;
use crate::cli::PageArgs;
use crate::config::Config;
use crate::run::check::alert::state_location;
use crate::run::store_access::store_location;

/// Alerts of a page.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AlertsDocument {
    alarms: Vec<AlertDocument>,
}

/// An alert, without the details of its windows and channels.
#[derive(Debug, Clone, Serialize)]
struct AlertDocument {
    #[serde(flatten)]
    key: AlertKey,
    level: AlertLevel,
    since: Timestamp,
    raised_at: Timestamp,
    worst: AlertLevel,
    cleared_at: Option<Timestamp>,
    /// Last notification of any channel.
    notified_at: Option<Timestamp>,
    /// Channels that were not notified of the level.
    pending_channels: usize,
}

/// Reads the alert state; `None` if there is none.
pub(super) fn read(
    args: &PageArgs,
    config: &Config,
    masking: Masking,
) -> anyhow::Result<Option<AlertsDocument>> {
    let store = store_location(&args.store, config)?;
    let endpoint_url = args.aws.endpoint_url.as_deref();
    let location = state_location(config.alert.state.as_deref(), &store, endpoint_url)?;
    let Some(state) = StateFile::read_existing(&location)? else { return Ok(None) };
    let alert = |alert: Alert| {
        let mut key = alert.key;
        for (name, value) in &mut key.scope {
            masking.value(name, value);
        }
        let channels = alert.notified.values();
        AlertDocument {
            key,
            level: alert.level,
            since: alert.since,
            raised_at: alert.raised_at,
            worst: alert.worst,
            cleared_at: alert.cleared_at,
            notified_at: channels.clone().map(|channel| channel.at).max(),
            pending_channels: channels.filter(|channel| channel.level != alert.level).count(),
        }
    };
    Ok(Some(AlertsDocument { alarms: state.alerts.into_iter().map(alert).collect() }))
}
