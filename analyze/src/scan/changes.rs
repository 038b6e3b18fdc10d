//! Rows -> what they change in the timelines. Copies of an event become one event here, and nowhere else (invariant I-5).
//!
//! What the rows of some days change is the difference between two counts: that of their messages with all rows up to
//! these days, and that of the same messages with the rows before them. Everything that is counted is counted by
//! message (copies of an event, pairs, reports, words that one event takes from another), so the changes of days that
//! follow each other add up to the count of all their rows.
//!
//! Rows are worked on in shards by message, so that memory does not grow with a day.

use std::collections::BTreeSet;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use super::lists::{copies, take_outcomes};
use super::{Scan, collect_streaming, count_of};
use crate::aggregates::{Delta, Measure};
use crate::error::AnalyzeError;
use crate::measures;
use crate::model::{Basis, Cut, LEFT_OUT, NO_FEEDBACK, Outcome, ScopeValues, ScopeWord};

/// In place of an outcome: (message, recipient) pairs that were tried.
pub(super) const PAIRS: i32 = -1;

/// Rows that are worked on at a time.
const SHARD_ROWS: u64 = 1_000_000;
/// By how much two clocks of one mail may disagree.
pub(super) const CLOCK_SLACK_MS: i64 = 3_600_000;
/// How long before an event of WorkMail, whose log does not tell it, its mail may have been handed in.
const TRACE_MS: i64 = 14 * DAY_MS;
/// The first columns of events are the keys.
const KEYS: usize = 2;
/// Column of the outcome's number.
pub(super) const OUTCOME: &str = "outcome";
/// Column of the time by which an event belongs to a window.
pub(super) const TIME: &str = "time";
/// Column of the domain to which mail went whose provider is not known.
const UNHOSTED: &str = "unhosted";

/// Days that are worked on as one.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) first_day: i64,
    pub(super) last_day: i64,
    /// Which of the cuts want them.
    pub(super) cuts: Vec<usize>,
}

impl Unit {
    /// The moment at which it begins.
    fn start(&self) -> i64 {
        self.first_day.saturating_mul(DAY_MS)
    }
}

/// Makes of rows what they change.
pub(super) struct Changes<'a> {
    scan: &'a Scan,
    measure: Measure,
    basis: Basis,
    cuts: &'a [Cut],
    words: Vec<ScopeWord>,
}

/// Messages of some units that were sent before them, and their rows until then.
pub(super) struct Older {
    /// By unit: the messages, and the first day that may have rows of them.
    messages: Vec<(DataFrame, i64)>,
    rows: Option<DataFrame>,
}

impl Older {
    /// The first day whose segments make a difference to a unit.
    pub(super) fn depends_from(&self, unit: usize) -> Option<i64> {
        self.messages.get(unit).map(|(_, day)| *day)
    }
}

impl<'a> Changes<'a> {
    /// Changes of a measure, for cuts.
    pub(super) fn new(scan: &'a Scan, measure: Measure, basis: Basis, cuts: &'a [Cut]) -> Self {
        let words: BTreeSet<ScopeWord> =
            cuts.iter().flat_map(|cut| cut.0.iter().cloned()).collect();
        Self { scan, measure, basis, cuts, words: words.into_iter().collect() }
    }

    /// Looks for the older rows of the messages of some units, for all at once.
    pub(super) fn older(&self, units: &[Unit]) -> Result<Older, AnalyzeError> {
        let mut messages = Vec::with_capacity(units.len());
        for unit in units {
            messages.push(self.older_messages(unit)?);
        }
        let first = messages.iter().map(|(_, day)| *day).min().unwrap_or_default();
        let last = units.iter().map(|unit| unit.first_day - 1).max().unwrap_or_default();
        let all: Vec<LazyFrame> = messages.iter().map(|(keys, _)| keys.clone().lazy()).collect();
        let keys = concat(all, UnionArgs::default())?.unique(None, UniqueKeepStrategy::Any);
        let keys = keys.collect()?;
        if keys.height() == 0 || self.scan.days(first, last).is_empty() {
            return Ok(Older { messages, rows: None });
        }
        let key = || [col(table::MESSAGE_KEY)];
        let rows = self.scan.rows(first, last)?.join(
            keys.lazy(),
            key(),
            key(),
            JoinArgs::new(JoinType::Semi),
        );
        Ok(Older { messages, rows: Some(collect_streaming(self.prepared(rows))?) })
    }

    /// Messages of a unit that were sent before it, and the first day that may have rows of them.
    fn older_messages(&self, unit: &Unit) -> Result<(DataFrame, i64), AnalyzeError> {
        // a mail without clock may have been sent at any time
        let long_ago = match self.scan.service {
            Service::Ses => lit(i64::MIN),
            Service::WorkMail => col(table::EVENT_AT).cast(DataType::Int64) - lit(TRACE_MS),
        };
        let sent_at =
            col(table::SENT_AT).cast(DataType::Int64).fill_null(long_ago).alias(table::SENT_AT);
        let until = unit.start().saturating_add(CLOCK_SLACK_MS);
        let messages = self
            .scan
            .rows(unit.first_day, unit.last_day)?
            .filter(measures::is_of(self.scan.service))
            .select([col(table::MESSAGE_KEY), sent_at])
            .filter(col(table::SENT_AT).lt(lit(until)))
            .group_by([col(table::MESSAGE_KEY)])
            .agg([col(table::SENT_AT).min()])
            .collect()?;
        let oldest = messages.column(table::SENT_AT)?.i64()?.min();
        let keys = messages.select([table::MESSAGE_KEY])?;
        // clocks of one mail disagree by seconds, also across midnight
        let first = oldest.map_or(unit.first_day, |oldest| day_of(oldest).saturating_sub(1));
        Ok((keys, first.min(unit.first_day)))
    }

    /// What a unit changes, for each of its cuts.
    pub(super) fn of(
        &self,
        unit: &Unit,
        number: usize,
        older: &Older,
    ) -> Result<Vec<Delta>, AnalyzeError> {
        let mut deltas: Vec<Delta> = unit.cuts.iter().map(|_| Delta::default()).collect();
        let before = match (&older.rows, older.messages.get(number)) {
            (Some(rows), Some((messages, from))) => {
                let key = || [col(table::MESSAGE_KEY)];
                let time = || col(table::EVENT_AT);
                let begin = from.saturating_mul(DAY_MS);
                Some(
                    rows.clone()
                        .lazy()
                        .filter(time().lt(lit(unit.start())).and(time().gt_eq(lit(begin))))
                        .join(messages.clone().lazy(), key(), key(), JoinArgs::new(JoinType::Semi))
                        .collect()?,
                )
            }
            _ => None,
        };
        let before = before.filter(|rows| rows.height() > 0);
        let shards = self.shards(unit)?;
        for shard in 0..shards {
            let mine = |rows: LazyFrame| {
                let shard_of_row = col(table::MESSAGE_KEY) % lit(shards);
                if shards > 1 { rows.filter(shard_of_row.eq(lit(shard))) } else { rows }
            };
            let mut rows = self.prepared(mine(self.scan.rows(unit.first_day, unit.last_day)?));
            if let Some(before) = &before {
                rows = concat([rows, mine(before.clone().lazy())], UnionArgs::default())?;
                let events = self.events(mine(before.clone().lazy()))?;
                self.add(&events, unit, &mut deltas, false)?;
            }
            self.add(&self.events(rows)?, unit, &mut deltas, true)?;
        }
        Ok(deltas)
    }

    /// Into how many shards the rows of a unit are cut.
    fn shards(&self, unit: &Unit) -> Result<u64, AnalyzeError> {
        let rows = count_of(self.scan.rows(unit.first_day, unit.last_day)?)?;
        Ok(rows.div_ceil(SHARD_ROWS).max(1))
    }

    /// Names of the columns that events are made of: the two keys, the time, the outcome, the words, and further ones.
    fn columns(&self) -> Vec<String> {
        let fixed = [table::MESSAGE_KEY, table::EVENT_KEY, table::EVENT_AT, TIME, OUTCOME]
            .map(str::to_owned);
        let words = self.words.iter().map(ScopeWord::name);
        let mut names: Vec<String> = fixed.into_iter().chain(words).collect();
        let further = [
            (table::RECIPIENT, self.measure == Measure::Pairs),
            (table::RECIPIENT_DOMAIN, self.words.iter().any(is_provider)),
        ];
        for (column, _) in further.into_iter().filter(|(_, is_wanted)| *is_wanted) {
            if !names.iter().any(|name| name == column) {
                names.push(column.to_owned());
            }
        }
        names
    }

    /// Rows that count, or tell something of their message, with the columns that events are made of.
    fn prepared(&self, rows: LazyFrame) -> LazyFrame {
        let words: Vec<String> = self.words.iter().map(ScopeWord::name).collect();
        let column = |name: &String| match name.as_str() {
            OUTCOME => measures::outcome().alias(OUTCOME),
            table::EVENT_AT => col(name).cast(DataType::Int64),
            TIME => match self.basis {
                Basis::Event => col(table::EVENT_AT).cast(DataType::Int64).alias(TIME),
                // a mail without clock was sent when its first event came
                Basis::Send => or_else(col(table::SENT_AT), col(table::EVENT_AT))
                    .cast(DataType::Int64)
                    .alias(TIME),
            },
            _ => match words.iter().position(|word| word == name) {
                Some(at) if words[at] == LEFT_OUT => {
                    measures::left_out(&self.scan.own_domains).alias(LEFT_OUT)
                }
                Some(at) if words[at] == NO_FEEDBACK => measures::no_feedback().alias(NO_FEEDBACK),
                Some(at) => measures::word(&self.words[at]),
                None => col(name),
            },
        };
        let columns: Vec<Expr> = self.columns().iter().map(column).collect();
        let mut is_wanted = measures::is_of(self.scan.service);
        // who asks why mail is left out wants it
        if !self.words.contains(&ScopeWord::Column(LEFT_OUT)) {
            is_wanted = is_wanted.and(measures::is_foreign_mail(&self.scan.own_domains));
        }
        rows.filter(is_wanted).select(columns)
    }

    /// Events, each once: the earliest of its times, and of each word the value that is known. Where copies disagree the
    /// greatest value is taken, so that order makes no difference.
    fn events(&self, rows: LazyFrame) -> Result<DataFrame, AnalyzeError> {
        let merge = |name: &String| match name.as_str() {
            table::EVENT_AT | TIME => col(name).min(),
            _ => col(name).max(),
        };
        let rows = collect_streaming(rows)?;
        // most rows have no copy: only those that have are grouped
        let Some(copies) = copies(&rows)? else { return self.completed(rows) };
        let merged: Vec<Expr> = self.columns().iter().skip(KEYS).map(merge).collect();
        let grouped = rows
            .filter(&copies)?
            .lazy()
            .group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)])
            .agg(merged);
        let mut events = rows.filter(&!copies)?;
        events.vstack_mut(&collect_streaming(grouped)?)?;
        self.completed(events)
    }

    /// Fills words that an event lacks from the other events of its message.
    fn completed(&self, events: DataFrame) -> Result<DataFrame, AnalyzeError> {
        let mut wanted = Vec::new();
        for word in self.words.iter().filter(|word| word.is_of_message()) {
            if events.column(&word.name())?.has_nulls() {
                wanted.push(word.name());
            }
        }
        if wanted.is_empty() {
            return Ok(events);
        }
        let known = |name: &String| col(name).max().alias(of_message(name));
        let messages = events
            .clone()
            .lazy()
            .group_by([col(table::MESSAGE_KEY)])
            .agg(wanted.iter().map(known).collect::<Vec<_>>());
        let filled = |name: &String| or_else(col(name), col(of_message(name))).alias(name);
        let key = || [col(table::MESSAGE_KEY)];
        let completed = events
            .lazy()
            .join(messages, key(), key(), JoinArgs::new(JoinType::Left))
            .with_columns(wanted.iter().map(filled).collect::<Vec<_>>());
        collect_streaming(completed)
    }

    /// Adds events to what their unit changes, or takes them away.
    fn add(
        &self,
        events: &DataFrame,
        unit: &Unit,
        deltas: &mut [Delta],
        is_plus: bool,
    ) -> Result<(), AnalyzeError> {
        for (cut, delta) in unit.cuts.iter().zip(deltas) {
            let cut = &self.cuts[*cut];
            let events = exploded(with_unhosted(events.clone().lazy(), cut), cut);
            if self.measure == Measure::Pairs {
                let lists = pairs(events, cut, self.scan.service).collect()?;
                take_pairs(&lists, cut, delta, is_plus)?;
            } else {
                let events = events.collect()?;
                take_outcomes(&events, &words_of(&events, cut)?, delta, is_plus)?;
            }
        }
        Ok(())
    }

    /// The scopes that have rows in a day, without what other rows tell of them.
    pub(super) fn scopes(&self, day: i64) -> Result<Vec<Delta>, AnalyzeError> {
        let counted = self.scan.rows(day, day)?.filter(measures::is_counted_kind());
        let rows = self.prepared(counted);
        let mut deltas = Vec::with_capacity(self.cuts.len());
        for cut in self.cuts {
            let scopes = exploded(with_unhosted(rows.clone(), cut), cut)
                .group_by(columns_of(cut))
                .agg([len()]);
            let scopes = collect_streaming(scopes)?;
            let words = words_of(&scopes, cut)?;
            let mut delta = Delta::default();
            for row in 0..scopes.height() {
                delta.scopes.entry(values_at(&words, row)).or_default();
            }
            deltas.push(delta);
        }
        Ok(deltas)
    }
}

/// Domains with the providers that rows of a day know: a bounce tells who hosts a domain, a send does not.
pub(super) fn hosts(scan: &Scan, day: i64) -> Result<Delta, AnalyzeError> {
    let provider = measures::word(&ScopeWord::Column(table::PROVIDER));
    let hosts = scan
        .rows(day, day)?
        .filter(measures::is_of(scan.service))
        .select([col(table::RECIPIENT_DOMAIN), provider])
        .filter(col(table::PROVIDER).is_not_null().and(col(table::RECIPIENT_DOMAIN).is_not_null()))
        .group_by([col(table::RECIPIENT_DOMAIN)])
        .agg([col(table::PROVIDER).max()]);
    let hosts = collect_streaming(hosts)?;
    let columns =
        [hosts.column(table::RECIPIENT_DOMAIN)?.str()?, hosts.column(table::PROVIDER)?.str()?];
    let mut delta = Delta::default();
    for row in 0..hosts.height() {
        delta.scopes.entry(values_at(&columns, row)).or_default();
    }
    Ok(delta)
}

/// Lists of the times of pairs by scope.
fn pairs(events: LazyFrame, cut: &Cut, service: Service) -> LazyFrame {
    let tried = Outcome::FINAL_BOUNCES
        .into_iter()
        .chain([Outcome::passed_on(service)])
        .map(|outcome| col(OUTCOME).eq(lit(outcome.code())))
        .reduce(Expr::or)
        .expect("there are outcomes");
    let names = columns_of(cut);
    let pair = [names.clone(), vec![col(table::MESSAGE_KEY), col(table::RECIPIENT)]].concat();
    events.filter(tried).group_by(pair).agg([col(TIME).min()]).group_by(names).agg([col(TIME)])
}

/// Takes lists of the times of pairs into a delta.
fn take_pairs(
    lists: &DataFrame,
    cut: &Cut,
    delta: &mut Delta,
    is_plus: bool,
) -> Result<(), AnalyzeError> {
    let words = words_of(lists, cut)?;
    let times = lists.column(TIME)?.list()?;
    for row in 0..lists.height() {
        let Some(times) = times.get_as_series(row) else { continue };
        let times = times.i64()?.into_no_null_iter().collect();
        delta.take(values_at(&words, row), PAIRS, times, is_plus);
    }
    Ok(())
}

fn is_provider(word: &ScopeWord) -> bool {
    *word == ScopeWord::Column(table::PROVIDER)
}

/// Where a cut asks for providers: with the domain to which mail went whose provider is not known.
fn with_unhosted(events: LazyFrame, cut: &Cut) -> LazyFrame {
    if !cut.0.iter().any(is_provider) {
        return events;
    }
    let unhosted = when(col(table::PROVIDER).is_null())
        .then(col(table::RECIPIENT_DOMAIN))
        .otherwise(lit(NULL))
        .alias(UNHOSTED);
    events.with_columns([unhosted])
}

/// Name of the column that holds what a message's other events know.
fn of_message(name: &str) -> String {
    format!("{name} of message")
}

/// A value, or another where it is null.
fn or_else(value: Expr, other: Expr) -> Expr {
    when(value.clone().is_null()).then(other).otherwise(value)
}

/// One row for each value of a tag that has several.
fn exploded(events: LazyFrame, cut: &Cut) -> LazyFrame {
    cut.0.iter().fold(events, |events, word| {
        let name = word.name();
        match word {
            ScopeWord::Tag(_) => {
                events.with_columns([col(&name).str().split(lit(measures::TAG_SEPARATOR))]).explode(
                    by_name([name.as_str()], true, false),
                    ExplodeOptions { empty_as_null: true, keep_nulls: true },
                )
            }
            ScopeWord::Column(_) => events,
        }
    })
}

/// Names of the columns by which a cut groups.
fn names_of(cut: &Cut) -> impl Iterator<Item = String> {
    let unhosted = cut.0.iter().any(is_provider).then(|| UNHOSTED.to_owned());
    cut.0.iter().map(ScopeWord::name).chain(unhosted)
}

/// The columns by which a cut groups.
fn columns_of(cut: &Cut) -> Vec<Expr> {
    names_of(cut).map(col).collect()
}

/// The columns of a cut's words in a frame.
fn words_of<'f>(frame: &'f DataFrame, cut: &Cut) -> Result<Vec<&'f StringChunked>, AnalyzeError> {
    let mut words = Vec::with_capacity(cut.0.len());
    for name in names_of(cut) {
        words.push(frame.column(&name)?.str()?);
    }
    Ok(words)
}

fn values_at(words: &[&StringChunked], row: usize) -> ScopeValues {
    words.iter().map(|word| word.get(row).map(str::to_owned)).collect()
}
