//! An address is taken out of a store. Rows stay, for the numbers: their recipient becomes what the policy `drop` makes
//! of it, so that rows of one message still belong together. Bodies in quarantine that hold the address are removed.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::address::normalise;
use bouncewatch_schemas::table;
use bouncewatch_schemas::volume::Volume;
use serde::Serialize;

use crate::addresses::{Addresses, Sought, dropped};
use crate::day::days;
use crate::error::Problem;
use crate::error::StoreError;
use crate::open::{Segment, Store};
use crate::rewrite::{only_live, rewrite};
use crate::segment_writer::table_schema;
use crate::send_counts::leave_out;

/// Texts of a row that may hold an address. Those in `DETAILS` tell of the recipient, and are blanked with it.
const TEXTS: [&str; 6] =
    [table::SOURCE, table::IDENTITY, table::ORIGIN, table::DIAGNOSTIC, table::LINK, table::TAGS];
/// Texts that may tell who the recipient is by other words than the address.
const DETAILS: [&str; 2] = [table::DIAGNOSTIC, table::LINK];

/// What was forgotten.
#[derive(Debug, Default, Serialize)]
pub struct Forgotten {
    /// Version of this output.
    pub version: u32,
    /// Rows of the event table in which the address stood.
    pub rows: u64,
    /// Segments that were rewritten for it.
    pub segments: usize,
    /// Bodies that were removed from quarantine, as often as they were stored.
    pub bodies: u64,
    /// Segments of the quarantine that were rewritten for it.
    pub quarantine_segments: usize,
    /// Rows that were removed from the table of volumes: it was the name of their scope, or in that of their file.
    pub volumes: u64,
    /// Rows and bodies that came while this ran; running it again takes them.
    pub left: u64,
    /// What cannot be read, and may hold the address.
    pub problems: Vec<Problem>,
}

/// An address that shall be forgotten, in all forms in which a store may hold it.
struct Forget {
    recipient: String,
    hashed: Option<String>,
    sought: Sought,
}

/// Takes an address out of all tables. `addresses` has the key by which its hash is found.
///
/// # Errors
/// If it is no address, or the store cannot be listed or written. What cannot be read is told.
pub async fn forget(
    store: &Store,
    address: &str,
    addresses: &Addresses,
    now: i64,
) -> Result<Forgotten, StoreError> {
    let forget = Forget::new(address, addresses).ok_or(StoreError::NoAddress)?;
    let mut done = Forgotten { version: 1, ..Forgotten::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for (day, segments) in days(store, table).await? {
            let mut holds = false;
            for segment in &segments {
                holds |= forget.count(store, table, segment, &mut done).await? > 0;
            }
            if !holds {
                continue;
            }
            // what they replaced holds it too, and goes first
            let live = match only_live(store, table, day, segments).await {
                Ok(live) => live,
                Err(error) => {
                    told(error, &mut done)?;
                    continue;
                }
            };
            for segment in live {
                if let Err(error) = forget.take_out(store, table, &segment, now, &mut done).await {
                    told(error, &mut done)?;
                }
            }
        }
    }
    let (rows, errors) = leave_out(store, now, false, |point| forget.is_of(point)).await?;
    done.volumes = rows;
    // a consumer or a compactor may have brought it in again
    done.problems.clear();
    for error in errors {
        told(error, &mut done)?;
    }
    for table in [table::EVENTS, table::QUARANTINE] {
        for segment in store.segments(table).await? {
            let left = forget.count(store, table, &segment, &mut done).await?;
            done.left += left;
        }
    }
    Ok(done)
}

impl Forget {
    fn new(address: &str, addresses: &Addresses) -> Option<Self> {
        let recipient = normalise(Cow::Borrowed(address))?.into_owned();
        // a bare word would be found everywhere
        bouncewatch_schemas::address::domain(&recipient)?;
        let hashed = addresses.hashed(&recipient);
        let sought = Sought::new([recipient.as_str()].into_iter().chain(hashed.as_deref()));
        Some(Self { recipient, hashed, sought })
    }

    /// Rows or bodies of a segment that hold the address.
    async fn count(
        &self,
        store: &Store,
        table: &str,
        segment: &Segment,
        done: &mut Forgotten,
    ) -> Result<u64, StoreError> {
        let mut found = 0;
        let columns: Vec<&str> = match table {
            table::EVENTS => TEXTS.into_iter().chain([table::RECIPIENT]).collect(),
            _ => vec!["body", "detail", table::ORIGIN],
        };
        let each = |rows: &RecordBatch| {
            found += (0..rows.num_rows()).filter(|row| self.is_in(table, rows, *row)).count();
            Ok(())
        };
        if let Err(error) = store.read(segment, Some(&columns), each).await {
            told(error, done)?;
        }
        Ok(u64::try_from(found).unwrap_or(u64::MAX))
    }

    /// Rewrites a segment that holds the address.
    async fn take_out(
        &self,
        store: &Store,
        table: &'static str,
        segment: &Segment,
        now: i64,
        done: &mut Forgotten,
    ) -> Result<(), StoreError> {
        let rows = self.count(store, table, segment, done).await?;
        if rows == 0 {
            return Ok(());
        }
        let build = |error: arrow_schema::ArrowError| StoreError::Build(error.to_string());
        if table == table::EVENTS {
            rewrite(store, table, segment, now, |rows| self.blanked(rows).map_err(build)).await?;
            done.rows += rows;
            done.segments += 1;
        } else {
            let without = |rows: &RecordBatch| {
                let kept = (0..rows.num_rows()).map(|row| !self.is_in(table, rows, row));
                let kept = BooleanArray::from(kept.collect::<Vec<bool>>());
                filter_record_batch(rows, &kept).map_err(build)
            };
            rewrite(store, table, segment, now, without).await?;
            done.bodies += rows;
            done.quarantine_segments += 1;
        }
        Ok(())
    }

    fn is_recipient(&self, recipient: &str) -> bool {
        recipient == self.recipient || self.hashed.as_deref() == Some(recipient)
    }

    /// Whether a point of volume names the address.
    fn is_of(&self, point: &Volume) -> bool {
        let values = point.scope.values().chain([&point.origin]);
        values.into_iter().any(|text| self.sought.is_in(text))
    }

    /// Whether a row holds the address.
    fn is_in(&self, table: &str, rows: &RecordBatch, row: usize) -> bool {
        if table == table::EVENTS {
            let recipient = rows.column_by_name(table::RECIPIENT).and_then(|c| text(c, row));
            return recipient.is_some_and(|recipient| self.is_recipient(recipient))
                || TEXTS.iter().any(|name| self.is_in_column(rows, name, row));
        }
        let body = rows.column_by_name("body").and_then(|column| column.as_binary_opt::<i32>());
        body.is_some_and(|body| self.sought.is_in(&String::from_utf8_lossy(body.value(row))))
            || ["detail", table::ORIGIN].iter().any(|name| self.is_in_column(rows, name, row))
    }

    fn is_in_column(&self, rows: &RecordBatch, name: &str, row: usize) -> bool {
        let Some(column) = rows.column_by_name(name) else { return false };
        if name == table::TAGS {
            return pairs(column, row).iter().any(|(_, value)| self.sought.is_in(value));
        }
        text(column, row).is_some_and(|text| self.sought.is_in(text))
    }

    /// Rows without the address. Keys stay, so that copies of an event are still known as copies.
    fn blanked(&self, rows: &RecordBatch) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let holds: Vec<bool> =
            (0..rows.num_rows()).map(|row| self.is_in(table::EVENTS, rows, row)).collect();
        if !holds.contains(&true) {
            return Ok(rows.clone());
        }
        let schema = table_schema(table::EVENTS);
        let columns = schema.fields().iter().zip(rows.columns()).map(|(field, column)| match field
            .name()
            .as_str()
        {
            table::RECIPIENT => self.without_recipient(rows, column),
            table::TAGS => self.without_tags(column),
            name if TEXTS.contains(&name) => self.without_texts(rows, name, column),
            _ => Arc::clone(column),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        RecordBatch::try_new(schema, columns)
    }

    fn without_recipient(&self, rows: &RecordBatch, column: &ArrayRef) -> ArrayRef {
        let messages = rows.column_by_name(table::MESSAGE_ID);
        let recipient = |row| {
            let recipient = text(column, row)?;
            if !self.is_recipient(recipient) {
                return Some(Cow::Borrowed(recipient));
            }
            let message = messages.and_then(|column| text(column, row)).unwrap_or_default();
            Some(Cow::Owned(dropped(message, &self.recipient)))
        };
        Arc::new((0..rows.num_rows()).map(recipient).collect::<StringArray>())
    }

    /// Texts in which the address stood, and all details of its own rows, become null; where there must be one, empty.
    fn without_texts(&self, rows: &RecordBatch, name: &str, column: &ArrayRef) -> ArrayRef {
        let recipients = rows.column_by_name(table::RECIPIENT);
        let kept = |row| {
            let words = text(column, row)?;
            let is_recipient = recipients
                .and_then(|column| text(column, row))
                .is_some_and(|recipient| self.is_recipient(recipient));
            let is_blank = self.sought.is_in(words) || (is_recipient && DETAILS.contains(&name));
            match name {
                _ if !is_blank => Some(words),
                table::ORIGIN => Some(""),
                _ => None,
            }
        };
        Arc::new((0..rows.num_rows()).map(kept).collect::<StringArray>())
    }

    /// Tags in which the address stood go.
    fn without_tags(&self, column: &ArrayRef) -> ArrayRef {
        let DataType::List(item) = column.data_type() else { return Arc::clone(column) };
        let DataType::Struct(fields) = item.data_type() else { return Arc::clone(column) };
        let mut list = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0))
            .with_field(Arc::clone(item));
        for row in 0..column.len() {
            let mut kept = false;
            for (key, value) in pairs(column, row) {
                if self.sought.is_in(value) {
                    continue;
                }
                for (at, text) in [key, value].into_iter().enumerate() {
                    let builder = list.values().field_builder::<StringBuilder>(at);
                    builder.expect("a tag has a key and a value").append_value(text);
                }
                list.values().append(true);
                kept = true;
            }
            list.append(kept);
        }
        Arc::new(list.finish())
    }
}

/// The text of a row.
fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    let texts = column.as_string_opt::<i32>()?;
    texts.is_valid(row).then(|| texts.value(row))
}

/// The tags of a row.
fn pairs(column: &ArrayRef, row: usize) -> Vec<(&str, &str)> {
    let Some(lists) = column.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else {
        return Vec::new();
    };
    let Some(entries) = lists.values().as_struct_opt() else { return Vec::new() };
    let texts = |at: usize| entries.columns().get(at).and_then(|c| c.as_string_opt::<i32>());
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else { return Vec::new() };
    let ends = lists.value_offsets();
    let place = |at: i32| usize::try_from(at).unwrap_or_default();
    (place(ends[row])..place(ends[row + 1])).map(|at| (keys.value(at), values.value(at))).collect()
}

/// Keeps what cannot be read for the answer; somebody else may have removed a segment meanwhile.
fn told(error: StoreError, done: &mut Forgotten) -> Result<(), StoreError> {
    match error {
        StoreError::Read { path, why } => done.problems.push(Problem { path, problem: why }),
        error if error.is_gone() => {}
        error => return Err(error),
    }
    Ok(())
}
