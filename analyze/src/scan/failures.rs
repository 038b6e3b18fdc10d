//! Single failures with their fields: bounces, complaints and delays. Copies are merged as for timelines: the
//! earliest time, the greatest known value of each text, and values of the message from its other events.
//!
//! Only rows of failures are kept in memory, in compact form, for all queries of a scan. If there are many, they are
//! processed in shards by message.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use bouncewatch_schemas::event::{EventKind, Service};
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{DAY_MS, day_of};
use polars::prelude::*;

use crate::error::AnalyzeError;
use crate::scan::domain_providers::{DomainProviders, domain_providers};
use crate::scan::event::CLOCK_SLACK_MS;
use crate::scan::event_rows::EventRows;
use crate::scan::expressions;
use crate::scan::failure::{FAILURE_TEXTS, Failure, FailureQuery};
use crate::scan::frames::{
    collect_streaming, count_rows, filter_before_decoding, fold_batches, fold_batches_until,
};
use crate::scan::loaded_failures::{FailureCache, FailureFields, LoadedFailures};
use crate::scan::message_keys::{MessageKeys, rows_of_messages};
use crate::scan::read_rows::{append_rows, event_columns, shard_of};
use crate::scan::store_scan::RowPart::WithFailures;
use crate::scan::store_scan::StoreScan;
use crate::scan::string_interner::NO_TEXT;
use crate::timeline::Dimension;

/// Messages that can have failures before a span.
#[derive(Debug)]
struct EarlyMessages {
    keys: MessageKeys,
    /// The earliest send time.
    oldest: i64,
}

impl Default for EarlyMessages {
    fn default() -> Self {
        Self { keys: MessageKeys::default(), oldest: i64::MAX }
    }
}

impl EarlyMessages {
    /// Those of the failures of a span, which starts on `first_day`.
    fn of(rows: &EventRows<FailureFields>, first_day: i64) -> Self {
        let mut early = Self::default();
        for (fields, _) in rows.rows() {
            let sent_at = fields.event.earliest_send_time(Service::Ses);
            if sent_at < sent_before(first_day) {
                early.add(fields.event.message, sent_at);
            }
        }
        early
    }

    fn add(&mut self, message: u64, sent_at: i64) {
        self.keys.insert(message);
        self.oldest = self.oldest.min(sent_at);
    }
}

/// Known values of messages, by message key and index of the text.
type MessageValues = HashMap<(u64, usize), String>;

impl StoreScan {
    /// Calls `each` with every event of a query, in arbitrary order.
    pub(crate) fn failures(
        &self,
        query: &FailureQuery<'_>,
        mut each: impl FnMut(&Failure<'_>),
    ) -> Result<(), AnalyzeError> {
        let (first_day, last_day) = query.days();
        let providers = if query.dimensions.contains(&Dimension::Column(table::PROVIDER)) {
            domain_providers(self, query.to)?
        } else {
            DomainProviders::new()
        };
        if let Some(LoadedFailures { names, rows, .. }) =
            self.loaded_failures(query, first_day, last_day)?.as_deref()
        {
            let message_values = self.message_values(rows, names, query, last_day)?;
            emit(rows, names, query, &message_values, &providers, &mut each);
            return Ok(());
        }
        let is_wanted = self.is_wanted_failure(query);
        let columns = columns(query.dimensions);
        let rows = || -> Result<LazyFrame, AnalyzeError> {
            let uses = columns.iter().chain([&is_wanted]);
            Ok(self.rows_of(WithFailures, first_day, last_day, uses)?.filter(is_wanted.clone()))
        };
        let older = match query.after {
            Some(_) => {
                let early = self.early_messages(&is_wanted, first_day, last_day)?;
                self.older_copies(&is_wanted, query, first_day, early)?
            }
            None => None,
        };
        let names = text_names(query.dimensions);
        let of_version = |rows: LazyFrame| rows.filter(is_wanted.clone());
        let parts = self
            .rows_by_version(WithFailures, first_day, last_day, [&is_wanted])?
            .into_iter()
            .map(of_version);
        let shards = count_rows(parts.collect())?.div_ceil(self.limits.failure_shard).max(1);
        for shard in 0..shards {
            let of_shard = |rows: LazyFrame| shard_of(rows, shard, shards);
            let frame = of_shard(rows()?).select(&columns);
            let (service, target) = (self.service, EventRows::new(names.len()));
            let own_names = names.clone();
            let mut failures = fold_batches(frame, target, move |batch, target| {
                append_failures(batch, &own_names, service, target)
            })?;
            if let Some(older) = &older {
                let older = of_shard(older.clone().lazy()).collect()?;
                append_failures(&older, &names, service, &mut failures)?;
            }
            let message_values = self.message_values(&failures, &names, query, last_day)?;
            emit(&failures, &names, query, &message_values, &providers, &mut each);
        }
        Ok(())
    }

    /// Loads the failures of a query, for it and for later queries. Returns false if there are too many.
    pub(crate) fn load_failures(&self, query: &FailureQuery<'_>) -> Result<bool, AnalyzeError> {
        let (first_day, last_day) = query.days();
        Ok(self.loaded_failures(query, first_day, last_day)?.is_some())
    }

    /// Frees the loaded failures.
    pub(crate) fn drop_failures(&self) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = FailureCache::default();
    }

    /// Loads all failures from `first_day` to `last_day` with the texts of a query, unless they are loaded. Returns
    /// `None` if there are too many, or if the query is for some recipients only.
    fn loaded_failures(
        &self,
        query: &FailureQuery<'_>,
        first_day: i64,
        last_day: i64,
    ) -> Result<Option<Arc<LoadedFailures>>, AnalyzeError> {
        let names = text_names(query.dimensions);
        let mut cache = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let has_all = |loaded: &&Arc<LoadedFailures>| {
            self.days(first_day, loaded.first_day.saturating_sub(1)).is_empty()
                && self.days(loaded.last_day.saturating_add(1), last_day).is_empty()
                && names.iter().all(|name| loaded.names.contains(name))
        };
        if let Some(loaded) = cache.loaded.as_ref().filter(has_all) {
            return Ok(Some(Arc::clone(loaded)));
        }
        let has_too_many = |(first, last)| first_day <= first && last <= last_day;
        if query.recipients.is_some() || cache.too_many.is_some_and(has_too_many) {
            return Ok(None);
        }
        if self.rows_of_failures(first_day, last_day)? > self.limits.loaded_failures {
            cache.too_many = Some((first_day, last_day));
            return Ok(None);
        }
        cache.loaded = None;
        let query = FailureQuery { kinds: &EventKind::FAILURE_KINDS, ..*query };
        let is_wanted = self.is_wanted_failure(&query);
        let columns = columns(query.dimensions);
        let uses = columns.iter().chain([&is_wanted]);
        let rows = self.rows_of(WithFailures, first_day, last_day, uses)?;
        // few rows are failures: decode the kind of all rows, and the other columns of failures
        let rows = filter_before_decoding(rows, is_of_kind(&query));
        let frame = rows.filter(is_wanted.clone()).select(&columns);
        let (service, limit) = (self.service, self.limits.loaded_failures);
        let own_names = names.clone();
        let mut rows =
            fold_batches_until(frame, EventRows::new(names.len()), move |batch, rows| {
                append_failures(batch, &own_names, service, rows)?;
                Ok(rows.len() > limit)
            })?;
        if rows.len() > limit {
            cache.too_many = Some((first_day, last_day));
            return Ok(None);
        }
        if query.after.is_some() {
            let early = EarlyMessages::of(&rows, first_day);
            if let Some(older) = self.older_copies(&is_wanted, &query, first_day, early)? {
                append_failures(&older, &names, service, &mut rows)?;
            }
        }
        let loaded = Arc::new(LoadedFailures { first_day, last_day, names, rows });
        cache.loaded = Some(Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// Whether a row is a failure of a query, at any time.
    fn is_wanted_failure(&self, query: &FailureQuery<'_>) -> Expr {
        let is_of_recipient = query.recipients.map_or(lit(true), |recipients| {
            // a complaint report can list several recipients, so all complaints are read
            expressions::is_kind(EventKind::Complaint).or(expressions::is_recipient(recipients))
        });
        is_of_kind(query)
            .and(self.is_counted_mail())
            .and(is_of_recipient)
            .and(col(table::EVENT_AT).is_not_null())
    }

    /// Returns rows before the span that are copies of events in the span. The time of an event is that of its earliest
    /// copy, so such an event can be outside the span. `early` are the messages of these events.
    fn older_copies(
        &self,
        is_wanted: &Expr,
        query: &FailureQuery<'_>,
        first_day: i64,
        early: EarlyMessages,
    ) -> Result<Option<DataFrame>, AnalyzeError> {
        let first = first_day_of(early.oldest);
        if early.keys.is_empty() || self.days(first, first_day - 1).is_empty() {
            return Ok(None);
        }
        let columns = columns(query.dimensions);
        let uses = columns.iter().chain([is_wanted]);
        let older = self.rows_of(WithFailures, first, first_day - 1, uses)?;
        let older =
            rows_of_messages(older, Arc::new(early.keys)).filter(is_wanted.clone()).select(columns);
        Ok(Some(collect_streaming(older)?))
    }

    /// Reads the messages with failures in the span that can have failures before it.
    fn early_messages(
        &self,
        is_wanted: &Expr,
        first_day: i64,
        last_day: i64,
    ) -> Result<EarlyMessages, AnalyzeError> {
        let mut early = EarlyMessages::default();
        if self.days(i64::MIN, first_day - 1).is_empty() {
            return Ok(early);
        }
        let keys = [col(table::MESSAGE_KEY), sent_at()];
        let messages = self
            .rows_of(WithFailures, first_day, last_day, keys.iter().chain([is_wanted]))?
            .filter(is_wanted.clone())
            .select(keys)
            .filter(col(table::SENT_AT).lt(lit(sent_before(first_day))))
            .group_by([col(table::MESSAGE_KEY)])
            .agg([col(table::SENT_AT).min()]);
        let messages = collect_streaming(messages)?;
        let keys = messages.column(table::MESSAGE_KEY)?.i64()?.iter().flatten();
        let sent = messages.column(table::SENT_AT)?.i64()?.iter().flatten();
        keys.zip(sent).for_each(|(key, sent_at)| early.add(key.cast_unsigned(), sent_at));
        Ok(early)
    }

    /// Returns, for messages with failures that lack a value, the values of their other events of any kind.
    fn message_values(
        &self,
        failures: &EventRows<FailureFields>,
        names: &[String],
        query: &FailureQuery<'_>,
        last_day: i64,
    ) -> Result<MessageValues, AnalyzeError> {
        let of_message = query.dimensions.iter().filter(|dimension| dimension.is_of_message());
        let wanted: Vec<(usize, &Dimension)> = of_message
            .filter_map(|one| Some((names.iter().position(|name| *name == one.name())?, one)))
            .collect();
        let mut values = MessageValues::new();
        if wanted.is_empty() {
            return Ok(values);
        }
        let (mut messages, mut oldest) = (MessageKeys::default(), i64::MAX);
        failures.for_each_event(|fields, ids| {
            // the first text is the kind
            let kind = failures.text(ids[0]).and_then(EventKind::parse);
            let is_of_query = query.is_in_span(fields.event.at)
                && kind.is_some_and(|kind| query.kinds.contains(&kind));
            if is_of_query && wanted.iter().any(|(at, _)| ids[*at] == NO_TEXT) {
                messages.insert(fields.event.message);
                oldest = oldest.min(fields.event.earliest_send_time(self.service));
            }
        });
        if messages.is_empty() {
            return Ok(values);
        }
        let key = || [col(table::MESSAGE_KEY)];
        // tags are evaluated after the filter, for the remaining rows only
        let dimensions =
            wanted.iter().map(|(_, dimension)| expressions::dimension_value(dimension));
        let greatest = wanted.iter().map(|(_, dimension)| col(dimension.name()).max());
        let (is_counted, columns) = (self.is_counted_mail(), source_columns(&wanted));
        let uses = columns.iter().chain([&is_counted]);
        let rows = self.rows(first_day_of(oldest), last_day, uses)?;
        let found = rows_of_messages(rows, Arc::new(messages)).filter(is_counted).select(columns);
        let found = collect_streaming(found)?
            .lazy()
            .select(key().into_iter().chain(dimensions).collect::<Vec<_>>())
            .group_by(key())
            .agg(greatest.collect::<Vec<_>>());
        let found = collect_streaming(found)?;
        let keys = found.column(table::MESSAGE_KEY)?.i64()?;
        for (at, dimension) in &wanted {
            let column = found.column(&dimension.name())?.str()?;
            for row in 0..found.height() {
                if let (Some(message), Some(value)) = (keys.get(row), column.get(row)) {
                    values.insert((message.cast_unsigned(), *at), value.to_owned());
                }
            }
        }
        Ok(values)
    }

    /// Whether mail is of the service of the query and counted by SES.
    pub(super) fn is_counted_mail(&self) -> Expr {
        expressions::is_of_service(self.service)
            .and(expressions::is_counted_mail(&self.own_domains))
    }
}

/// Whether a row is of a kind of a query.
fn is_of_kind(query: &FailureQuery<'_>) -> Expr {
    let kinds = query.kinds.iter().map(|kind| expressions::is_kind(*kind));
    kinds.reduce(Expr::or).unwrap_or_else(|| lit(false))
}

/// Returns the message key and the stored columns of some dimensions, each once: all tags are one column.
fn source_columns(dimensions: &[(usize, &Dimension)]) -> Vec<Expr> {
    let mut columns = vec![col(table::MESSAGE_KEY)];
    for (_, dimension) in dimensions {
        let column = match dimension {
            Dimension::Column(name) => col(*name),
            Dimension::Tag(_) => col(table::TAGS),
        };
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// The time before which a message was sent that can have events before `first_day`.
fn sent_before(first_day: i64) -> i64 {
    first_day.saturating_mul(DAY_MS).saturating_add(CLOCK_SLACK_MS)
}

/// Send time of a message; a message with an unknown send time may have been sent at any time.
fn sent_at() -> Expr {
    col(table::SENT_AT).cast(DataType::Int64).fill_null(lit(i64::MIN)).alias(table::SENT_AT)
}

/// Returns the first day that can have rows of a message. The clocks of a message's events differ,
/// possibly across midnight.
fn first_day_of(sent_at: i64) -> i64 {
    if sent_at == i64::MIN { sent_at } else { day_of(sent_at).saturating_sub(1) }
}

/// Returns the names of the texts of a failure: [`FAILURE_TEXTS`], then further dimensions of the query.
fn text_names(dimensions: &[Dimension]) -> Vec<String> {
    let mut names = FAILURE_TEXTS.map(str::to_owned).to_vec();
    for name in dimensions.iter().map(Dimension::name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Returns the columns of a failure.
fn columns(dimensions: &[Dimension]) -> Vec<Expr> {
    let mut columns = event_columns(&text_names(dimensions), true);
    columns.push(col(table::SMTP_CODE));
    columns.extend(FAILURE_TEXTS.map(col));
    let further = dimensions.iter().filter(|one| !FAILURE_TEXTS.contains(&one.name().as_str()));
    columns.extend(further.map(expressions::dimension_value));
    columns
}

/// Appends the rows of a frame.
fn append_failures(
    frame: &DataFrame,
    names: &[String],
    service: Service,
    rows: &mut EventRows<FailureFields>,
) -> PolarsResult<()> {
    let mut codes = frame.column(table::SMTP_CODE)?.i32()?.iter();
    append_rows(frame, names, service, rows, |event| FailureFields {
        event,
        smtp_code: codes.next().flatten(),
    })
}

/// Calls `each` with the events of the query's span.
fn emit(
    failures: &EventRows<FailureFields>,
    names: &[String],
    query: &FailureQuery<'_>,
    message_values: &MessageValues,
    providers: &DomainProviders,
    each: &mut impl FnMut(&Failure<'_>),
) {
    let dimensions: Vec<(Option<usize>, bool)> = query
        .dimensions
        .iter()
        .map(|dimension| {
            let at = names.iter().position(|name| *name == dimension.name());
            (at, *dimension == Dimension::Column(table::PROVIDER))
        })
        .collect();
    failures.for_each_event(|FailureFields { event, smtp_code }, ids| {
        if !query.is_in_span(event.at) {
            return;
        }
        let texts = std::array::from_fn(|at| failures.text(ids[at]));
        let Some(failure) = Failure::new(event, smtp_code, texts) else { return };
        if !query.is_for(&failure) {
            return;
        }
        let domain_provider = || {
            failure.recipient_domain.and_then(|domain| providers.get(domain)).map(String::as_str)
        };
        let value = |(at, is_provider): &(Option<usize>, bool)| {
            let own = at.and_then(|at| {
                let of_message = || message_values.get(&(event.message, at)).map(String::as_str);
                failures.text(ids[at]).or_else(of_message)
            });
            if *is_provider { own.or_else(domain_provider).or(Some(provider::OTHER)) } else { own }
        };
        let values = dimensions.iter().map(value).collect();
        each(&Failure { values, ..failure });
    });
}
