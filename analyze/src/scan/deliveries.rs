//! Deliveries to some recipients.

use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::expressions;
use crate::scan::frames::collect_streaming;
use crate::scan::store_scan::StoreScan;

impl StoreScan {
    /// Calls `each` with recipient, message key and time of every delivery to some recipients, in arbitrary order.
    pub(crate) fn deliveries(
        &self,
        recipients: Vec<&str>,
        from: i64,
        to: i64,
        mut each: impl FnMut(&str, u64, i64),
    ) -> Result<(), AnalyzeError> {
        let wanted = DataFrame::new(
            recipients.len(),
            vec![Column::new(table::RECIPIENT.into(), recipients)],
        )?;
        let key = || [col(table::RECIPIENT)];
        let time = || col(table::EVENT_AT);
        let delivered = self
            .rows(day_of(from).saturating_sub(1), day_of(to).saturating_add(1))?
            .filter(expressions::is_of(self.service).and(expressions::is_kind(EventKind::Delivery)))
            .select([
                col(table::MESSAGE_KEY),
                col(table::EVENT_KEY),
                col(table::RECIPIENT),
                time().cast(DataType::Int64),
            ])
            .join(wanted.lazy(), key(), key(), JoinArgs::new(JoinType::Semi))
            .group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
            .agg([col(table::RECIPIENT).max(), time().min()])
            .filter(time().lt_eq(lit(to)));
        let delivered = collect_streaming(delivered)?;
        let recipients = delivered.column(table::RECIPIENT)?.str()?;
        let messages = delivered.column(table::MESSAGE_KEY)?.i64()?;
        let times = delivered.column(table::EVENT_AT)?.i64()?;
        for row in 0..delivered.height() {
            if let (Some(recipient), Some(message), Some(at)) =
                (recipients.get(row), messages.get(row), times.get(row))
            {
                each(recipient, message.cast_unsigned(), at);
            }
        }
        Ok(())
    }
}
