//! Single events of one recipient or one message, of any kind and service. Copies are merged as for timelines.
//!
//! Rows are filtered while they are read, so memory depends on the events that are found, not on the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use bouncewatch_schemas::address;
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::identity::message_key;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use bouncewatch_store::addresses::{DROPPED_PREFIX, HASHED_PREFIX, is_dropped, is_hashed};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::address_event::{AddressEvent, MailSelection, RedactedRows};
use crate::scan::event::ScannedEvent;
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions;
use crate::scan::failure::{FAILURE_TEXTS, Failure};
use crate::scan::frames::fold_batches;
use crate::scan::message_keys::{MessageKeys, rows_of_messages};
use crate::scan::read_rows::{append_rows, event_columns};
use crate::scan::store_scan::StoreScan;
use crate::timeline::Dimension;

/// Further text columns of an event, after those of a failure. The tag [`CAMPAIGN`] follows.
const FURTHER_TEXTS: [&str; 8] = [
    table::SERVICE,
    table::MESSAGE_ID,
    table::REPORTED_RECIPIENT,
    table::SOURCE,
    table::CONFIGURATION_SET,
    table::CLASS,
    table::COMPLAINT_SUBTYPE,
    table::LINK,
];
/// Message tag that names the mailing.
const CAMPAIGN: &str = "campaign";
/// Number of texts of an event.
const TEXT_COUNT: usize = FAILURE_TEXTS.len() + FURTHER_TEXTS.len() + 1;

/// Fixed-size fields of an event.
#[derive(Debug, Clone, Copy)]
struct AddressFields {
    event: ScannedEvent,
    smtp_code: Option<i32>,
    expires_at: Option<i64>,
}

impl RowFields for AddressFields {
    fn keys(&self) -> (u64, u64) {
        self.event.keys()
    }

    fn merge(&mut self, copy: Self) {
        self.event.merge(copy.event);
        self.smtp_code = self.smtp_code.max(copy.smtp_code);
        self.expires_at = self.expires_at.max(copy.expires_at);
    }
}

impl StoreScan {
    /// Calls `each` with every event of a recipient or message at or before `to`, in arbitrary
    /// order. Returns the number of rows with a redacted recipient that may be the requested one.
    ///
    /// Events without recipient, such as opens, belong to all recipients of their message. Most
    /// columns are read only for the days on which the messages have events.
    pub(crate) fn address_events(
        &self,
        selection: MailSelection<'_>,
        to: i64,
        each: impl FnMut(&AddressEvent<'_>),
    ) -> Result<RedactedRows, AnalyzeError> {
        let last_day = day_of(to).saturating_add(1);
        let ((messages, redacted), is_selected) = match selection {
            MailSelection::Recipient(stored) => {
                let is_selected =
                    expressions::is_recipient(stored).or(col(table::RECIPIENT).is_null());
                (self.messages_to(stored, to, last_day)?, is_selected)
            }
            MailSelection::Message(id) => {
                let messages = MessageKeys::from_iter([message_key(id)]);
                ((messages, RedactedRows::default()), lit(true))
            }
        };
        let mut events = EventRows::new(TEXT_COUNT);
        if !messages.is_empty() {
            let (messages, columns) = (Arc::new(messages), columns());
            for day in self.days_of_messages(&messages, last_day)? {
                let rows = self.rows(day, day, columns.iter().chain([&is_selected]))?;
                let rows = rows_of_messages(rows, Arc::clone(&messages));
                events = append_events(rows.filter(is_selected.clone()), events)?;
            }
        }
        emit(&events, to, each);
        Ok(redacted)
    }

    /// Returns the messages to a recipient, and the number of rows at or before `to` with redacted recipients.
    fn messages_to(
        &self,
        stored: &[String],
        to: i64,
        last_day: i64,
    ) -> Result<(MessageKeys, RedactedRows), AnalyzeError> {
        let recipient = || col(table::RECIPIENT);
        let domain = stored.first().and_then(|address| address::domain(address));
        let is_redacted = recipient().str().starts_with(lit(DROPPED_PREFIX));
        let is_redacted = is_redacted.or(recipient().str().starts_with(lit(HASHED_PREFIX)));
        let is_at_domain =
            recipient().str().ends_with(lit(format!("@{}", domain.unwrap_or_default())));
        let columns = [recipient(), col(table::MESSAGE_KEY), time()];
        let rows = self
            .rows(i64::MIN, last_day, &columns)?
            .filter(expressions::is_recipient(stored).or(is_redacted.and(is_at_domain)))
            .select(columns);
        let stored = stored.to_vec();
        fold_batches(rows, Default::default(), move |batch, target| {
            let (found, redacted): &mut (MessageKeys, RedactedRows) = target;
            let recipients = batch.column(table::RECIPIENT)?.str()?.iter();
            let messages = batch.column(table::MESSAGE_KEY)?.i64()?.iter();
            let times = batch.column(table::EVENT_AT)?.i64()?.iter();
            for ((recipient, message), at) in recipients.zip(messages).zip(times) {
                let (Some(recipient), Some(message), Some(at)) = (recipient, message, at) else {
                    continue;
                };
                if stored.iter().any(|address| address == recipient) {
                    found.insert(message.cast_unsigned());
                } else if at <= to {
                    redacted.dropped += u64::from(is_dropped(recipient));
                    redacted.hashed += u64::from(is_hashed(recipient));
                }
            }
            Ok(())
        })
    }

    /// Returns the days on which messages have events.
    fn days_of_messages(
        &self,
        messages: &Arc<MessageKeys>,
        last_day: i64,
    ) -> Result<BTreeSet<i64>, AnalyzeError> {
        let rows = self.rows(i64::MIN, last_day, &[col(table::MESSAGE_KEY), time()])?;
        let rows = rows_of_messages(rows, Arc::clone(messages));
        fold_batches(rows.select([time()]), BTreeSet::new(), |batch, days| {
            let times = batch.column(table::EVENT_AT)?.i64()?.iter();
            days.extend(times.flatten().map(day_of));
            Ok(())
        })
    }
}

fn time() -> Expr {
    col(table::EVENT_AT).cast(DataType::Int64)
}

/// Returns the names of the text columns of an event, without the campaign.
fn text_columns() -> impl Iterator<Item = &'static str> {
    FAILURE_TEXTS.into_iter().chain(FURTHER_TEXTS)
}

/// Names of the texts of an event.
fn text_names() -> Vec<String> {
    let campaign = Dimension::Tag(CAMPAIGN.to_owned()).name();
    text_columns().map(str::to_owned).chain([campaign]).collect()
}

/// Columns of an event.
fn columns() -> Vec<Expr> {
    let mut columns = event_columns(&text_names(), true);
    columns.extend([col(table::SMTP_CODE), col(table::EXPIRES_AT).cast(DataType::Int64)]);
    columns.extend(text_columns().map(col));
    columns.push(expressions::dimension_value(&Dimension::Tag(CAMPAIGN.to_owned())));
    columns
}

/// Appends the rows of a frame of the event table.
fn append_events(
    rows: LazyFrame,
    target: EventRows<AddressFields>,
) -> Result<EventRows<AddressFields>, AnalyzeError> {
    let names = text_names();
    fold_batches(rows.select(columns()), target, move |batch, target| {
        for service in Service::ALL {
            let is_of_service = batch.column(table::SERVICE)?.str()?.equal(service.as_str());
            let batch = batch.filter(&is_of_service)?;
            let mut codes = batch.column(table::SMTP_CODE)?.i32()?.iter();
            let mut expiries = batch.column(table::EXPIRES_AT)?.i64()?.iter();
            append_rows(&batch, &names, *service, target, |event| AddressFields {
                event,
                smtp_code: codes.next().flatten(),
                expires_at: expiries.next().flatten(),
            })?;
        }
        Ok(())
    })
}

/// Calls `each` with the events at or before `to`.
fn emit(events: &EventRows<AddressFields>, to: i64, mut each: impl FnMut(&AddressEvent<'_>)) {
    events.for_each_event(|AddressFields { event, smtp_code, expires_at }, ids| {
        if event.at > to {
            return;
        }
        let texts = std::array::from_fn(|at| events.text(ids[at]));
        let further = std::array::from_fn(|at| events.text(ids[FAILURE_TEXTS.len() + at]));
        let [
            service,
            message_id,
            reported_recipient,
            source,
            configuration_set,
            class,
            complaint_subtype,
            link,
            campaign,
        ]: [Option<&str>; FURTHER_TEXTS.len() + 1] = further;
        let (Some(fields), Some(service)) =
            (Failure::new(event, smtp_code, texts), service.and_then(Service::parse))
        else {
            return;
        };
        each(&AddressEvent {
            service,
            fields,
            message_id: message_id.unwrap_or_default(),
            class,
            complaint_subtype,
            reported_recipient,
            source,
            configuration_set,
            campaign,
            link,
            expires_at,
        });
    });
}
