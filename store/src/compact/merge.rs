//! Copies of an event -> one row, where that loses nothing. Pure.
//!
//! The scan takes of all copies the earliest time and of each word the greatest known value (invariant I-5). Rows here
//! become one only where they do not contradict each other, so that it finds the same in the merged row. Copies that
//! contradict each other all stay: which of them is right is not decided here.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow_ord::ord::{DynComparator, make_comparator};
use arrow_schema::{ArrowError, SortOptions};
use arrow_select::take::take;
use bouncewatch_schemas::provider;
use bouncewatch_schemas::table;

/// What copies do with a column when they become one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// They must be alike, null for null: together these columns tell what the event is for the rates.
    Alike,
    /// Those that know a value must agree, and the row takes it.
    Known,
    /// The row takes the smallest known value: the earliest time, of the channels the one that tells more.
    Smallest,
    /// The row takes the greatest known value; it describes how a copy came, and nothing hangs on it.
    Greatest,
}

/// The rule of a column. What is not named here must agree.
fn rule(column: &str) -> Rule {
    match column {
        table::KIND
        | table::SERVICE
        | table::RECIPIENT_DOMAIN
        | table::BOUNCE_TYPE
        | table::BOUNCE_SUBTYPE
        | table::COMPLAINT_TYPE
        | table::COMPLAINT_SUBTYPE
        | table::DELAY_TYPE
        | table::CLASS
        | table::COUNTS
        | table::MESSAGE_KEY
        | table::EVENT_KEY => Rule::Alike,
        table::EVENT_AT
        | table::SENT_AT
        | table::PUBLISHED_AT
        | table::RECEIVED_AT
        | table::CHANNEL => Rule::Smallest,
        table::ORIGIN | table::FEEDBACK_ID | table::PROCESSING_MS => Rule::Greatest,
        _ => Rule::Known,
    }
}

/// Rows after their copies were merged.
#[derive(Debug)]
pub(super) struct Merged {
    /// The rows, in order of their keys.
    pub(super) rows: RecordBatch,
    /// Events that still have several rows, because these contradict each other.
    pub(super) contradicted: u64,
}

/// A column, with what is needed to merge copies in it.
struct Column<'a> {
    array: &'a ArrayRef,
    rule: Rule,
    compare: DynComparator,
    /// The texts of a column in which a word means that nobody knows.
    providers: Option<&'a StringArray>,
}

impl<'a> Column<'a> {
    fn new(name: &str, array: &'a ArrayRef) -> Result<Self, ArrowError> {
        let options = SortOptions { descending: false, nulls_first: false };
        Ok(Self {
            array,
            rule: rule(name),
            compare: make_comparator(array, array, options)?,
            providers: (name == table::PROVIDER).then(|| array.as_string_opt()).flatten(),
        })
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        (self.compare)(a, b)
    }

    /// How much is known: nothing, that nobody knows, or a value.
    fn knowledge(&self, row: usize) -> u8 {
        if self.array.is_null(row) {
            0
        } else if self.providers.is_some_and(|words| words.value(row) == provider::OTHER) {
            1
        } else {
            2
        }
    }

    /// Whether two rows may become one, as far as this column goes.
    fn agree(&self, a: usize, b: usize) -> bool {
        match self.rule {
            Rule::Smallest | Rule::Greatest => true,
            Rule::Alike => self.order(a, b).is_eq(),
            Rule::Known => {
                self.knowledge(a) < 2 || self.knowledge(b) < 2 || self.order(a, b).is_eq()
            }
        }
    }

    /// Of two rows the one whose value the merged row takes.
    fn taken(&self, a: usize, b: usize) -> usize {
        let by_knowledge = self.knowledge(a).cmp(&self.knowledge(b));
        let of_b = match self.rule {
            _ if by_knowledge.is_ne() => by_knowledge.is_lt(),
            Rule::Smallest => self.order(b, a).is_lt(),
            Rule::Greatest => self.order(b, a).is_gt(),
            Rule::Alike | Rule::Known => false,
        };
        if of_b { b } else { a }
    }
}

/// Merges the copies among rows that are in order of (`message_key`, `event_key`).
///
/// Whatever the order of copies, the outcome is the same; merging it again changes nothing; and merging parts first
/// loses nothing. Events whose copies do not contradict each other become exactly one row.
pub(super) fn merge(rows: RecordBatch) -> Result<Merged, ArrowError> {
    let runs = runs(&rows)?;
    if runs.len() == rows.num_rows() {
        return Ok(Merged { rows, contradicted: 0 });
    }
    let schema = rows.schema();
    let columns = schema.fields().iter().zip(rows.columns());
    let columns: Vec<Column<'_>> =
        columns.map(|(field, array)| Column::new(field.name(), array)).collect::<Result<_, _>>()?;
    // of each row that is written the row that it is taken from; where it has several sources, those by column
    let mut sources: Vec<u32> = Vec::with_capacity(runs.len());
    let mut of_several: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut contradicted = 0;
    for run in runs {
        if run.len() == 1 {
            sources.push(index(run.start)?);
            continue;
        }
        let merged = merge_run(&columns, run);
        contradicted += u64::from(merged.len() > 1);
        for by_column in merged {
            of_several.push((sources.len(), by_column));
            sources.push(0);
        }
    }
    let mut taken = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        for (row, by_column) in &of_several {
            sources[*row] = index(by_column[at])?;
        }
        taken.push(take(column.array, &UInt32Array::from(sources.clone()), None)?);
    }
    Ok(Merged { rows: RecordBatch::try_new(rows.schema(), taken)?, contradicted })
}

fn index(row: usize) -> Result<u32, ArrowError> {
    u32::try_from(row).map_err(|error| ArrowError::ComputeError(error.to_string()))
}

/// Where the rows of one event begin and end.
fn runs(rows: &RecordBatch) -> Result<Vec<Range<usize>>, ArrowError> {
    let (messages, events) = (keys(rows, table::MESSAGE_KEY)?, keys(rows, table::EVENT_KEY)?);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in 0..rows.num_rows() {
        match runs.last_mut() {
            Some(run)
                if (messages[run.start], events[run.start]) == (messages[row], events[row]) =>
            {
                run.end = row + 1;
            }
            _ => runs.push(row..row + 1),
        }
    }
    Ok(runs)
}

/// The values of a key column.
pub(super) fn keys<'a>(rows: &'a RecordBatch, column: &str) -> Result<&'a [u64], ArrowError> {
    rows.column_by_name(column)
        .and_then(|array| array.as_primitive_opt::<UInt64Type>())
        .map(|array| array.values().as_ref())
        .ok_or_else(|| ArrowError::SchemaError(format!("it has no column `{column}` of hashes")))
}

/// The rows that the copies of one event become: for each, and for each column, the copy that it takes its value from.
///
/// Copies come in order of what must agree, those that know more first, so that it makes no difference in which order
/// they were read; each goes into the first row that it does not contradict.
fn merge_run(columns: &[Column<'_>], run: Range<usize>) -> Vec<Vec<usize>> {
    let mut copies: Vec<usize> = run.collect();
    let ordering = |rule| move |column: &&Column<'_>| column.rule == rule;
    let ordered: Vec<&Column<'_>> = (columns.iter().filter(ordering(Rule::Alike)))
        .chain(columns.iter().filter(ordering(Rule::Known)))
        .collect();
    copies.sort_by(|a, b| {
        let mut by_column = ordered.iter().map(|column| column.order(*a, *b));
        by_column.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    });
    let mut merged: Vec<Vec<usize>> = Vec::new();
    for copy in copies {
        let fits = |row: &&mut Vec<usize>| {
            columns.iter().zip(row.iter()).all(|(column, source)| column.agree(*source, copy))
        };
        match merged.iter_mut().find(fits) {
            Some(row) => {
                for (column, source) in columns.iter().zip(row) {
                    *source = column.taken(*source, copy);
                }
            }
            None => merged.push(vec![copy; columns.len()]),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::collections::{BTreeMap, BTreeSet};

    use arrow_ord::sort::{SortColumn, lexsort_to_indices};
    use arrow_select::concat::concat_batches;
    use arrow_select::take::take_record_batch;
    use bouncewatch_schemas::bounce::BounceClass;
    use bouncewatch_schemas::event::{Channel, EventRow, Kind, Service};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use proptest::prelude::*;

    use super::*;
    use crate::segment::EventSegment;

    /// A copy of one of few events, with words of which some are not known.
    #[derive(Debug, Clone)]
    struct Copy {
        message: &'static str,
        at: i64,
        sent_at: Option<i64>,
        channel: Channel,
        feedback_id: Option<&'static str>,
        provider: Option<&'static str>,
        identity: Option<&'static str>,
        tags: Vec<(Cow<'static, str>, Cow<'static, str>)>,
        class: Option<BounceClass>,
        smtp_code: Option<u16>,
        origin: &'static str,
    }

    fn copy() -> impl Strategy<Value = Copy> {
        let tag = |value: &'static str| vec![(Cow::Borrowed("campaign"), Cow::Borrowed(value))];
        let words = (
            prop_oneof![Just(None), Just(Some("other")), Just(Some("gmail")), Just(Some("yahoo"))],
            prop_oneof![3 => Just(None), 3 => Just(Some("a")), 1 => Just(Some("b"))],
            prop_oneof![Just(vec![]), Just(tag("x")), Just(tag("y"))],
            prop_oneof![
                5 => Just(Some(BounceClass::Hard)),
                1 => Just(Some(BounceClass::Soft)),
                1 => Just(None)
            ],
            prop_oneof![2 => Just(None), 2 => Just(Some(550)), 1 => Just(Some(554))],
        );
        let ways = (
            prop_oneof![Just("m1"), Just("m2"), Just("m3")],
            0..4_i64,
            proptest::option::of(0..3_i64),
            prop_oneof![Just(Channel::IdentityFeedback), Just(Channel::EventPublishing)],
            proptest::option::of(prop_oneof![Just("f1"), Just("f2")]),
            prop_oneof![Just("queue"), Just("file")],
        );
        (words, ways).prop_map(
            |(
                (provider, identity, tags, class, smtp_code),
                (message, at, sent_at, channel, feedback_id, origin),
            )| Copy {
                message,
                at,
                sent_at,
                channel,
                feedback_id,
                provider,
                identity,
                tags,
                class,
                smtp_code,
                origin,
            },
        )
    }

    /// Rows as a segment holds them, in order of their keys.
    fn rows(copies: &[Copy]) -> RecordBatch {
        let mut segment = EventSegment::default();
        for copy in copies {
            segment.push(&EventRow {
                kind: Kind::Bounce,
                service: Service::Ses,
                channel: copy.channel,
                event_at: copy.at,
                sent_at: copy.sent_at,
                published_at: None,
                received_at: 9,
                message_id: copy.message,
                feedback_id: copy.feedback_id,
                recipient: Some("jane@example.com"),
                recipient_domain: Some("example.com"),
                provider: copy.provider,
                source: None,
                source_domain: None,
                identity: copy.identity,
                configuration_set: None,
                account: None,
                region: None,
                tenant: None,
                tags: &copy.tags,
                source_ip: None,
                outgoing_ip: None,
                remote_mta: None,
                reporting_mta: None,
                bounce_type: Some("Permanent"),
                bounce_subtype: Some("General"),
                complaint_type: None,
                complaint_subtype: None,
                delay_type: None,
                class: copy.class,
                counts: copy.class == Some(BounceClass::Hard),
                smtp_code: copy.smtp_code,
                enhanced_status: None,
                diagnostic: None,
                cause: None,
                cause_rule: None,
                processing_ms: None,
                expires_at: None,
                link: None,
                origin: copy.origin,
            });
        }
        let bytes = bytes::Bytes::from(segment.finish().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let schema = crate::segment_writer::table_schema(table::EVENTS);
        sorted(&concat_batches(&schema, &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap())
    }

    fn sorted(rows: &RecordBatch) -> RecordBatch {
        let column =
            |name| SortColumn { values: rows.column_by_name(name).unwrap().clone(), options: None };
        let keys = [column(table::MESSAGE_KEY), column(table::EVENT_KEY)];
        take_record_batch(rows, &lexsort_to_indices(&keys, None).unwrap()).unwrap()
    }

    fn both(one: &RecordBatch, other: &RecordBatch) -> RecordBatch {
        sorted(&concat_batches(&one.schema(), [one, other]).unwrap())
    }

    fn merged(rows: &RecordBatch) -> RecordBatch {
        merge(rows.clone()).unwrap().rows
    }

    /// Each row as a text, so that rows can be compared whatever their order.
    fn texts(rows: &RecordBatch) -> Vec<String> {
        let mut texts: Vec<String> =
            (0..rows.num_rows()).map(|row| format!("{:?}", rows.slice(row, 1).columns())).collect();
        texts.sort();
        texts
    }

    type Known = BTreeMap<(u64, u64), Vec<BTreeSet<String>>>;

    /// All that is known of each event: of each column the values, and of what must be alike the rows.
    fn known(rows: &RecordBatch) -> Known {
        let mut known = Known::new();
        let names: Vec<String> = rows.schema().fields().iter().map(|f| f.name().clone()).collect();
        for row in 0..rows.num_rows() {
            let key = |name| keys(rows, name).unwrap()[row];
            let event = known
                .entry((key(table::MESSAGE_KEY), key(table::EVENT_KEY)))
                .or_insert_with(|| vec![BTreeSet::new(); names.len() + 1]);
            let mut alike = String::new();
            for (at, name) in names.iter().enumerate() {
                let array = rows.column(at).slice(row, 1);
                let text = format!("{array:?}");
                if rule(name) == Rule::Alike {
                    alike.push_str(&text);
                } else if array.is_valid(0) {
                    event[at].insert(text);
                }
            }
            event[names.len()].insert(alike);
        }
        for event in known.values_mut() {
            for (values, name) in event.iter_mut().zip(&names) {
                let kept = match rule(name) {
                    Rule::Smallest => values.first().cloned(),
                    Rule::Greatest => values.last().cloned(),
                    _ if name == table::PROVIDER && values.len() > 1 => {
                        values.retain(|value| !value.contains("\"other\""));
                        continue;
                    }
                    _ => continue,
                };
                *values = kept.into_iter().collect();
            }
        }
        known
    }

    /// Whether the copies of every event agree.
    fn is_consistent(rows: &RecordBatch) -> bool {
        known(rows).values().flatten().all(|values| values.len() <= 1)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_lost_and_nothing_invented(copies in prop::collection::vec(copy(), 1..12)) {
            let rows = rows(&copies);
            let done = merge(rows.clone()).unwrap();
            prop_assert_eq!(known(&done.rows), known(&rows));
            let events = known(&rows).len();
            prop_assert!(done.rows.num_rows() >= events);
            prop_assert_eq!(done.contradicted == 0, done.rows.num_rows() == events);
            if is_consistent(&rows) {
                prop_assert_eq!(done.rows.num_rows(), events);
            }
            // what still stands twice contradicts itself: merging again finds nothing to do
            prop_assert_eq!(texts(&merged(&done.rows)), texts(&done.rows));
        }

        #[test]
        fn order_makes_no_difference(
            (copies, shuffled) in prop::collection::vec(copy(), 1..12)
                .prop_flat_map(|copies| (Just(copies.clone()), Just(copies).prop_shuffle()))
        ) {
            prop_assert_eq!(texts(&merged(&rows(&copies))), texts(&merged(&rows(&shuffled))));
        }

        #[test]
        fn what_is_merged_first_makes_no_difference(
            a in prop::collection::vec(copy(), 1..6),
            b in prop::collection::vec(copy(), 1..6),
            c in prop::collection::vec(copy(), 1..6),
        ) {
            let (a, b, c) = (rows(&a), rows(&b), rows(&c));
            let left = merged(&both(&merged(&both(&a, &b)), &c));
            let right = merged(&both(&a, &merged(&both(&b, &c))));
            let at_once = merged(&both(&both(&a, &b), &c));
            // what is known is the same, always; where copies agree, so are the rows
            prop_assert_eq!(known(&left), known(&at_once));
            prop_assert_eq!(known(&right), known(&at_once));
            if is_consistent(&both(&both(&a, &b), &c)) {
                prop_assert_eq!(texts(&left), texts(&at_once));
                prop_assert_eq!(texts(&right), texts(&at_once));
            }
        }
    }

    #[test]
    fn what_an_event_is_for_the_rates_is_never_put_together() {
        let plain = Copy {
            message: "m1",
            at: 1,
            sent_at: None,
            channel: Channel::EventPublishing,
            feedback_id: None,
            provider: None,
            identity: None,
            tags: vec![],
            class: Some(BounceClass::Hard),
            smtp_code: None,
            origin: "file",
        };
        // a copy without class would else become a hard bounce that counts, or take that away
        let unclassed = Copy { class: None, identity: Some("a"), at: 0, ..plain.clone() };
        let kept = merge(rows(&[plain.clone(), unclassed])).unwrap();
        assert_eq!((kept.rows.num_rows(), kept.contradicted), (2, 1));
        let richer = Copy {
            channel: Channel::IdentityFeedback,
            identity: Some("a"),
            at: 5,
            ..plain.clone()
        };
        let one = merge(rows(&[richer, plain])).unwrap();
        assert_eq!((one.rows.num_rows(), one.contradicted), (1, 0));
        let word = |name| one.rows.column_by_name(name).unwrap().as_string::<i32>().value(0);
        assert_eq!((word(table::IDENTITY), word(table::CHANNEL)), ("a", "event_publishing"));
    }
}
