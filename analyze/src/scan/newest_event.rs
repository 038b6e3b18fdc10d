//! The time of the newest event; for closed days, it is stored as a daily aggregate.

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{AggregateFolder, Measure, TimelineDelta};
use crate::scan::day_aggregates::{is_closed, read_or_build};
use crate::scan::expressions;
use crate::scan::store_scan::StoreScan;
use crate::timeline::Basis;

impl StoreScan {
    /// Returns the time of the newest event of a service at or before `at`. Ignores events about
    /// the account, which arrive on another channel.
    pub(crate) fn newest_event(
        &self,
        service: Service,
        at: i64,
    ) -> Result<Option<i64>, AnalyzeError> {
        let of = (Basis::Event, service);
        let folder = AggregateFolder::new(&self.store, Measure::NewestEvent, of, &[], &[]);
        let mut newest = None;
        for day in self.days(i64::MIN, day_of(at)).into_iter().rev() {
            newest = if is_closed(day, at) {
                self.newest_event_of_closed_day(&folder, service, day, at)?
            } else {
                self.newest_event_of_day(service, day, at)?
            };
            if newest.is_some() {
                break;
            }
        }
        folder.finish(&self.days(i64::MIN, i64::MAX));
        Ok(newest)
    }

    fn newest_event_of_closed_day(
        &self,
        folder: &AggregateFolder,
        service: Service,
        day: i64,
        at: i64,
    ) -> Result<Option<i64>, AnalyzeError> {
        let aggregate = read_or_build(self, folder, day, at, |day| {
            let mut delta = TimelineDelta::default();
            if let Some(time) = self.newest_event_of_day(service, day, at)? {
                delta.scopes.entry(vec![Some(time.to_string())]).or_default();
            }
            Ok(delta)
        })?;
        let time = aggregate.index.scopes.first().and_then(|scope| scope.values.first());
        Ok(time.and_then(|time| time.as_deref()?.parse().ok()))
    }

    fn newest_event_of_day(
        &self,
        service: Service,
        day: i64,
        at: i64,
    ) -> Result<Option<i64>, AnalyzeError> {
        let time = col(table::EVENT_AT).cast(DataType::Int64);
        let is_wanted = expressions::is_of_service(service)
            .and(time.clone().lt_eq(lit(at)))
            .and(expressions::is_about_mail())
            .and(expressions::is_not_from_the_future());
        let keys = [col(table::MESSAGE_KEY), col(table::EVENT_KEY)];
        // the time of an event is that of its earliest copy
        let newest = self
            .rows(day, day, keys.iter().chain([&is_wanted]))?
            .filter(is_wanted)
            .group_by(keys)
            .agg([time.min()])
            .select([col(table::EVENT_AT).max()])
            .collect()?;
        Ok(newest.column(table::EVENT_AT)?.i64()?.get(0))
    }
}
