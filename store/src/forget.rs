//! Removes an email address from a store. Event rows stay, so that rates do not change: the
//! recipient is replaced by the pseudonym of the policy `drop`, which is the same in all rows of
//! one message. Quarantined documents and send counts that contain the address are removed.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType};
use arrow_select::filter::filter_record_batch;
use bouncewatch_schemas::address::{domain, normalise, to_display};
use bouncewatch_schemas::send_counts::SendCountRow;
use bouncewatch_schemas::table;
use serde::Serialize;

use crate::addresses::{AddressMatcher, AddressRedactor, message_pseudonym};
use crate::day::segments_by_day;
use crate::error::{Problem, StoreError, record_problem};
use crate::open::{Segment, Store};
use crate::rewrite::{remove_replaced, rewrite};
use crate::schema::table_schema;
use crate::send_counts::remove_rows;

/// Text columns of the event table that can contain the address.
const TEXT_COLUMNS: [&str; 7] = [
    table::SOURCE,
    table::IDENTITY,
    table::ORIGIN,
    table::DIAGNOSTIC,
    table::LINK,
    table::TAGS,
    table::REPORTED_RECIPIENT,
];
/// Columns that can identify the recipient without the address, for example by name. They are cleared in all rows of
/// the recipient.
const DETAIL_COLUMNS: [&str; 3] = [table::DIAGNOSTIC, table::LINK, table::REPORTED_RECIPIENT];

/// Result of [`forget`].
#[derive(Debug, Default, Serialize)]
pub struct ForgetReport {
    /// Version of this output.
    pub version: u32,
    /// Rows of the event table that contained the address.
    pub rows: u64,
    /// Segments of the event table that were rewritten.
    pub segments: usize,
    /// Documents removed from quarantine, counted as often as they were stored.
    pub bodies: u64,
    /// Segments of the quarantine that were rewritten.
    pub quarantine_segments: usize,
    /// Rows removed from the table of send counts: the address was a dimension of their scope, or part of a file name.
    pub volumes: u64,
    /// Rows and documents with the address that arrived during the run. Run again to remove them.
    pub left: u64,
    /// Segments that cannot be read and may contain the address.
    pub problems: Vec<Problem>,
}

/// An address to forget, with the forms in which a store can contain it.
struct ForgottenAddress {
    recipient: String,
    /// Hashes of the address, if there is a key.
    hashes: Vec<String>,
    matcher: AddressMatcher,
}

/// Removes an address from all tables. The key of `redactor` is needed to find the keyed hash of
/// the address.
///
/// # Errors
/// If `address` is not an email address, or the store cannot be listed or written. Unreadable segments are reported.
pub async fn forget(
    store: &Store,
    address: &str,
    redactor: &AddressRedactor,
    now: i64,
) -> Result<ForgetReport, StoreError> {
    let forgotten = ForgottenAddress::new(address, redactor).ok_or(StoreError::NoAddress)?;
    let mut report = ForgetReport { version: 1, ..ForgetReport::default() };
    for table in [table::EVENTS, table::QUARANTINE] {
        for (day, segments) in segments_by_day(store, table).await? {
            forgotten.remove_from_day(store, table, day, segments, now, &mut report).await?;
        }
    }
    let (rows, errors) =
        remove_rows(store, now, false, |row| forgotten.is_in_send_counts(row)).await?;
    report.volumes = rows;
    // all segments are read once more: a consumer or a compactor may have added the address again
    report.problems.clear();
    for error in errors {
        record_problem(error, &mut report.problems)?;
    }
    for segment in store.damaged_segments().await? {
        let problem = "damaged and not searched for the address; delete it".to_owned();
        report.problems.push(Problem { path: store.display_path(&segment.path), problem });
    }
    for table in [table::EVENTS, table::QUARANTINE] {
        for segment in store.segments(table).await? {
            report.left += forgotten.count(store, table, &segment, &mut report.problems).await?;
        }
    }
    Ok(report)
}

impl ForgottenAddress {
    fn new(address: &str, redactor: &AddressRedactor) -> Option<Self> {
        let recipient = normalise(Cow::Borrowed(address))?.into_owned();
        // a local part without a domain would match unrelated texts
        let domain = domain(&recipient)?;
        let hashes = redactor.hashes(&recipient);
        // other spellings in texts, and in recipients of format version 1
        let local = recipient.strip_suffix(domain).and_then(|head| head.strip_suffix('@'))?;
        let quoted = format!("\"{local}\"@{domain}");
        let unicode = to_display(&recipient);
        let forms = [recipient.as_str(), &unicode, &quoted];
        let matcher =
            AddressMatcher::new(forms.into_iter().chain(hashes.iter().map(String::as_str)));
        Some(Self { recipient, hashes, matcher })
    }

    /// Removes the address from the segments of one day.
    async fn remove_from_day(
        &self,
        store: &Store,
        table: &'static str,
        day: i64,
        segments: Vec<Segment>,
        now: i64,
        report: &mut ForgetReport,
    ) -> Result<(), StoreError> {
        let mut rows = 0;
        for segment in &segments {
            rows += self.count(store, table, segment, &mut report.problems).await?;
        }
        if rows == 0 {
            return Ok(());
        }
        // replaced segments contain the address too, and are removed first
        let live = match remove_replaced(store, table, day, segments).await {
            Ok(live) => live,
            Err(error) => return record_problem(error, &mut report.problems),
        };
        for segment in live {
            if let Err(error) = self.remove_from_segment(store, table, &segment, now, report).await
            {
                record_problem(error, &mut report.problems)?;
            }
        }
        Ok(())
    }

    /// Counts the rows of a segment that contain the address. Adds an unreadable segment to
    /// `problems`.
    async fn count(
        &self,
        store: &Store,
        table: &str,
        segment: &Segment,
        problems: &mut Vec<Problem>,
    ) -> Result<u64, StoreError> {
        let mut found = 0;
        let columns: Vec<&str> = match table {
            table::EVENTS => TEXT_COLUMNS.into_iter().chain([table::RECIPIENT]).collect(),
            _ => vec!["body", "detail", table::ORIGIN],
        };
        let each = |rows: &RecordBatch| {
            found += (0..rows.num_rows()).filter(|row| self.is_in_row(table, rows, *row)).count();
            Ok(())
        };
        if let Err(error) = store.read(table, segment, Some(&columns), each).await {
            record_problem(error, problems)?;
        }
        Ok(found as u64)
    }

    /// Rewrites a segment if it contains the address.
    async fn remove_from_segment(
        &self,
        store: &Store,
        table: &'static str,
        segment: &Segment,
        now: i64,
        report: &mut ForgetReport,
    ) -> Result<(), StoreError> {
        let rows = self.count(store, table, segment, &mut report.problems).await?;
        if rows == 0 {
            return Ok(());
        }
        if table == table::EVENTS {
            let redact = |rows: &RecordBatch| self.redacted(rows).map_err(StoreError::build);
            rewrite(store, table, segment, now, redact).await?;
            report.rows += rows;
            report.segments += 1;
        } else {
            let without = |rows: &RecordBatch| {
                let kept = (0..rows.num_rows()).map(|row| !self.is_in_row(table, rows, row));
                let kept = BooleanArray::from(kept.collect::<Vec<bool>>());
                filter_record_batch(rows, &kept).map_err(StoreError::build)
            };
            rewrite(store, table, segment, now, without).await?;
            report.bodies += rows;
            report.quarantine_segments += 1;
        }
        Ok(())
    }

    fn is_recipient(&self, recipient: &str) -> bool {
        let normal = normalise(Cow::Borrowed(recipient));
        normal.is_some_and(|normal| {
            normal == self.recipient || self.hashes.iter().any(|hash| *hash == normal)
        })
    }

    /// Whether a row of send counts contains the address.
    fn is_in_send_counts(&self, row: &SendCountRow) -> bool {
        row.scope.values().chain([&row.origin]).any(|text| self.matcher.is_in(text))
    }

    /// Whether a row of a table contains the address.
    fn is_in_row(&self, table: &str, rows: &RecordBatch, row: usize) -> bool {
        if table == table::EVENTS {
            let recipient = rows.column_by_name(table::RECIPIENT).and_then(|c| text(c, row));
            return recipient.is_some_and(|recipient| self.is_recipient(recipient))
                || TEXT_COLUMNS.iter().any(|name| self.is_in_column(rows, name, row));
        }
        let body = rows.column_by_name("body").and_then(|column| column.as_binary_opt::<i32>());
        body.is_some_and(|body| self.matcher.is_in(&String::from_utf8_lossy(body.value(row))))
            || ["detail", table::ORIGIN].iter().any(|name| self.is_in_column(rows, name, row))
    }

    fn is_in_column(&self, rows: &RecordBatch, name: &str, row: usize) -> bool {
        let Some(column) = rows.column_by_name(name) else { return false };
        if name == table::TAGS {
            return tags(column, row).iter().any(|(_, value)| self.matcher.is_in(value));
        }
        text(column, row).is_some_and(|text| self.matcher.is_in(text))
    }

    /// Returns rows of the event table without the address. Keys do not change, so that copies of
    /// an event are still recognised.
    fn redacted(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if !(0..rows.num_rows()).any(|row| self.is_in_row(table::EVENTS, rows, row)) {
            return Ok(rows.clone());
        }
        let schema = table_schema(table::EVENTS);
        let columns = schema.fields().iter().zip(rows.columns());
        let columns = columns.map(|(field, column)| match field.name().as_str() {
            table::RECIPIENT => self.redacted_recipients(rows, column),
            table::TAGS => self.redacted_tags(column),
            name if TEXT_COLUMNS.contains(&name) => self.redacted_texts(rows, name, column),
            _ => Arc::clone(column),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        RecordBatch::try_new(schema, columns)
    }

    /// Returns the column of recipients, in which the pseudonym replaces the address.
    fn redacted_recipients(&self, rows: &RecordBatch, column: &ArrayRef) -> ArrayRef {
        let messages = rows.column_by_name(table::MESSAGE_ID);
        let recipient = |row| {
            let recipient = text(column, row)?;
            if !self.is_recipient(recipient) {
                return Some(Cow::Borrowed(recipient));
            }
            let message = messages.and_then(|column| text(column, row)).unwrap_or_default();
            Some(Cow::Owned(message_pseudonym(message, &self.recipient)))
        };
        Arc::new((0..rows.num_rows()).map(recipient).collect::<StringArray>())
    }

    /// Returns a text column without texts that contain the address, and without details in rows of
    /// the recipient. Removed texts are null, or empty if the column is not nullable.
    fn redacted_texts(&self, rows: &RecordBatch, name: &str, column: &ArrayRef) -> ArrayRef {
        let recipients = rows.column_by_name(table::RECIPIENT);
        let redacted = |row| {
            let value = text(column, row)?;
            let is_recipient = recipients
                .and_then(|column| text(column, row))
                .is_some_and(|recipient| self.is_recipient(recipient));
            let is_cleared =
                self.matcher.is_in(value) || (is_recipient && DETAIL_COLUMNS.contains(&name));
            match name {
                _ if !is_cleared => Some(value),
                table::ORIGIN => Some(""),
                _ => None,
            }
        };
        Arc::new((0..rows.num_rows()).map(redacted).collect::<StringArray>())
    }

    /// Returns the column of tags without tags that contain the address.
    fn redacted_tags(&self, column: &ArrayRef) -> ArrayRef {
        let DataType::List(item) = column.data_type() else { return Arc::clone(column) };
        let DataType::Struct(fields) = item.data_type() else { return Arc::clone(column) };
        let mut list = ListBuilder::new(StructBuilder::from_fields(fields.clone(), 0))
            .with_field(Arc::clone(item));
        for row in 0..column.len() {
            let mut has_tags = false;
            for (key, value) in tags(column, row) {
                if self.matcher.is_in(value) {
                    continue;
                }
                for (at, text) in [key, value].into_iter().enumerate() {
                    let builder = list.values().field_builder::<StringBuilder>(at);
                    builder.expect("a tag has a key and a value").append_value(text);
                }
                list.values().append(true);
                has_tags = true;
            }
            list.append(has_tags);
        }
        Arc::new(list.finish())
    }
}

/// Text of a row; `None` if null.
fn text(column: &ArrayRef, row: usize) -> Option<&str> {
    let texts = column.as_string_opt::<i32>()?;
    texts.is_valid(row).then(|| texts.value(row))
}

/// Tags of a row.
fn tags(column: &ArrayRef, row: usize) -> Vec<(&str, &str)> {
    let Some(lists) = column.as_list_opt::<i32>().filter(|lists| lists.is_valid(row)) else {
        return Vec::new();
    };
    let Some(entries) = lists.values().as_struct_opt() else { return Vec::new() };
    let texts = |at: usize| entries.columns().get(at).and_then(|c| c.as_string_opt::<i32>());
    let (Some(keys), Some(values)) = (texts(0), texts(1)) else { return Vec::new() };
    let offsets = lists.value_offsets();
    let offset = |at: usize| usize::try_from(offsets[at]).unwrap_or_default();
    (offset(row)..offset(row + 1)).map(|at| (keys.value(at), values.value(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::RedactionPolicy;

    /// Format version 1 stored internationalised domains as received, also in hashed recipients.
    #[test]
    fn recipients_of_every_format_version_are_found() {
        let key = Some(&b"0123456789abcdef"[..]);
        let redactor = AddressRedactor::new(RedactionPolicy::Keep, key).unwrap();
        let forgotten = ForgottenAddress::new("Info@exämple.com", &redactor).unwrap();
        let hashed = redactor.hashes("info@xn--exmple-cua.com");
        let unicode = hashed.iter().map(|hash| to_display(hash));
        for recipient in ["info@exämple.com", "info@xn--exmple-cua.com", "\"info\"@exämple.com"]
            .map(Cow::Borrowed)
            .into_iter()
            .chain(unicode)
        {
            assert!(forgotten.is_recipient(&recipient), "{recipient}");
        }
        assert!(!forgotten.is_recipient("info@example.com"));
    }
}
