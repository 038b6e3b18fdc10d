//! The part of history that one question looks at: its rows as events, each once, and the events as timelines.

use std::collections::{BTreeMap, BTreeSet};

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use super::{HOST, History, Scan, Timelines, collect_streaming};
use crate::error::AnalyzeError;
use crate::measures;
use crate::model::{ACCOUNT_COLUMNS, Cut, Outcome, ScopeValues, ScopeWord, Timeline};

/// Rows that are worked on at a time.
const SHARD_ROWS: u64 = 1_000_000;
/// By how much two clocks of one mail may disagree.
const CLOCK_SLACK_MS: i64 = 3_600_000;
/// How long before an event of WorkMail, whose log does not tell it, its mail may have been handed in.
const TRACE_MS: i64 = 14 * DAY_MS;
/// The first columns of events are the keys.
const KEYS: usize = 2;
/// Column of the outcome's number.
const OUTCOME: &str = "outcome";

/// The part of history that one question looks at.
pub(crate) struct Part<'a> {
    scan: &'a Scan,
    first_day: i64,
    last_day: i64,
    to: i64,
    cuts: &'a [Cut],
    words: Vec<ScopeWord>,
    /// Into how many shards the rows are cut.
    shards: u64,
    /// Rows before the part, of messages that have rows in it; few, so they are read once.
    older: Option<DataFrame>,
    /// Who hosts a domain, where a cut asks for providers.
    hosts: Option<&'a DataFrame>,
}

impl<'a> Part<'a> {
    /// The part that holds everything from `from` to `to`.
    pub(crate) fn new(
        scan: &'a Scan,
        cuts: &'a [Cut],
        from: i64,
        to: i64,
    ) -> Result<Self, AnalyzeError> {
        let words: BTreeSet<ScopeWord> =
            cuts.iter().flat_map(|cut| cut.0.iter().cloned()).collect();
        let mut part = Part {
            scan,
            // a day before, because copies may disagree by seconds, also across midnight
            first_day: day_of(from) - 1,
            last_day: day_of(to) + 1,
            to,
            cuts,
            words: words.into_iter().collect(),
            shards: 1,
            older: None,
            hosts: None,
        };
        part.shards = part.shards_of_rows()?;
        part.older = part.older_rows()?;
        if part.words.contains(&ScopeWord::Column(table::PROVIDER)) {
            part.hosts = Some(scan.hosts()?);
        }
        Ok(part)
    }

    /// Timelines of everything in the part.
    pub(crate) fn history(&self) -> Result<History, AnalyzeError> {
        let mut cuts: Vec<Timelines> = self.cuts.iter().map(|_| Timelines::new()).collect();
        for shard in 0..self.shards {
            self.add(shard, &mut cuts)?;
        }
        // a scope of which only older sends are known has no events here
        for timelines in &mut cuts {
            if self.scan.service == Service::WorkMail {
                share_first_sends(timelines);
            }
            timelines.retain(|_, timeline| !timeline.times.is_empty());
        }
        sort(&mut cuts);
        Ok(History { cuts })
    }

    /// Adds (message, recipient) pairs that were delivered or bounced for good: attempts of windows without sends.
    pub(crate) fn add_all_pairs(&self, history: &mut History) -> Result<(), AnalyzeError> {
        for shard in 0..self.shards {
            self.add_pairs(shard, &mut history.cuts)?;
        }
        sort(&mut history.cuts);
        Ok(())
    }

    /// Whether nothing older exists.
    pub(crate) fn is_all(&self) -> bool {
        self.scan.segments.first().is_none_or(|(day, _)| *day >= self.first_day)
    }

    /// Whether days before the part have scopes that a history of the part lacks.
    pub(crate) fn older_scopes_differ(&self, history: &History) -> Result<bool, AnalyzeError> {
        for (cut, timelines) in self.cuts.iter().zip(&history.cuts) {
            let older =
                self.scan.rows(i64::MIN, self.first_day - 1)?.filter(measures::is_counted_kind());
            let names = columns_of(cut);
            let scopes = exploded(self.prepared(older, &[]), cut).group_by(names).agg([len()]);
            let scopes = collect_streaming(scopes)?;
            let words = words_of(&scopes, cut)?;
            if (0..scopes.height()).any(|row| !timelines.contains_key(&values_at(&words, row))) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Rows in days before the part, of messages that have rows in it.
    fn older_rows(&self) -> Result<Option<DataFrame>, AnalyzeError> {
        if self.is_all() {
            return Ok(None);
        }
        // clocks of one mail disagree by seconds; a mail without clock may have been sent at any time
        let long_ago = match self.scan.service {
            Service::Ses => lit(i64::MIN),
            Service::WorkMail => col(table::EVENT_AT).cast(DataType::Int64) - lit(TRACE_MS),
        };
        let sent_at =
            col(table::SENT_AT).cast(DataType::Int64).fill_null(long_ago).alias(table::SENT_AT);
        let messages = self
            .scan
            .rows(self.first_day, self.last_day)?
            .filter(
                measures::is_of(self.scan.service)
                    .and(measures::is_counted_kind())
                    .and(sent_at.clone().lt(lit(self.start().saturating_add(CLOCK_SLACK_MS)))),
            )
            .group_by([col(table::MESSAGE_KEY)])
            .agg([sent_at.min()])
            .collect()?;
        let Some(oldest) = messages.column(table::SENT_AT)?.i64()?.min() else { return Ok(None) };
        let keys = messages.lazy().select([col(table::MESSAGE_KEY)]);
        let older = self.scan.rows(day_of(oldest).saturating_sub(1), self.first_day - 1)?;
        let key = || [col(table::MESSAGE_KEY)];
        let older = older.join(keys, key(), key(), JoinArgs::new(JoinType::Semi));
        collect_streaming(self.prepared(older, &[table::RECIPIENT, table::RECIPIENT_DOMAIN]))
            .map(Some)
    }

    /// Into how many shards the rows shall be cut.
    fn shards_of_rows(&self) -> Result<u64, AnalyzeError> {
        let rows = self.scan.rows(self.first_day, self.last_day)?.select([len()]).collect()?;
        let count = rows.columns().first().and_then(|column| column.get(0).ok()?.extract::<u64>());
        Ok(count.unwrap_or_default().div_ceil(SHARD_ROWS).max(1))
    }

    /// Names of the columns that events are made of: the two keys, the time, the outcome, the words, and further ones.
    fn columns(&self, further: &[&str]) -> Vec<String> {
        let fixed =
            [table::MESSAGE_KEY, table::EVENT_KEY, table::EVENT_AT, OUTCOME].map(str::to_owned);
        let words = self.words.iter().map(ScopeWord::name);
        let mut names: Vec<String> = fixed.into_iter().chain(words).collect();
        for column in further {
            if !names.iter().any(|name| name == column) {
                names.push((*column).to_owned());
            }
        }
        names
    }

    /// Rows that count at all, with the columns that events are made of.
    fn prepared(&self, rows: LazyFrame, further: &[&str]) -> LazyFrame {
        let words: Vec<String> = self.words.iter().map(ScopeWord::name).collect();
        let column = |name: &String| match name.as_str() {
            OUTCOME => measures::outcome().alias(OUTCOME),
            table::EVENT_AT => col(name).cast(DataType::Int64),
            _ => match words.iter().position(|word| word == name) {
                Some(at) => measures::word(&self.words[at]),
                None => col(name),
            },
        };
        let columns: Vec<Expr> = self.columns(further).iter().map(column).collect();
        let is_foreign = measures::is_foreign_mail(&self.scan.own_domains);
        rows.filter(measures::is_of(self.scan.service).and(is_foreign)).select(columns)
    }

    /// The events of one shard, each once: the earliest of its times, and of each word the value that is known. Where
    /// copies disagree the greatest value is taken, so that order makes no difference.
    fn events(&self, shard: u64, further: &[&str]) -> Result<DataFrame, AnalyzeError> {
        let mut further = further.to_vec();
        if self.hosts.is_some() {
            further.push(table::RECIPIENT_DOMAIN);
        }
        let mine = |rows: LazyFrame| {
            let shard_of_row = col(table::MESSAGE_KEY) % lit(self.shards);
            if self.shards > 1 { rows.filter(shard_of_row.eq(lit(shard))) } else { rows }
        };
        let within = self.scan.rows(self.first_day, self.last_day)?;
        let mut rows = self.prepared(mine(within), &further);
        if let Some(older) = &self.older {
            let columns: Vec<Expr> = self.columns(&further).iter().map(col).collect();
            rows =
                concat([rows, mine(older.clone().lazy()).select(columns)], UnionArgs::default())?;
        }
        let merge = |name: &String| match name.as_str() {
            table::EVENT_AT => col(name).min(),
            _ => col(name).max(),
        };
        let merged: Vec<Expr> = self.columns(&further).iter().skip(KEYS).map(merge).collect();
        let events = rows.group_by([col(table::MESSAGE_KEY), col(table::EVENT_KEY)]).agg(merged);
        let events = collect_streaming(events)?;
        self.completed(events)
    }

    /// Fills words that an event lacks from the other events of its message, and providers from the domain.
    fn completed(&self, events: DataFrame) -> Result<DataFrame, AnalyzeError> {
        let mut wanted = Vec::new();
        for word in self.words.iter().filter(|word| word.is_of_message()) {
            if events.column(&word.name())?.has_nulls() {
                wanted.push(word.name());
            }
        }
        let mut completed = events.clone().lazy();
        if !wanted.is_empty() {
            let known = |name: &String| col(name).max().alias(of_message(name));
            let messages = events
                .lazy()
                .group_by([col(table::MESSAGE_KEY)])
                .agg(wanted.iter().map(known).collect::<Vec<_>>());
            let filled = |name: &String| or_else(col(name), col(of_message(name))).alias(name);
            let key = || [col(table::MESSAGE_KEY)];
            completed = completed
                .join(messages, key(), key(), JoinArgs::new(JoinType::Left))
                .with_columns(wanted.iter().map(filled).collect::<Vec<_>>());
        }
        if let Some(hosts) = self.hosts {
            let key = || [col(table::RECIPIENT_DOMAIN)];
            let known = or_else(col(table::PROVIDER), or_else(col(HOST), lit(provider::OTHER)));
            completed = completed
                .join(hosts.clone().lazy(), key(), key(), JoinArgs::new(JoinType::Left))
                .with_columns([known.alias(table::PROVIDER)]);
        }
        collect_streaming(completed)
    }

    /// First moment from which the part is complete.
    fn start(&self) -> i64 {
        self.first_day.saturating_mul(DAY_MS)
    }

    /// Adds the events of one shard to the timelines.
    fn add(&self, shard: u64, timelines: &mut [Timelines]) -> Result<(), AnalyzeError> {
        let counted = col(OUTCOME).neq(lit(Outcome::Other.code()));
        let until = col(table::EVENT_AT).lt_eq(lit(self.to));
        let events = self.events(shard, &[])?.lazy().filter(counted.and(until)).collect()?;
        for (cut, timelines) in self.cuts.iter().zip(timelines) {
            let names = columns_of(cut);
            let events = exploded(events.clone().lazy(), cut);
            let is_complaint = || col(OUTCOME).eq(lit(Outcome::Complaint.code()));
            // one report is one complaint, however many recipients it lists
            let report =
                [names.clone(), vec![col(table::MESSAGE_KEY), col(table::EVENT_AT), col(OUTCOME)]]
                    .concat();
            let reports = events
                .clone()
                .filter(is_complaint())
                .group_by(report.clone())
                .agg([len().alias("recipients")]);
            let all = concat(
                [
                    events.filter(is_complaint().not()).select(report.clone()),
                    reports.select(report),
                ],
                UnionArgs::default(),
            )?;
            let by = [names, vec![col(OUTCOME)]].concat();
            let lists = all.group_by(by).agg([col(table::EVENT_AT)]).collect()?;
            self.take_lists(&lists, cut, timelines)?;
        }
        Ok(())
    }

    /// Takes lists of times into the timelines of their scopes. What lies before the part is not complete, so of that
    /// only the first send and the first delivery of a scope are kept.
    fn take_lists(
        &self,
        lists: &DataFrame,
        cut: &Cut,
        timelines: &mut Timelines,
    ) -> Result<(), AnalyzeError> {
        each_list(lists, cut, |values, outcome, mut times| {
            let Some(outcome) = outcome.and_then(Outcome::of_code) else { return };
            let timeline = self.timeline(timelines, values);
            let first = |known: Option<i64>| times.iter().copied().chain(known).min();
            match outcome {
                Outcome::Send => timeline.first_send = first(timeline.first_send),
                Outcome::Delivery => timeline.first_delivery = first(timeline.first_delivery),
                _ => {}
            }
            times.retain(|time| *time >= self.start());
            if !times.is_empty() {
                timeline.times.entry(outcome).or_default().extend(times);
            }
        })
    }

    /// The timeline of a scope, which is begun if there is none.
    fn timeline<'t>(&self, timelines: &'t mut Timelines, values: ScopeValues) -> &'t mut Timeline {
        timelines.entry(values).or_insert_with(|| Timeline::new(self.scan.service))
    }

    /// Adds the pairs of one shard.
    fn add_pairs(&self, shard: u64, timelines: &mut [Timelines]) -> Result<(), AnalyzeError> {
        let time = || col(table::EVENT_AT);
        let tried = Outcome::FINAL_BOUNCES
            .into_iter()
            .chain([Outcome::passed_on(self.scan.service)])
            .map(|outcome| col(OUTCOME).eq(lit(outcome.code())))
            .reduce(Expr::or)
            .expect("there are outcomes");
        let events = self.events(shard, &[table::RECIPIENT])?.lazy().filter(tried).collect()?;
        for (cut, timelines) in self.cuts.iter().zip(timelines) {
            let names = columns_of(cut);
            let pair =
                [names.clone(), vec![col(table::MESSAGE_KEY), col(table::RECIPIENT)]].concat();
            let pairs = exploded(events.clone().lazy(), cut)
                .group_by(pair)
                .agg([col(table::EVENT_AT).min(), col(OUTCOME).max()])
                .filter(time().gt_eq(lit(self.start())).and(time().lt_eq(lit(self.to))));
            let lists =
                pairs.group_by(names).agg([col(table::EVENT_AT), col(OUTCOME).max()]).collect()?;
            each_list(&lists, cut, |values, _, times| {
                self.timeline(timelines, values).delivered_or_bounced.extend(times);
            })?;
        }
        Ok(())
    }
}

/// Gives each scope the first send of its account and region: it tells that sends are reported, and a scope whose mail
/// all bounced has none of its own.
fn share_first_sends(timelines: &mut Timelines) {
    let account =
        |values: &ScopeValues| values.iter().take(ACCOUNT_COLUMNS.len()).cloned().collect();
    let mut firsts: BTreeMap<ScopeValues, i64> = BTreeMap::new();
    for (values, timeline) in timelines.iter() {
        if let Some(send) = timeline.first_send {
            let first = firsts.entry(account(values)).or_insert(send);
            *first = send.min(*first);
        }
    }
    for (values, timeline) in timelines {
        timeline.first_send = firsts.get(&account(values)).copied();
    }
}

fn sort(cuts: &mut [Timelines]) {
    cuts.iter_mut().flat_map(BTreeMap::values_mut).for_each(Timeline::sort);
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

/// The columns by which a cut groups.
fn columns_of(cut: &Cut) -> Vec<Expr> {
    cut.0.iter().map(|word| col(word.name())).collect()
}

/// The columns of a cut's words in a frame.
fn words_of<'f>(frame: &'f DataFrame, cut: &Cut) -> Result<Vec<&'f StringChunked>, AnalyzeError> {
    let mut words = Vec::with_capacity(cut.0.len());
    for word in &cut.0 {
        words.push(frame.column(&word.name())?.str()?);
    }
    Ok(words)
}

fn values_at(words: &[&StringChunked], row: usize) -> ScopeValues {
    words.iter().map(|word| word.get(row).map(str::to_owned)).collect()
}

/// Goes through a frame of scopes, outcomes and lists of times.
fn each_list(
    lists: &DataFrame,
    cut: &Cut,
    mut each: impl FnMut(ScopeValues, Option<i32>, Vec<i64>),
) -> Result<(), AnalyzeError> {
    let words = words_of(lists, cut)?;
    let outcomes = lists.column(OUTCOME)?.i32()?;
    let times = lists.column(table::EVENT_AT)?.list()?;
    for row in 0..lists.height() {
        let Some(times) = times.get_as_series(row) else { continue };
        each(values_at(&words, row), outcomes.get(row), times.i64()?.into_no_null_iter().collect());
    }
    Ok(())
}
