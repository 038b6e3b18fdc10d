//! Events about the account: its sending status, and problems that AWS found.

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::expressions;
use crate::scan::store_scan::StoreScan;
use crate::timeline::{Dimension, Scope};

/// Columns of the part of the account that an event is about, besides account and region.
const PART_COLUMNS: [&str; 3] = [table::TENANT, table::CONFIGURATION_SET, table::IDENTITY];
/// Message tags with further facts.
const TAGS: [&str; 3] = [table::ORIGIN_TAG, table::IMPACT_TAG, table::FINDING_TYPE_TAG];

/// An event about the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountEvent {
    pub(crate) kind: EventKind,
    /// Epoch milliseconds.
    pub(crate) at: i64,
    /// Account, region, and the part of the account if the event is not about all of it.
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

impl StoreScan {
    /// Returns the events about the account after `from`, up to `to`, in the order of time. Copies are included.
    pub(crate) fn account_events(
        &self,
        from: i64,
        to: i64,
    ) -> Result<Vec<AccountEvent>, AnalyzeError> {
        let time = || col(table::EVENT_AT).cast(DataType::Int64);
        let tag = |name: &str| Dimension::Tag(name.to_owned());
        let mut columns = vec![time(), col(table::KIND), col(table::ACCOUNT), col(table::REGION)];
        columns.extend(PART_COLUMNS.map(col));
        columns.push(col(table::DIAGNOSTIC));
        columns.extend(TAGS.map(|name| expressions::dimension_value(&tag(name))));
        let rows = self
            .rows(day_of(from), day_of(to))?
            .filter(expressions::is_of(self.service).and(expressions::is_about_account()))
            .filter(time().gt(lit(from)).and(time().lt_eq(lit(to))))
            .filter(expressions::is_not_from_the_future())
            .select(columns)
            .sort([table::EVENT_AT], SortMultipleOptions::default().with_maintain_order(true))
            .collect()?;
        let times = rows.column(table::EVENT_AT)?.i64()?;
        let mut events = Vec::with_capacity(rows.height());
        for (row, at) in times.iter().enumerate() {
            let text = |name: &str| -> PolarsResult<Option<String>> {
                Ok(rows.column(name)?.str()?.get(row).map(str::to_owned))
            };
            let Some(kind) = text(table::KIND)?.as_deref().and_then(EventKind::parse) else {
                continue;
            };
            let mut scope = Vec::new();
            for name in [table::ACCOUNT, table::REGION] {
                scope.push((name.to_owned(), text(name)?));
            }
            for name in PART_COLUMNS {
                scope.extend(text(name)?.map(|value| (name.to_owned(), Some(value))));
            }
            let [origin, impact, finding_type] = TAGS.map(|name| text(&tag(name).name()));
            events.push(AccountEvent {
                kind,
                at: at.unwrap_or_default(),
                scope: Scope(scope),
                origin: origin?,
                impact: impact?,
                finding_type: finding_type?,
                text: text(table::DIAGNOSTIC)?,
            });
        }
        Ok(events)
    }
}
