//! Events about the account: its sending status, and problems that AWS found.

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, Measure, TimelineDelta};
use crate::scan::day_aggregates::aggregates_of_days;
use crate::scan::expressions;
use crate::scan::frames::{collect_streaming, count_rows, filter_before_decoding};
use crate::scan::store_scan::{RowPart, StoreScan};
use crate::timeline::{Basis, Dimension, Scope};

/// Columns that identify the tenant, configuration set or identity that an event is about.
const PART_COLUMNS: [&str; 3] = [table::TENANT, table::CONFIGURATION_SET, table::IDENTITY];
/// Tags in which the store keeps origin, impact and finding type of an event.
const TAGS: [&str; 3] = [table::ORIGIN_TAG, table::IMPACT_TAG, table::FINDING_TYPE_TAG];

/// An event about the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountEvent {
    pub(crate) kind: EventKind,
    /// Epoch milliseconds.
    pub(crate) at: i64,
    /// Account and region; also tenant, configuration set or identity if the event is about it.
    pub(crate) scope: Scope,
    /// The party that changed the status: `AWS_MANAGED` or `CUSTOMER_MANAGED`.
    pub(crate) origin: Option<String>,
    /// Impact of a finding: `LOW` or `HIGH`.
    pub(crate) impact: Option<String>,
    /// Type of a finding: `BOUNCE`, `COMPLAINT`, ...
    pub(crate) finding_type: Option<String>,
    /// Why the status changed, or what was found.
    pub(crate) text: Option<String>,
}

/// Text columns of an event, in the order of the values after its time.
const TEXT_COLUMNS: [&str; 7] = [
    table::KIND,
    table::ACCOUNT,
    table::REGION,
    PART_COLUMNS[0],
    PART_COLUMNS[1],
    PART_COLUMNS[2],
    table::DIAGNOSTIC,
];

impl StoreScan {
    /// Returns the events about the account after `from`, up to `to`, in the order of time.
    ///
    /// Account events are rare, and each check needs 30 days of them. Those of closed days are
    /// stored as daily aggregates.
    pub(crate) fn account_events(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AccountEvent>, AnalyzeError> {
        let of = (Basis::Event, self.service);
        let folder = AggregateFolder::new(&self.store, Measure::AccountEvents, of, &[], &[]);
        let mut events = Vec::new();
        let days = self.days(day_of(from), day_of(to));
        let build = |day| self.account_events_of_day(day);
        for aggregate in aggregates_of_days(self, &folder, days, to, build)? {
            let of_day = aggregate.index.scopes.iter().filter_map(|scope| event(&scope.values));
            events.extend(of_day.filter(|event| from < event.at && event.at <= to));
        }
        events.sort_by_key(|event| event.at);
        Ok(events)
    }

    /// Returns the account events of a day, each as the values of a scope: time, [`TEXT_COLUMNS`],
    /// [`TAGS`].
    fn account_events_of_day(&self, day: i64) -> Result<TimelineDelta, AnalyzeError> {
        let mut delta = TimelineDelta::default();
        let is_about_account = expressions::is_about_account();
        // the other columns are read only for days with such rows
        let rows = self.rows_by_version(RowPart::All, day, day, [&is_about_account])?.into_iter();
        if count_rows(rows.map(|rows| rows.filter(is_about_account.clone())).collect())? == 0 {
            return Ok(delta);
        }
        let tag = |name: &str| Dimension::Tag(name.to_owned());
        let mut columns = vec![col(table::EVENT_AT).cast(DataType::Int64).cast(DataType::String)];
        columns.extend(TEXT_COLUMNS.map(col));
        columns.extend(TAGS.map(|name| expressions::dimension_value(&tag(name))));
        let is_wanted =
            expressions::is_of_service(self.service).and(expressions::is_not_from_the_future());
        let uses = columns.iter().chain([&is_about_account, &is_wanted]);
        let rows = filter_before_decoding(self.rows(day, day, uses)?, is_about_account.clone());
        let rows = collect_streaming(rows.filter(is_wanted).select(columns))?;
        let mut texts = Vec::new();
        for column in rows.columns() {
            texts.push(column.str()?);
        }
        for row in 0..rows.height() {
            let values = texts.iter().map(|column| column.get(row).map(str::to_owned)).collect();
            delta.scopes.entry(values).or_default();
        }
        Ok(delta)
    }
}

/// Returns an event from its values in an aggregate; `None` if the kind is unknown to this release.
fn event(values: &[Option<String>]) -> Option<AccountEvent> {
    let [at, kind, account, region, parts @ .., text, origin, impact, finding_type] = values else {
        return None;
    };
    let mut scope = vec![
        (table::ACCOUNT.to_owned(), account.clone()),
        (table::REGION.to_owned(), region.clone()),
    ];
    for (name, value) in PART_COLUMNS.iter().zip(parts) {
        scope.extend(value.clone().map(|value| ((*name).to_owned(), Some(value))));
    }
    Some(AccountEvent {
        kind: EventKind::parse(kind.as_deref()?)?,
        at: at.as_deref()?.parse().ok()?,
        scope: Scope(scope),
        origin: origin.clone(),
        impact: impact.clone(),
        finding_type: finding_type.clone(),
        text: text.clone(),
    })
}
