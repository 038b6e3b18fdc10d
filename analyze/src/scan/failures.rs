//! Events one by one, with their words: bounces, complaints and delays for those who ask why, deliveries for those who
//! ask whether an address works again. Copies are merged as the timelines merge them (`changes`): the earliest time, of
//! each word the greatest that is known, words of the message from its other events.
//!
//! Failures are few beside what is sent. Only their rows are held, in shards by message; of all other rows no more than
//! the columns that are asked for is read, and nothing is kept.

use bouncewatch_schemas::event::Kind;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;
use polars::prelude::*;

use super::changes::CLOCK_SLACK_MS;
use super::{Scan, collect_streaming, part};
use crate::error::AnalyzeError;
use crate::measures;
use crate::model::{Outcome, ScopeWord};

/// Rows of failures that are held at a time.
const SHARD_ROWS: u64 = 400_000;
/// Column of the outcome's number.
const OUTCOME: &str = "outcome";
/// Columns of text that a failure has, beside the words that are asked for.
const TEXTS: [&str; 9] = [
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
        let rows = |first: i64, last: i64| -> Result<LazyFrame, AnalyzeError> {
            let kinds = asked.kinds.iter().map(|kind| measures::is_kind(*kind));
            let is_wanted = kinds.fold(lit(false), Expr::or).and(self.is_mail());
            Ok(self.rows(first, last)?.filter(is_wanted))
        };
        let older = match asked.after {
            Some(_) => self.older_copies(&rows, asked, first_day, last_day)?,
            None => None,
        };
        let hosts = if asked.words.contains(&ScopeWord::Column(table::PROVIDER)) {
            part::hosts_until(self, asked.to)?
        } else {
            part::Hosts::new()
        };
        let shards = count_of(rows(first_day, last_day)?)?.div_ceil(SHARD_ROWS).max(1);
        for shard in 0..shards {
            let mine = |rows: LazyFrame| match shards {
                1 => rows,
                _ => rows.filter((col(table::MESSAGE_KEY) % lit(shards)).eq(lit(shard))),
            };
            let mut all = mine(rows(first_day, last_day)?).select(columns(asked.words));
            if let Some(older) = &older {
                all = concat([all, mine(older.clone().lazy())], UnionArgs::default())?;
            }
            let events = collect_streaming(merged(all, asked))?;
            let events = self.with_words_of_messages(events, asked.words, last_day)?;
            hand_on(&events, asked.words, &hosts, &mut each)?;
        }
        Ok(())
    }

    /// Rows of the span's events that lie before it: with them an event may prove to be older than the span.
    fn older_copies(
        &self,
        rows: &dyn Fn(i64, i64) -> Result<LazyFrame, AnalyzeError>,
        asked: &Asked<'_>,
        first_day: i64,
        last_day: i64,
    ) -> Result<Option<DataFrame>, AnalyzeError> {
        let until = first_day.saturating_mul(bouncewatch_schemas::time::DAY_MS) + CLOCK_SLACK_MS;
        let messages = rows(first_day, last_day)?
            .select([col(table::MESSAGE_KEY), sent_at()])
            .filter(col(table::SENT_AT).lt(lit(until)))
            .group_by([col(table::MESSAGE_KEY)])
            .agg([col(table::SENT_AT).min()]);
        let messages = collect_streaming(messages)?;
        let Some(first) = first_day_of(&messages)?.filter(|_| messages.height() > 0) else {
            return Ok(None);
        };
        if self.days(first, first_day - 1).is_empty() {
            return Ok(None);
        }
        let key = || [col(table::MESSAGE_KEY)];
        let older = rows(first, first_day - 1)?.select(columns(asked.words)).join(
            messages.lazy(),
            key(),
            key(),
            JoinArgs::new(JoinType::Semi),
        );
        Ok(Some(collect_streaming(older)?))
    }

    /// Fills words that an event lacks from the other events of its message, of any kind.
    fn with_words_of_messages(
        &self,
        events: DataFrame,
        words: &[ScopeWord],
        last_day: i64,
    ) -> Result<DataFrame, AnalyzeError> {
        let mut lacking = Vec::new();
        for word in words.iter().filter(|word| word.is_of_message()) {
            if events.column(&word.name())?.has_nulls() {
                lacking.push(word);
            }
        }
        if lacking.is_empty() {
            return Ok(events);
        }
        let is_lacking = lacking.iter().map(|word| col(word.name()).is_null());
        let messages = events
            .clone()
            .lazy()
            .filter(is_lacking.fold(lit(false), Expr::or))
            .group_by([col(table::MESSAGE_KEY)])
            .agg([col(table::SENT_AT).min()])
            .collect()?;
        let first = first_day_of(&messages)?.unwrap_or(i64::MIN);
        let key = || [col(table::MESSAGE_KEY)];
        let wanted = [
            vec![col(table::MESSAGE_KEY)],
            lacking.iter().map(|word| measures::word(word)).collect(),
        ];
        let known = |word: &&ScopeWord| col(word.name()).max().alias(of_message(word));
        let known = self
            .rows(first, last_day)?
            .filter(self.is_mail())
            .select(wanted.concat())
            .join(messages.lazy(), key(), key(), JoinArgs::new(JoinType::Semi))
            .group_by(key())
            .agg(lacking.iter().map(known).collect::<Vec<_>>());
        let known = collect_streaming(known)?;
        let filled = |word: &&ScopeWord| {
            let own = col(word.name());
            when(own.clone().is_null())
                .then(col(of_message(word)))
                .otherwise(own)
                .alias(word.name())
        };
        let filled = events
            .lazy()
            .join(known.lazy(), key(), key(), JoinArgs::new(JoinType::Left))
            .with_columns(lacking.iter().map(filled).collect::<Vec<_>>());
        collect_streaming(filled)
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

/// The first day that may have rows of some messages: clocks of one mail disagree by seconds, also across midnight.
fn first_day_of(messages: &DataFrame) -> Result<Option<i64>, AnalyzeError> {
    let first = messages.column(table::SENT_AT)?.i64()?.min();
    Ok(first.map(|first| if first == i64::MIN { first } else { day_of(first).saturating_sub(1) }))
}

fn count_of(rows: LazyFrame) -> Result<u64, AnalyzeError> {
    let count = collect_streaming(rows.select([len()]))?;
    let count = count.columns().first().and_then(|column| column.get(0).ok()?.extract::<u64>());
    Ok(count.unwrap_or_default())
}

/// Words that are no column of text in any case.
fn further(words: &[ScopeWord]) -> impl Iterator<Item = &ScopeWord> {
    words.iter().filter(|word| !TEXTS.contains(&word.name().as_str()))
}

/// The columns that events are made of.
fn columns(words: &[ScopeWord]) -> Vec<Expr> {
    let mut columns = vec![
        col(table::MESSAGE_KEY),
        col(table::EVENT_KEY),
        col(table::EVENT_AT).cast(DataType::Int64),
        sent_at(),
        col(table::KIND),
        measures::outcome().alias(OUTCOME),
        col(table::SMTP_CODE),
    ];
    columns.extend(TEXTS.map(col));
    columns.extend(further(words).map(measures::word));
    columns
}

/// Events, each once.
fn merged(rows: LazyFrame, asked: &Asked<'_>) -> LazyFrame {
    let mut merge = vec![
        col(table::EVENT_AT).min(),
        col(table::SENT_AT).min(),
        col(table::KIND).max(),
        col(OUTCOME).max(),
        col(table::SMTP_CODE).max(),
    ];
    merge.extend(TEXTS.map(|name| col(name).max()));
    merge.extend(further(asked.words).map(|word| col(word.name()).max()));
    let time = || col(table::EVENT_AT);
    rows.group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
        .agg(merge)
        .filter(time().lt_eq(lit(asked.to)).and(time().gt(lit(asked.after.unwrap_or(i64::MIN)))))
}

/// Name of the column that holds what a message's other events know.
fn of_message(word: &ScopeWord) -> String {
    format!("{} of message", word.name())
}

fn hand_on(
    events: &DataFrame,
    words: &[ScopeWord],
    hosts: &part::Hosts,
    each: &mut impl FnMut(&Failure<'_>),
) -> Result<(), AnalyzeError> {
    let mut texts = Vec::with_capacity(TEXTS.len());
    for name in TEXTS {
        texts.push(events.column(name)?.str()?);
    }
    let mut columns = Vec::with_capacity(words.len());
    for word in words {
        columns.push((
            events.column(&word.name())?.str()?,
            *word == ScopeWord::Column(table::PROVIDER),
        ));
    }
    let kinds = events.column(table::KIND)?.str()?;
    let outcomes = events.column(OUTCOME)?.i32()?;
    let times = events.column(table::EVENT_AT)?.i64()?;
    let messages = events.column(table::MESSAGE_KEY)?.u64()?;
    let codes = events.column(table::SMTP_CODE)?.i32()?;
    for row in 0..events.height() {
        let known = (kinds.get(row).and_then(Kind::from_word), times.get(row), messages.get(row));
        let (Some(kind), Some(at), Some(message)) = known else { continue };
        let [
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
        ] = std::array::from_fn(|at| texts.get(at).and_then(|column| column.get(row)));
        let host = || recipient_domain.and_then(|domain| hosts.get(domain)).map(String::as_str);
        let mut words = Vec::with_capacity(columns.len());
        for (column, is_provider) in &columns {
            let own = column.get(row);
            words.push(if *is_provider {
                own.or_else(host).or(Some(provider::OTHER))
            } else {
                own
            });
        }
        each(&Failure {
            kind,
            outcome: outcomes.get(row).and_then(Outcome::of_code).unwrap_or(Outcome::Other),
            at,
            message,
            bounce_type,
            bounce_subtype,
            delay_type,
            complaint_type,
            smtp_code: codes.get(row).and_then(|code| u16::try_from(code).ok()),
            enhanced_status,
            diagnostic,
            remote_mta,
            recipient,
            recipient_domain,
            words,
        });
    }
    Ok(())
}
