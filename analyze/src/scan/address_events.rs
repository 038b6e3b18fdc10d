//! Single events of one recipient or one message, of any kind and service. Copies are merged as for timelines.
//!
//! Rows are filtered while they are read, so memory depends on the events that are found, not on the store.

use std::sync::Arc;

use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::identity::message_key;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::address_event::{AddressEvent, MailSelection};
use crate::scan::event::ScannedEvent;
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions;
use crate::scan::failure::Failure;
use crate::scan::frames::{count_rows, fold_batches};
use crate::scan::message_keys::{MessageKeys, rows_of_messages};
use crate::scan::read_rows::{append_rows, event_columns};
use crate::scan::store_scan::StoreScan;
use crate::timeline::Dimension;

/// Text columns of an event, in the order in which [`emit`] takes them apart. The tag [`CAMPAIGN`] follows.
const TEXT_COLUMNS: [&str; 18] = [
    table::KIND,
    table::SERVICE,
    table::MESSAGE_ID,
    table::RECIPIENT,
    table::REPORTED_RECIPIENT,
    table::RECIPIENT_DOMAIN,
    table::SOURCE,
    table::CONFIGURATION_SET,
    table::CLASS,
    table::BOUNCE_TYPE,
    table::BOUNCE_SUBTYPE,
    table::COMPLAINT_TYPE,
    table::COMPLAINT_SUBTYPE,
    table::DELAY_TYPE,
    table::ENHANCED_STATUS,
    table::DIAGNOSTIC,
    table::REMOTE_MTA,
    table::LINK,
];
/// Message tag that names the mailing.
const CAMPAIGN: &str = "campaign";
/// Texts of an event: [`TEXT_COLUMNS`] and the campaign.
const TEXTS: usize = TEXT_COLUMNS.len() + 1;

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
    /// Calls `each` with every event of a recipient or message at or before `to`, in arbitrary order. Events without
    /// recipient, such as opens, belong to all recipients of their message.
    pub(crate) fn address_events(
        &self,
        selection: MailSelection<'_>,
        to: i64,
        each: impl FnMut(&AddressEvent<'_>),
    ) -> Result<(), AnalyzeError> {
        let last_day = day_of(to).saturating_add(1);
        let is_selected = match selection {
            MailSelection::Recipient(forms) => {
                let is_form = forms.iter().map(|form| col(table::RECIPIENT).eq(lit(form.clone())));
                is_form.reduce(Expr::or).unwrap_or_else(|| lit(false))
            }
            MailSelection::Message(id) => {
                col(table::MESSAGE_KEY).eq(lit(message_key(id).cast_signed()))
            }
        };
        let rows = self.rows(i64::MIN, last_day)?.filter(is_selected);
        let mut events = append_events(rows, EventRows::new(TEXTS))?;
        let (mut messages, mut oldest) = (MessageKeys::default(), i64::MAX);
        if matches!(selection, MailSelection::Recipient(_)) {
            for (fields, _) in events.rows() {
                messages.insert(fields.event.message);
                oldest = oldest.min(fields.event.at);
            }
        }
        if !messages.is_empty() {
            // the clocks of the events of a message differ, also across midnight
            let rows = self.rows(day_of(oldest).saturating_sub(1), last_day)?;
            let rows = rows_of_messages(rows, Arc::new(messages));
            events = append_events(rows.filter(col(table::RECIPIENT).is_null()), events)?;
        }
        emit(&events, to, each);
        Ok(())
    }

    /// Returns the number of rows at or before the day of `to` with a recipient at `domain` that is stored as a
    /// pseudonym: `prefix` and a hash of `digits` digits. Copies are counted too.
    pub(crate) fn count_pseudonyms(
        &self,
        domain: &str,
        (prefix, digits): (&str, usize),
        to: i64,
    ) -> Result<u64, AnalyzeError> {
        let recipient = || col(table::RECIPIENT).str();
        let length = prefix.len() + digits + "@".len() + domain.len();
        let is_pseudonym = col(table::RECIPIENT_DOMAIN)
            .eq(lit(domain.to_owned()))
            .and(recipient().starts_with(lit(prefix.to_owned())))
            .and(recipient().len_bytes().cast(DataType::UInt64).eq(lit(length as u64)));
        let parts = self.rows_by_version(i64::MIN, day_of(to))?.into_iter();
        count_rows(parts.map(|rows| rows.filter(is_pseudonym.clone())).collect())
    }
}

/// Returns the names of the texts of an event.
fn text_names() -> Vec<String> {
    let campaign = Dimension::Tag(CAMPAIGN.to_owned()).name();
    TEXT_COLUMNS.into_iter().map(str::to_owned).chain([campaign]).collect()
}

/// Appends the rows of a frame of the event table.
fn append_events(
    rows: LazyFrame,
    target: EventRows<AddressFields>,
) -> Result<EventRows<AddressFields>, AnalyzeError> {
    let names = text_names();
    let mut columns = event_columns(&names);
    columns.extend([col(table::SMTP_CODE), col(table::EXPIRES_AT).cast(DataType::Int64)]);
    columns.extend(TEXT_COLUMNS.map(col));
    columns.push(expressions::dimension_value(&Dimension::Tag(CAMPAIGN.to_owned())));
    fold_batches(rows.select(columns), target, move |batch, target| {
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
        let texts: [Option<&str>; TEXTS] = std::array::from_fn(|at| events.text(ids[at]));
        let [
            kind,
            service,
            message_id,
            recipient,
            reported_recipient,
            recipient_domain,
            source,
            configuration_set,
            class,
            bounce_type,
            bounce_subtype,
            complaint_type,
            complaint_subtype,
            delay_type,
            enhanced_status,
            diagnostic,
            remote_mta,
            link,
            campaign,
        ] = texts;
        let kind = kind.and_then(EventKind::parse).filter(|_| event.at <= to);
        let (Some(kind), Some(service)) = (kind, service.and_then(Service::parse)) else { return };
        each(&AddressEvent {
            service,
            fields: Failure {
                kind,
                outcome: event.outcome,
                at: event.at,
                message: event.message,
                bounce_type,
                bounce_subtype,
                delay_type,
                complaint_type,
                smtp_code: smtp_code.and_then(|code| u16::try_from(code).ok()),
                enhanced_status,
                diagnostic,
                remote_mta,
                recipient,
                recipient_domain,
                values: Vec::new(),
            },
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
