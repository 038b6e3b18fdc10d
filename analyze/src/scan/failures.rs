//! Events one by one, with their words: bounces, complaints and delays for those who ask why, deliveries for those who
//! ask whether an address works again. Copies are merged as the timelines merge them (`changes`): the earliest time, of
//! each word the greatest that is known, words of the message from its other events.
//!
//! Failures are few beside what is sent. Their rows are held tightly (`rows`); where they are many, in shards by message. Of
//! all other rows nothing is kept.

use std::collections::HashMap;
use std::sync::Arc;

use bouncewatch_schemas::event::{Kind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::changes::{self, CLOCK_SLACK_MS, Event, of_shard, take};
use crate::scan::keys::{Keys, of_messages};
use crate::scan::measures;
use crate::scan::rows::{Fixed, NOTHING, Rows};
use crate::scan::{Scan, batches, collect_streaming, count_of, part};
use crate::timeline::model::{Outcome, ScopeWord};

/// Rows of failures that are held at a time.
const SHARD_ROWS: u64 = 2_000_000;
/// Columns of text that a failure has, beside the words that are asked for; in the order in which they are handed on.
const TEXTS: [&str; 10] = [
    table::KIND,
    table::BOUNCE_TYPE,
    table::BOUNCE_SUBTYPE,
    table::DELAY_TYPE,
    table::COMPLAINT_TYPE,
    table::ENHANCED_STATUS,
    table::DIAGNOSTIC,
    table::REMOTE_MTA,
    table::RECIPIENT,
    table::RECIPIENT_DOMAIN,
];

/// Which events are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) kinds: &'a [Kind],
    /// Words that are wanted of each.
    pub(crate) words: &'a [ScopeWord],
    /// Only later ones; `None` for the whole history.
    pub(crate) after: Option<i64>,
    /// None later than this.
    pub(crate) to: i64,
}

/// One event, its copies merged.
#[derive(Debug, Clone)]
pub(crate) struct Failure<'r> {
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
    pub(crate) at: i64,
    /// Hash of its message.
    pub(crate) message: u64,
    pub(crate) bounce_type: Option<&'r str>,
    pub(crate) bounce_subtype: Option<&'r str>,
    pub(crate) delay_type: Option<&'r str>,
    pub(crate) complaint_type: Option<&'r str>,
    pub(crate) smtp_code: Option<u16>,
    pub(crate) enhanced_status: Option<&'r str>,
    pub(crate) diagnostic: Option<&'r str>,
    pub(crate) remote_mta: Option<&'r str>,
    pub(crate) recipient: Option<&'r str>,
    pub(crate) recipient_domain: Option<&'r str>,
    /// The words that were asked for, in their order; a tag's values have [`measures::TAG_SEPARATOR`] between them.
    pub(crate) words: Vec<Option<&'r str>>,
}

/// What a row of a failure has beside its texts.
#[derive(Debug, Clone, Copy)]
struct Row {
    event: Event,
    code: Option<i32>,
}

impl Fixed for Row {
    fn keys(&self) -> (u64, u64) {
        self.event.keys()
    }

    fn merge(&mut self, copy: Self) {
        self.event.merge(copy.event);
        self.code = self.code.max(copy.code);
    }
}

impl Scan {
    /// The first day of which there are events.
    pub(crate) fn first_day(&self) -> Option<i64> {
        self.segments.iter().map(|(day, _)| *day).min()
    }

    /// Hands on each event that is asked for, in no order.
    pub(crate) fn failures(
        &self,
        asked: &Asked<'_>,
        mut each: impl FnMut(&Failure<'_>),
    ) -> Result<(), AnalyzeError> {
        // a day more on both sides, because copies may disagree by seconds, also across midnight
        let first_day = asked.after.map_or(i64::MIN, |after| day_of(after).saturating_sub(1));
        let last_day = day_of(asked.to).saturating_add(1);
        let kinds = asked.kinds.iter().map(|kind| measures::is_kind(*kind));
        let is_wanted = kinds
            .fold(lit(false), Expr::or)
            .and(self.is_mail())
            .and(col(table::EVENT_AT).is_not_null());
        let rows = || -> Result<LazyFrame, AnalyzeError> {
            Ok(self.rows(first_day, last_day)?.filter(is_wanted.clone()))
        };
        let older = match asked.after {
            Some(_) => self.older_copies(&is_wanted, asked, first_day, last_day)?,
            None => None,
        };
        let hosts = if asked.words.contains(&ScopeWord::Column(table::PROVIDER)) {
            part::hosts_until(self, asked.to)?
        } else {
            part::Hosts::new()
        };
        let shards = count_of(rows()?)?.div_ceil(SHARD_ROWS).max(1);
        for shard in 0..shards {
            let mine = |rows: LazyFrame| of_shard(rows, shard, shards);
            let names = names(asked.words);
            let frame = mine(rows()?).select(columns(asked.words));
            let (service, held) = (self.service, Rows::new(names.len()));
            let taken = names.clone();
            let mut held =
                batches(frame, held, move |batch, held| hold(batch, &taken, service, held))?;
            if let Some(older) = &older {
                let some = mine(older.clone().lazy()).collect()?;
                hold(&some, &names, service, &mut held)?;
            }
            let known = self.words_of_messages(&held, asked, last_day)?;
            hand_on(&held, asked, &known, &hosts, &mut each);
        }
        Ok(())
    }

    /// Rows of the span's events that lie before it: with them an event may prove to be older than the span.
    fn older_copies(
        &self,
        is_wanted: &Expr,
        asked: &Asked<'_>,
        first_day: i64,
        last_day: i64,
    ) -> Result<Option<DataFrame>, AnalyzeError> {
        if self.days(i64::MIN, first_day - 1).is_empty() {
            return Ok(None);
        }
        let until = first_day.saturating_mul(DAY_MS) + CLOCK_SLACK_MS;
        let messages = self
            .rows(first_day, last_day)?
            .filter(is_wanted.clone())
            .select([col(table::MESSAGE_KEY), sent_at()])
            .filter(col(table::SENT_AT).lt(lit(until)))
            .group_by([col(table::MESSAGE_KEY)])
            .agg([col(table::SENT_AT).min()]);
        let messages = collect_streaming(messages)?;
        let Some(oldest) = messages.column(table::SENT_AT)?.i64()?.min() else { return Ok(None) };
        let messages: Keys = messages.column(table::MESSAGE_KEY)?.u64()?.iter().flatten().collect();
        let first = first_day_of(oldest);
        if self.days(first, first_day - 1).is_empty() {
            return Ok(None);
        }
        let older = of_messages(self.rows(first, first_day - 1)?, Arc::new(messages))
            .filter(is_wanted.clone())
            .select(columns(asked.words));
        Ok(Some(collect_streaming(older)?))
    }

    /// Of the messages of events that lack words: what their other events, of any kind, know.
    fn words_of_messages(
        &self,
        held: &Rows<Row>,
        asked: &Asked<'_>,
        last_day: i64,
    ) -> Result<Known, AnalyzeError> {
        let names = names(asked.words);
        let of_message = asked.words.iter().filter(|word| word.is_of_message());
        let wanted: Vec<(usize, &ScopeWord)> = of_message
            .filter_map(|word| Some((names.iter().position(|name| *name == word.name())?, word)))
            .collect();
        let mut known = Known::new();
        if wanted.is_empty() {
            return Ok(known);
        }
        let (mut messages, mut oldest) = (Keys::default(), i64::MAX);
        held.events(|row, numbers| {
            if wanted.iter().any(|(at, _)| numbers[*at] == NOTHING) {
                messages.insert(row.event.message);
                oldest = oldest.min(row.event.sent_after(self.service));
            }
        });
        if messages.is_empty() {
            return Ok(known);
        }
        let key = || [col(table::MESSAGE_KEY)];
        let raw = wanted.iter().map(|(_, word)| match word {
            ScopeWord::Column(name) => col(*name),
            ScopeWord::Tag(_) => col(table::TAGS),
        });
        let mut raw: Vec<Expr> = key().into_iter().chain(raw).collect();
        // several tags are one column
        let mut seen = Vec::new();
        raw.retain(|column| {
            !seen.contains(column) && {
                seen.push(column.clone());
                true
            }
        });
        // tags are taken apart only of the few rows that are left
        let words = wanted.iter().map(|(_, word)| measures::word(word));
        let most = wanted.iter().map(|(_, word)| col(word.name()).max());
        let rows = self.rows(first_day_of(oldest), last_day)?;
        let found = of_messages(rows, Arc::new(messages)).filter(self.is_mail()).select(raw);
        let found = collect_streaming(found)?
            .lazy()
            .select(key().into_iter().chain(words).collect::<Vec<_>>())
            .group_by(key())
            .agg(most.collect::<Vec<_>>());
        let found = collect_streaming(found)?;
        let keys = found.column(table::MESSAGE_KEY)?.u64()?;
        for (at, word) in &wanted {
            let values = found.column(&word.name())?.str()?;
            for row in 0..found.height() {
                if let (Some(message), Some(value)) = (keys.get(row), values.get(row)) {
                    known.insert((message, *at), value.to_owned());
                }
            }
        }
        Ok(known)
    }

    /// Mail of the service that is asked about, to others than ourselves.
    fn is_mail(&self) -> Expr {
        measures::is_of(self.service).and(measures::is_foreign_mail(&self.own_domains))
    }

    /// Hands on when which message was delivered to some recipients, in no order.
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
            .filter(measures::is_of(self.service).and(measures::is_kind(Kind::Delivery)))
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
        let to_whom = delivered.column(table::RECIPIENT)?.str()?;
        let messages = delivered.column(table::MESSAGE_KEY)?.u64()?;
        let times = delivered.column(table::EVENT_AT)?.i64()?;
        for row in 0..delivered.height() {
            if let (Some(recipient), Some(message), Some(at)) =
                (to_whom.get(row), messages.get(row), times.get(row))
            {
                each(recipient, message, at);
            }
        }
        Ok(())
    }
}

/// When a message was sent; one without clock may have been sent at any time.
fn sent_at() -> Expr {
    col(table::SENT_AT).cast(DataType::Int64).fill_null(lit(i64::MIN)).alias(table::SENT_AT)
}

/// The first day that may have rows of a message: clocks of one mail disagree by seconds, also across midnight.
fn first_day_of(sent_at: i64) -> i64 {
    if sent_at == i64::MIN { sent_at } else { day_of(sent_at).saturating_sub(1) }
}

/// What a message knows: by its key, and the number of the text.
type Known = HashMap<(u64, usize), String>;

/// Names of the texts that are held of each row: those of every failure, then the words that are none of them.
fn names(words: &[ScopeWord]) -> Vec<String> {
    let mut names = TEXTS.map(str::to_owned).to_vec();
    for word in words.iter().map(ScopeWord::name) {
        if !names.contains(&word) {
            names.push(word);
        }
    }
    names
}

/// The columns that failures are made of.
fn columns(words: &[ScopeWord]) -> Vec<Expr> {
    let mut columns = changes::columns(&names(words));
    columns.push(col(table::SMTP_CODE));
    columns.extend(TEXTS.map(col));
    let further = words.iter().filter(|word| !TEXTS.contains(&word.name().as_str()));
    columns.extend(further.map(measures::word));
    columns
}

/// Takes the rows of a frame.
fn hold(
    frame: &DataFrame,
    names: &[String],
    service: Service,
    held: &mut Rows<Row>,
) -> PolarsResult<()> {
    let mut codes = frame.column(table::SMTP_CODE)?.i32()?.iter();
    take(frame, names, service, held, |event| Row { event, code: codes.next().flatten() })
}

/// Hands on the events of the span.
fn hand_on(
    held: &Rows<Row>,
    asked: &Asked<'_>,
    known: &Known,
    hosts: &part::Hosts,
    each: &mut impl FnMut(&Failure<'_>),
) {
    let names = names(asked.words);
    let places: Vec<(Option<usize>, bool)> = asked
        .words
        .iter()
        .map(|word| {
            let at = names.iter().position(|name| *name == word.name());
            (at, *word == ScopeWord::Column(table::PROVIDER))
        })
        .collect();
    held.events(|Row { event: fixed, code }, numbers| {
        if fixed.at > asked.to || asked.after.is_some_and(|after| fixed.at <= after) {
            return;
        }
        let [
            kind,
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
        ] = std::array::from_fn(|at| held.text(numbers[at]));
        let Some(kind) = kind.and_then(Kind::from_word) else { return };
        let host = || recipient_domain.and_then(|domain| hosts.get(domain)).map(String::as_str);
        let word = |(at, is_provider): &(Option<usize>, bool)| {
            let own = at.and_then(|at| {
                let own = held.text(numbers[at]);
                own.or_else(|| known.get(&(fixed.message, at)).map(String::as_str))
            });
            if *is_provider { own.or_else(host).or(Some(provider::OTHER)) } else { own }
        };
        each(&Failure {
            kind,
            outcome: fixed.outcome,
            at: fixed.at,
            message: fixed.message,
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            smtp_code: code.and_then(|code| u16::try_from(code).ok()),
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
            words: places.iter().map(word).collect(),
        });
    });
}
