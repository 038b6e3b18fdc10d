//! Rows -> what they change in the timelines.
//!
//! What the rows of some days change is the difference between two counts: that of their messages with all rows up to
//! these days, and that of the same messages with the rows before them. Everything that is counted is counted by
//! message (copies of an event, pairs, reports, words that one event takes from another), so the changes of days that
//! follow each other add up to the count of all their rows.
//!
//! Rows are worked on in shards by message, so that memory does not grow with a day.

use std::collections::{BTreeSet, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::daily::{Delta, Measure};
use crate::scan::keys::{KeyHasher, Keys, of_messages};
use crate::scan::lists::{Gatherer, Scopes};
use crate::scan::measures::{self, Told};
use crate::scan::rows::{Fixed, NOTHING, Rows, Texts};
use crate::scan::{Scan, batches, collect_streaming, count_of};
use crate::timeline::model::{Basis, Cut, LEFT_OUT, NO_FEEDBACK, Outcome, ScopeWord};

/// In place of an outcome: (message, recipient) pairs that were tried.
pub(super) const PAIRS: i32 = -1;

/// Rows that are worked on at a time.
const SHARD_ROWS: u64 = 1_000_000;
/// By how much two clocks of one mail may disagree.
pub(super) const CLOCK_SLACK_MS: i64 = 3_600_000;
/// How long before an event of WorkMail, whose log does not tell it, its mail may have been handed in.
const TRACE_MS: i64 = 14 * DAY_MS;

/// Days that are worked on as one.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) first_day: i64,
    pub(super) last_day: i64,
    /// Which of the cuts want them.
    pub(super) cuts: Vec<usize>,
    /// How many rows they have.
    pub(super) rows: u64,
}

impl Unit {
    /// Days that some of the cuts want.
    pub(super) fn new(
        scan: &Scan,
        first_day: i64,
        last_day: i64,
        cuts: Vec<usize>,
    ) -> Result<Self, AnalyzeError> {
        let rows = count_of(scan.rows(first_day, last_day)?)?;
        Ok(Self { first_day, last_day, cuts, rows })
    }

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
    /// Of the texts of a row: those of the words, and of one more that is needed.
    names: Vec<String>,
}

/// A row, or what is merged of the copies of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) message: u64,
    key: u64,
    pub(super) at: i64,
    /// When its message was sent; [`NEVER`] where that is not known.
    sent_at: i64,
    pub(super) outcome: Outcome,
}

/// The clock of a mail without clock.
const NEVER: i64 = i64::MAX;

impl Event {
    /// By which it belongs to windows.
    pub(super) fn time(&self, basis: Basis) -> i64 {
        match basis {
            // a mail without clock was sent when its first event came
            Basis::Send if self.sent_at != NEVER => self.sent_at,
            Basis::Send | Basis::Event => self.at,
        }
    }

    /// When its message was sent at the earliest.
    pub(super) fn sent_after(&self, service: Service) -> i64 {
        match service {
            _ if self.sent_at != NEVER => self.sent_at,
            Service::Ses => i64::MIN,
            Service::WorkMail => self.at.saturating_sub(TRACE_MS),
        }
    }
}

impl Fixed for Event {
    fn keys(&self) -> (u64, u64) {
        (self.message, self.key)
    }

    fn merge(&mut self, copy: Self) {
        self.at = self.at.min(copy.at);
        self.sent_at = self.sent_at.min(copy.sent_at);
        self.outcome = self.outcome.max(copy.outcome);
    }
}

/// Messages, and of each the numbers of the texts that some event of it knows.
type Known = HashMap<u64, Vec<u32>, BuildHasherDefault<KeyHasher>>;

/// What the rows of a unit change, as far as they tell it alone, and the rows of messages that were sent before it: of
/// these it depends on what came earlier.
pub(super) struct Own {
    /// For each of the unit's cuts.
    deltas: Vec<Delta>,
    /// Rows of messages that were sent before the unit.
    late: Rows<Event>,
    /// These messages.
    messages: Keys,
    /// The first day whose segments make a difference to the unit.
    pub(super) depends_from: i64,
}

impl<'a> Changes<'a> {
    /// Changes of a measure, for cuts.
    pub(super) fn new(scan: &'a Scan, measure: Measure, basis: Basis, cuts: &'a [Cut]) -> Self {
        let words: BTreeSet<ScopeWord> =
            cuts.iter().flat_map(|cut| cut.0.iter().cloned()).collect();
        let mut names: Vec<String> = words.iter().map(ScopeWord::name).collect();
        // to which mail went whose provider is not known
        let has_provider = words.contains(&ScopeWord::Column(table::PROVIDER));
        let further = [
            (table::RECIPIENT_DOMAIN, has_provider),
            // what a pair is made of
            (table::RECIPIENT, measure == Measure::Pairs),
        ];
        for (name, is_needed) in further {
            if is_needed && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Self { scan, measure, basis, cuts, words: words.into_iter().collect(), names }
    }

    /// What the rows of a unit change, those of messages apart that were sent before it.
    pub(super) fn own(&self, unit: &Unit) -> Result<Own, AnalyzeError> {
        let begin = unit.start().saturating_add(CLOCK_SLACK_MS);
        let mut own = Own {
            deltas: unit.cuts.iter().map(|_| Delta::default()).collect(),
            late: Rows::new(self.names.len()),
            messages: Keys::default(),
            depends_from: unit.first_day,
        };
        let rows = || self.scan.rows(unit.first_day, unit.last_day);
        let shards = unit.rows.div_ceil(SHARD_ROWS).max(1);
        for shard in 0..shards {
            let rows = self.read(of_shard(rows()?, shard, shards), unit.rows / shards)?;
            let sent = rows.rows().map(|(row, _)| (row.message, row.sent_after(self.scan.service)));
            for (message, sent_after) in sent.filter(|(_, sent_after)| *sent_after < begin) {
                own.messages.insert(message);
                // clocks of one mail disagree by seconds, also across midnight
                own.depends_from = own.depends_from.min(day_of(sent_after).saturating_sub(1));
            }
            let is_late = |row: &Event| own.messages.contains(&row.message);
            self.add(&rows, |row| !is_late(row), unit, &mut own.deltas, true);
            own.late.extend_from(&rows, is_late);
        }
        Ok(own)
    }

    /// The older rows of the late messages of some units.
    pub(super) fn older(&self, units: &[(&Unit, Own)]) -> Result<Rows<Event>, AnalyzeError> {
        let first = units.iter().map(|(_, own)| own.depends_from).min().unwrap_or_default();
        let last = units.iter().map(|(unit, _)| unit.first_day - 1).max().unwrap_or_default();
        let messages: Keys =
            units.iter().flat_map(|(_, own)| own.messages.iter().copied()).collect();
        if messages.is_empty() || self.scan.days(first, last).is_empty() {
            return Ok(Rows::new(self.names.len()));
        }
        self.read(of_messages(self.scan.rows(first, last)?, Arc::new(messages)), 0)
    }

    /// What a unit changes, for each of its cuts.
    pub(super) fn of(&self, unit: &Unit, own: Own, older: &Rows<Event>) -> Vec<Delta> {
        let Own { mut deltas, late, messages, depends_from } = own;
        let days = depends_from.saturating_mul(DAY_MS)..unit.start();
        let is_before = |row: &Event| days.contains(&row.at) && messages.contains(&row.message);
        let mut before = Rows::new(self.names.len());
        before.extend_from(older, is_before);
        let mut both = late;
        both.extend_from(&before, |_| true);
        self.add(&before, |_| true, unit, &mut deltas, false);
        self.add(&both, |_| true, unit, &mut deltas, true);
        deltas
    }

    /// Reads rows that count, or tell something of their message; about so many.
    fn read(&self, rows: LazyFrame, about: u64) -> Result<Rows<Event>, AnalyzeError> {
        let mut columns = columns(&self.names);
        columns.extend(self.texts());
        let rows =
            rows.filter(self.is_wanted().and(col(table::EVENT_AT).is_not_null())).select(columns);
        let (service, names) = (self.scan.service, self.names.clone());
        let held = Rows::with_capacity(names.len(), usize::try_from(about).unwrap_or_default());
        batches(rows, held, move |batch, held| take(batch, &names, service, held, |event| event))
    }

    fn is_wanted(&self) -> Expr {
        let is_of_service = measures::is_of(self.scan.service);
        // who asks why mail is left out wants it
        if self.words.contains(&ScopeWord::Column(LEFT_OUT)) {
            is_of_service
        } else {
            is_of_service.and(measures::is_foreign_mail(&self.scan.own_domains))
        }
    }

    /// The columns of text of a row.
    fn texts(&self) -> Vec<Expr> {
        let text = |(at, name): (usize, &String)| match self.words.get(at) {
            Some(ScopeWord::Column(LEFT_OUT)) => {
                measures::left_out(&self.scan.own_domains).alias(LEFT_OUT)
            }
            Some(ScopeWord::Column(NO_FEEDBACK)) => measures::no_feedback().alias(NO_FEEDBACK),
            Some(word) => measures::word(word),
            None => col(name),
        };
        self.names.iter().enumerate().map(text).collect()
    }

    /// Adds the events among some rows to what their unit changes, or takes them away.
    fn add(
        &self,
        rows: &Rows<Event>,
        is_wanted: impl Fn(&Event) -> bool,
        unit: &Unit,
        deltas: &mut [Delta],
        is_plus: bool,
    ) {
        let known = self.known_of_messages(rows);
        let gatherer = |cut: &usize| {
            let cut = &self.cuts[*cut];
            Gatherer::new(cut, &self.names, self.measure, self.basis, self.scan.service)
        };
        let mut gatherers: Vec<Gatherer<'_>> = unit.cuts.iter().map(gatherer).collect();
        let mut filled = Vec::new();
        rows.events(|event, numbers| {
            if !is_wanted(&event) {
                return;
            }
            let mut numbers = numbers;
            if let Some(known) = known.get(&event.message) {
                filled.clear();
                let own_or_known =
                    |(own, known): (&u32, &u32)| if *own == NOTHING { *known } else { *own };
                filled.extend(numbers.iter().zip(known).map(own_or_known));
                numbers = &filled;
            }
            for gatherer in &mut gatherers {
                gatherer.take(event, numbers, rows.texts());
            }
        });
        for (gatherer, delta) in gatherers.into_iter().zip(deltas) {
            gatherer.finish(delta, is_plus);
        }
    }

    /// Of the messages of events that lack words: what their other events know.
    fn known_of_messages(&self, rows: &Rows<Event>) -> Known {
        let shared: Vec<usize> =
            (0..self.words.len()).filter(|at| self.words[*at].is_of_message()).collect();
        let lacks = |numbers: &[u32]| shared.iter().any(|at| numbers[*at] == NOTHING);
        let messages: Keys =
            rows.rows().filter(|(_, numbers)| lacks(numbers)).map(|(row, _)| row.message).collect();
        let mut known = Known::default();
        if messages.is_empty() {
            return known;
        }
        for (row, numbers) in rows.rows().filter(|(row, _)| messages.contains(&row.message)) {
            let told = shared.iter().filter(|at| numbers[**at] != NOTHING);
            for at in told {
                let of_message =
                    known.entry(row.message).or_insert_with(|| vec![NOTHING; numbers.len()]);
                of_message[*at] = rows.texts().greater(of_message[*at], numbers[*at]);
            }
        }
        known
    }

    /// The scopes that have rows in a day, without what other rows tell of them.
    pub(super) fn scopes(&self, day: i64) -> Result<Vec<Delta>, AnalyzeError> {
        let is_counted = measures::is_counted_kind().and(self.is_wanted());
        let rows = self.scan.rows(day, day)?.filter(is_counted);
        let names: Vec<Expr> = self.names.iter().map(col).collect();
        let found = collect_streaming(rows.select(self.texts()).group_by(names).agg([len()]))?;
        let mut columns = Vec::with_capacity(self.names.len());
        for name in &self.names {
            columns.push(found.column(name)?.str()?);
        }
        let mut deltas = Vec::with_capacity(self.cuts.len());
        for cut in self.cuts {
            let (mut scopes, mut texts) = (Scopes::new(cut, &self.names), Texts::default());
            for row in 0..found.height() {
                let numbers: Vec<u32> =
                    columns.iter().map(|column| texts.number(column.get(row))).collect();
                scopes.of(&numbers, &texts);
            }
            let mut delta = Delta::default();
            for values in scopes.values {
                delta.scopes.entry(values).or_default();
            }
            deltas.push(delta);
        }
        Ok(deltas)
    }
}

/// The columns that [`take`] reads beside texts of these names.
pub(super) fn columns(names: &[String]) -> Vec<Expr> {
    let further = Told::TEXTS.into_iter().filter(|name| !names.iter().any(|known| known == name));
    let mut columns = vec![
        col(table::MESSAGE_KEY),
        col(table::EVENT_KEY),
        col(table::EVENT_AT).cast(DataType::Int64),
        col(table::SENT_AT).cast(DataType::Int64),
        col(table::COUNTS),
    ];
    columns.extend(further.map(col));
    columns
}

/// Takes the rows of a frame, with texts of these names.
pub(super) fn take<F: Fixed>(
    frame: &DataFrame,
    names: &[String],
    service: Service,
    held: &mut Rows<F>,
    row: impl FnMut(Event) -> F,
) -> PolarsResult<()> {
    let mut texts = Vec::with_capacity(names.len());
    for name in names {
        texts.push(frame.column(name)?.str()?.iter());
    }
    let messages = frame.column(table::MESSAGE_KEY)?.u64()?.iter();
    let events = frame.column(table::EVENT_KEY)?.u64()?.iter();
    let times = frame.column(table::EVENT_AT)?.i64()?.iter();
    let sent = frame.column(table::SENT_AT)?.i64()?.iter();
    let rows = messages.zip(events).zip(times.zip(sent)).zip(outcomes(frame, service)?);
    let rows = rows.map(|(((message, key), (at, sent_at)), outcome)| Event {
        message: message.unwrap_or_default(),
        key: key.unwrap_or_default(),
        at: at.unwrap_or_default(),
        sent_at: sent_at.unwrap_or(NEVER),
        outcome,
    });
    held.extend(rows.map(row), texts.into_iter());
    Ok(())
}

/// What the rows of a frame are for the rates of a service.
fn outcomes(frame: &DataFrame, service: Service) -> PolarsResult<impl Iterator<Item = Outcome>> {
    let mut texts = Vec::with_capacity(Told::TEXTS.len());
    for name in Told::TEXTS {
        texts.push(frame.column(name)?.str()?.iter());
    }
    let counts = frame.column(table::COUNTS)?.bool()?.iter();
    Ok(counts.map(move |counts| {
        let mut next = texts.iter_mut().map(|texts| texts.next().flatten());
        let mut text = || next.next().flatten();
        let (kind, class, complaint_type, complaint_subtype) = (text(), text(), text(), text());
        Told { kind, class, counts, complaint_type, complaint_subtype }.outcome(service)
    }))
}

/// One of some shards of rows. All rows of a message are in the same one.
pub(super) fn of_shard(rows: LazyFrame, shard: u64, shards: u64) -> LazyFrame {
    if shards == 1 {
        return rows;
    }
    rows.filter((col(table::MESSAGE_KEY) % lit(shards)).eq(lit(shard)))
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
    let (domains, providers) =
        (hosts.column(table::RECIPIENT_DOMAIN)?.str()?, hosts.column(table::PROVIDER)?.str()?);
    let mut delta = Delta::default();
    for pair in domains.iter().zip(providers.iter()) {
        let values = [pair.0, pair.1].map(|text| text.map(str::to_owned)).to_vec();
        delta.scopes.entry(values).or_default();
    }
    Ok(delta)
}
