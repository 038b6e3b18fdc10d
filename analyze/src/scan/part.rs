//! The part of history that one question looks at: of closed days what is kept, of the others what their rows tell now.

use std::sync::{Mutex, PoisonError};

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::day_of;

use crate::error::AnalyzeError;
use crate::scan::changes::{Changes, Own, Unit, hosts};
use crate::scan::daily::{Daily, Delta, Measure, Shelf};
pub(super) use crate::scan::gather::Hosts;
use crate::scan::gather::{Exact, Span, gather, resolved};
use crate::scan::{History, Scan};
use crate::timeline::model::{Basis, Cut, ScopeWord};

/// Days for which older rows are looked for at once hold so many rows together: many, so that older days are read few
/// times; not all, because what they change is held meanwhile.
const ROWS_AT_ONCE: u64 = 5_000_000;
/// So many days always.
const DAYS_AT_ONCE: usize = 2;

/// How history is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    /// By what it is cut.
    pub(crate) cuts: &'a [Cut],
    /// By which time events belong to windows.
    pub(crate) basis: Basis,
    /// Nothing before this moment counts.
    pub(crate) counted_from: Option<i64>,
}

/// The part of history that one question looks at.
#[derive(Debug)]
pub(crate) struct Part<'a> {
    scan: &'a Scan,
    look: Look<'a>,
    first_day: i64,
    last_day: i64,
    to: i64,
    hosts: Hosts,
    /// What the days change, by cut.
    events: Vec<Vec<Daily>>,
    /// The same of pairs, where they are asked for.
    pairs: Option<Vec<Vec<Daily>>>,
}

/// The provider of each domain that some row of the whole history knows. It depends on nothing else that is asked.
pub(super) fn hosts_until(scan: &Scan, to: i64) -> Result<Hosts, AnalyzeError> {
    let Scan { store, service, .. } = scan;
    let shelf = Shelf::new(store, Measure::Hosts, Basis::Event, *service, &[], &[]);
    let mut all = Hosts::new();
    for day in scan.days(i64::MIN, i64::MAX) {
        let daily = of_day(scan, &shelf, day, to, |day| hosts(scan, day))?;
        for scope in daily.index.scopes {
            if let [Some(domain), Some(host)] = scope.values.as_slice() {
                let known = all.entry(domain.clone()).or_default();
                if host > known {
                    known.clone_from(host);
                }
            }
        }
    }
    Ok(all)
}

/// What a day alone tells.
fn of_day(
    scan: &Scan,
    shelf: &Shelf,
    day: i64,
    to: i64,
    make: impl Fn(i64) -> Result<Delta, AnalyzeError>,
) -> Result<Daily, AnalyzeError> {
    let fingerprint = scan.fingerprint(day, day);
    if let Some(kept) = shelf.read(day, |_| fingerprint) {
        return Ok(kept);
    }
    let mut daily = Daily::new(make(day)?, fingerprint, day);
    if is_closed(day, to) {
        shelf.keep(day, &mut daily);
    }
    Ok(daily)
}

/// Whether no more events are expected of a day.
fn is_closed(day: i64, to: i64) -> bool {
    day < day_of(to)
}

impl<'a> Part<'a> {
    /// The part that holds everything from `from` to `to`.
    pub(crate) fn new(
        scan: &'a Scan,
        look: Look<'a>,
        from: i64,
        to: i64,
    ) -> Result<Self, AnalyzeError> {
        let from = look.counted_from.map_or(from, |counted| from.max(counted));
        let mut part = Part {
            scan,
            look,
            // a day before, because copies may disagree by seconds, also across midnight
            first_day: day_of(from).saturating_sub(1),
            last_day: day_of(to).saturating_add(1),
            to,
            hosts: Hosts::new(),
            events: Vec::new(),
            pairs: None,
        };
        if look.cuts.iter().any(|cut| cut.0.contains(&ScopeWord::Column(table::PROVIDER))) {
            part.hosts = hosts_until(scan, to)?;
        }
        part.events = part.load(Measure::Events)?;
        Ok(part)
    }

    /// Timelines of everything in the part.
    pub(crate) fn history(&self, exact: &Exact) -> Result<History, AnalyzeError> {
        let Self { scan, look, first_day, to, .. } = *self;
        let from = look.counted_from.unwrap_or(i64::MIN);
        let span = Span { service: scan.service, first_day, from, to };
        let mut cuts = Vec::with_capacity(look.cuts.len());
        for (at, cut) in look.cuts.iter().enumerate() {
            let pairs = self.pairs.iter().filter_map(|pairs| pairs.get(at)).flatten();
            let dailies = self.events.get(at).into_iter().flatten().chain(pairs);
            let mut timelines = gather(span, cut, dailies, &self.hosts, exact)?;
            for (values, timeline) in &mut timelines {
                timeline.counted_from = look.counted_from;
                timeline.volumes = scan.volumes(cut, values)?;
            }
            cuts.push(timelines);
        }
        Ok(History { cuts })
    }

    /// Whether attempts of windows without sends are known.
    pub(crate) fn has_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// Asks for (message, recipient) pairs that were delivered or bounced for good: attempts of windows without sends.
    pub(crate) fn load_pairs(&mut self) -> Result<(), AnalyzeError> {
        self.pairs = Some(self.load(Measure::Pairs)?);
        Ok(())
    }

    /// Whether nothing older exists, or counts.
    pub(crate) fn is_all(&self) -> bool {
        let counts_older = self.look.counted_from.is_none_or(|from| day_of(from) <= self.first_day);
        !counts_older || self.scan.segments.first().is_none_or(|(day, _)| *day >= self.first_day)
    }

    /// Whether days before the part have scopes, of the first cuts, that a history of the part lacks.
    pub(crate) fn older_scopes_differ(
        &self,
        history: &History,
        asked: usize,
    ) -> Result<bool, AnalyzeError> {
        for (cut, timelines) in self.look.cuts.iter().zip(&history.cuts).take(asked) {
            let cuts = std::slice::from_ref(cut);
            let changes = Changes::new(self.scan, Measure::Scopes, self.look.basis, cuts);
            let shelf = self.shelf(Measure::Scopes, cut);
            for day in self.scan.days(i64::MIN, self.first_day - 1) {
                let scopes = of_day(self.scan, &shelf, day, self.to, |day| {
                    Ok(changes.scopes(day)?.pop().unwrap_or_default())
                })?;
                let is_new = |values| !timelines.contains_key(&resolved(cut, values, &self.hosts));
                if scopes.index.scopes.iter().any(|scope| is_new(&scope.values)) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn shelf(&self, measure: Measure, cut: &Cut) -> Shelf {
        let Scan { store, service, own_domains, .. } = self.scan;
        let words: Vec<String> = cut.0.iter().map(ScopeWord::name).collect();
        Shelf::new(store, measure, self.look.basis, *service, &words, own_domains)
    }

    /// What the days of the part change, by cut.
    fn load(&self, measure: Measure) -> Result<Vec<Vec<Daily>>, AnalyzeError> {
        let shelves: Vec<Shelf> =
            self.look.cuts.iter().map(|cut| self.shelf(measure, cut)).collect();
        let mut found: Vec<Vec<Daily>> = self.look.cuts.iter().map(|_| Vec::new()).collect();
        let mut units = Vec::new();
        let days = self.scan.days(self.first_day, self.last_day);
        for day in days.iter().copied().filter(|day| is_closed(*day, self.to)) {
            let mut missing = Vec::new();
            for (at, shelf) in shelves.iter().enumerate() {
                match shelf.read(day, |from| self.scan.fingerprint(from, day)) {
                    Some(kept) => found[at].push(kept),
                    None => missing.push(at),
                }
            }
            if !missing.is_empty() {
                units.push(Unit::new(self.scan, day, day, missing)?);
            }
        }
        let is_any_made = !units.is_empty();
        if let Some(first_day) = days.into_iter().find(|day| !is_closed(*day, self.to)) {
            let cuts = (0..self.look.cuts.len()).collect();
            units.push(Unit::new(self.scan, first_day, self.last_day, cuts)?);
        }
        let changes = Changes::new(self.scan, measure, self.look.basis, self.look.cuts);
        let mut left = units.as_slice();
        while !left.is_empty() {
            let mut rows = 0;
            let fits = |unit: &&Unit| {
                rows += unit.rows;
                rows <= ROWS_AT_ONCE
            };
            let number = left.iter().take_while(fits).count().max(DAYS_AT_ONCE).min(left.len());
            let (units, others) = left.split_at(number);
            left = others;
            let mut owns = Vec::with_capacity(units.len());
            for (unit, own) in
                units.iter().zip(side_by_side(units.iter(), |unit| changes.own(unit)))
            {
                owns.push((unit, own?));
            }
            let older = changes.older(&owns)?;
            let of_unit = |(unit, own): (&Unit, Own)| -> Result<Vec<Daily>, AnalyzeError> {
                let from = own.depends_from;
                let fingerprint = self.scan.fingerprint(from, unit.last_day);
                let deltas = changes.of(unit, own, &older);
                let mut dailies = Vec::with_capacity(deltas.len());
                for (cut, delta) in unit.cuts.iter().zip(deltas) {
                    let mut daily = Daily::new(delta, fingerprint, from);
                    if is_closed(unit.last_day, self.to) {
                        shelves[*cut].keep(unit.first_day, &mut daily);
                    }
                    dailies.push(daily);
                }
                Ok(dailies)
            };
            for (unit, dailies) in units.iter().zip(side_by_side(owns, of_unit)) {
                for (cut, daily) in unit.cuts.iter().zip(dailies?) {
                    found[*cut].push(daily);
                }
            }
        }
        if is_any_made {
            let there = self.scan.days(i64::MIN, i64::MAX);
            for shelf in &shelves {
                shelf.forget_others(|day| there.contains(&day));
            }
        }
        Ok(found)
    }
}

/// Does something for each of some things, as many at a time as there are processors; answers in their order.
fn side_by_side<T: Send, A: Send>(
    things: impl IntoIterator<Item = T>,
    of: impl Fn(T) -> Result<A, AnalyzeError> + Sync,
) -> Vec<Result<A, AnalyzeError>> {
    let things: Vec<T> = things.into_iter().collect();
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(things.len());
    let next = Mutex::new(things.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let thing = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, thing)) = thing else { return done };
            done.push((number, of(thing)));
        }
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, answer)| answer).collect()
}
