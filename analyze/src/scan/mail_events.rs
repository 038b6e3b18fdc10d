//! Sends, deliveries, bounces and complaints of each day, in order of time, with a hash instead of the recipient.
//!
//! Memory depends on the events of one day, not on the store. A day with many rows is read in shards by recipient.

use std::collections::HashSet;
use std::sync::mpsc::SyncSender;

use bouncewatch_schemas::address::is_role;
use bouncewatch_schemas::event::EventKind;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use bouncewatch_store::addresses::is_dropped;
use polars::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::AnalyzeError;
use crate::scan::columns::text_ids;
use crate::scan::event::CLOCK_SLACK_MS;
use crate::scan::event_rows::{EventRows, RowFields};
use crate::scan::expressions;
use crate::scan::frames::fold_batches;
use crate::scan::read_rows::{IS_WANTED, append_rows, event_columns};
use crate::scan::store_scan::StoreScan;
use crate::scan::string_interner::{NO_TEXT, StringInterner};
use crate::timeline::{Dimension, Outcome};

/// Maximum time by which the result of a message can be dated before its send, because clocks
/// differ.
const RESULT_SLACK_MS: i64 = 60_000;
/// Hash for a dropped recipient (policy `drop`): the stored text differs in each message.
pub(crate) const NO_RECIPIENT: u64 = 0;

/// One event, its copies merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MailEvent {
    pub(crate) at: i64,
    /// Message key.
    pub(crate) message: u64,
    /// [`recipient_hash`], or [`NO_RECIPIENT`].
    pub(crate) recipient: u64,
    /// ID of the recipient domain in [`MailTexts`].
    pub(crate) domain: u32,
    /// ID of the campaign in [`MailTexts`].
    pub(crate) campaign: u32,
    pub(crate) outcome: Outcome,
    /// Whether it is a role address such as `info@`; false for a hashed address.
    pub(crate) is_role: bool,
}

impl MailEvent {
    /// Returns the time by which events are sorted: a result comes after its send.
    fn order(&self) -> i64 {
        self.at + if self.outcome == Outcome::Send { 0 } else { RESULT_SLACK_MS }
    }
}

/// Texts of events.
#[derive(Debug, Default)]
pub(crate) struct MailTexts {
    pub(crate) domains: StringInterner,
    pub(crate) campaigns: StringInterner,
}

impl MailTexts {
    /// Adds the texts of a day. Returns the new ID of each domain and of each campaign, by its ID
    /// in `day`.
    fn add_texts(&mut self, day: &Self) -> (Vec<u32>, Vec<u32>) {
        let ids = |own: &mut StringInterner, texts: &StringInterner| {
            let ids = 0..=u32::try_from(texts.len()).unwrap_or(u32::MAX);
            ids.map(|id| own.intern(texts.get(id))).collect()
        };
        (ids(&mut self.domains, &day.domains), ids(&mut self.campaigns, &day.campaigns))
    }
}

/// Returns the hash by which events name a recipient.
pub(crate) fn recipient_hash(recipient: &str) -> u64 {
    xxh3_64(recipient.as_bytes()).max(NO_RECIPIENT + 1)
}

#[derive(Debug, Clone, Copy)]
struct MailFields {
    key: u64,
    event: MailEvent,
}

impl RowFields for MailFields {
    fn keys(&self) -> (u64, u64) {
        (self.event.message, self.key)
    }

    fn merge(&mut self, copy: Self) {
        let (event, copy) = (&mut self.event, copy.event);
        event.at = event.at.min(copy.at);
        event.recipient = event.recipient.max(copy.recipient);
        event.domain = event.domain.max(copy.domain);
        event.campaign = event.campaign.max(copy.campaign);
        event.outcome = event.outcome.max(copy.outcome);
        event.is_role |= copy.is_role;
    }
}

/// Rows of a day, or of some of its recipients, and their texts.
struct DayMail {
    day: i64,
    rows: EventRows<MailFields>,
    texts: MailTexts,
}

/// One of `count` parts of the recipients.
#[derive(Debug, Clone, Copy)]
struct Shard {
    number: u64,
    count: u64,
}

impl StoreScan {
    /// Calls `each` with the events of each day up to `to`, sorted by time, in order of the days. A day with many rows is
    /// passed in several parts with different recipients. `campaign` is the dimension that names the campaign of mail.
    pub(crate) fn mail_by_day(
        &self,
        campaign: &Dimension,
        to: i64,
        texts: &mut MailTexts,
        mut each: impl FnMut(&MailTexts, i64, &[MailEvent]),
    ) -> Result<(), AnalyzeError> {
        // a second thread reads the next part meanwhile
        let (sender, parts) = std::sync::mpsc::sync_channel(0);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || self.read_mail(campaign, to, &sender));
            // the times of copies differ by seconds, possibly across midnight
            let (mut late, mut late_today) = (HashSet::new(), HashSet::new());
            let mut today = i64::MIN;
            for part in parts {
                if part.day != today {
                    today = part.day;
                    late = std::mem::take(&mut late_today);
                }
                let start = today.saturating_mul(DAY_MS);
                let (domains, campaigns) = texts.add_texts(&part.texts);
                let mut events = Vec::new();
                part.rows.for_each_event(|MailFields { key, event }, _| {
                    let keys = (event.message, key);
                    let is_copy = event.at < start + CLOCK_SLACK_MS && late.contains(&keys);
                    if event.at <= to && !is_copy {
                        let domain = domains[event.domain as usize];
                        let campaign = campaigns[event.campaign as usize];
                        events.push(MailEvent { domain, campaign, ..event });
                    }
                    if event.at >= start + DAY_MS - CLOCK_SLACK_MS {
                        late_today.insert(keys);
                    }
                });
                drop(part);
                events.sort_unstable_by_key(|one| (one.order(), one.message, one.outcome));
                each(texts, today, &events);
            }
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Sends the mail of each day, until the receiver is dropped.
    fn read_mail(
        &self,
        campaign: &Dimension,
        to: i64,
        sender: &SyncSender<DayMail>,
    ) -> Result<(), AnalyzeError> {
        for day in self.days(i64::MIN, day_of(to)) {
            let count = self.stored_rows(day, day)?.div_ceil(self.limits.shard).max(1);
            for number in 0..count {
                let mail = self.mail_of_day(campaign, day, Shard { number, count })?;
                if sender.send(mail).is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn mail_of_day(
        &self,
        campaign: &Dimension,
        day: i64,
        shard: Shard,
    ) -> Result<DayMail, AnalyzeError> {
        let kinds = [EventKind::Send, EventKind::Delivery, EventKind::Bounce, EventKind::Complaint];
        let is_wanted = kinds.into_iter().map(expressions::is_kind).fold(lit(false), Expr::or);
        let mut columns = event_columns(&[], true);
        columns.extend([col(table::RECIPIENT), col(table::RECIPIENT_DOMAIN)]);
        let name = campaign.name();
        if !columns.contains(&col(name.as_str())) {
            columns.push(expressions::dimension_value(campaign));
        }
        columns.push(
            is_wanted
                .and(self.is_counted_mail())
                .and(col(table::RECIPIENT).is_not_null())
                .and(col(table::EVENT_AT).is_not_null())
                .alias(IS_WANTED),
        );
        let frame = self.select(day, day, columns)?;
        let target = DayMail { day, rows: EventRows::new(0), texts: MailTexts::default() };
        let service = self.service;
        fold_batches(frame, target, move |batch, target| {
            let texts = &mut target.texts;
            let mut recipients = batch.column(table::RECIPIENT)?.str()?.iter();
            let domains = batch.column(table::RECIPIENT_DOMAIN)?.str()?;
            let mut domains = text_ids(domains, &mut texts.domains).into_iter();
            let campaigns = batch.column(&name)?.str()?;
            let mut campaigns = text_ids(campaigns, &mut texts.campaigns).into_iter();
            let mut rows = EventRows::new(0);
            append_rows(batch, &[], service, &mut rows, |event| {
                let recipient = recipients.next().flatten().unwrap_or_default();
                let hash =
                    if is_dropped(recipient) { NO_RECIPIENT } else { recipient_hash(recipient) };
                let mail = MailEvent {
                    at: event.at,
                    message: event.message,
                    recipient: hash,
                    domain: domains.next().unwrap_or(NO_TEXT),
                    campaign: campaigns.next().unwrap_or(NO_TEXT),
                    outcome: event.outcome,
                    is_role: is_role(recipient),
                };
                MailFields { key: event.key, event: mail }
            })?;
            target.rows.append(&rows, |one| one.event.recipient % shard.count == shard.number);
            Ok(())
        })
    }
}
