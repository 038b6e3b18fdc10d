//! Small stores for tests.

use std::path::{Path, PathBuf};

use bouncewatch_schemas::event::{Channel, Service};
use bouncewatch_schemas::identity::EventIdentity;
use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{day_of, format_day};
use polars::prelude::*;

use crate::scan::frames::empty_rows;
use crate::scan::store_scan::{RowLimits, StoreScan};

/// A row of the event table; other columns are null.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TestRow {
    /// SES if it is `None`.
    pub(crate) service: Option<Service>,
    pub(crate) channel: Option<Channel>,
    pub(crate) message: u64,
    pub(crate) key: u64,
    pub(crate) at: i64,
    pub(crate) sent_at: Option<i64>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) class: Option<&'static str>,
    pub(crate) counts: Option<bool>,
    pub(crate) complaint_type: Option<&'static str>,
    pub(crate) complaint_subtype: Option<&'static str>,
    pub(crate) feedback_id: Option<&'static str>,
    pub(crate) recipient: Option<&'static str>,
    pub(crate) provider: Option<&'static str>,
    pub(crate) identity: Option<&'static str>,
    /// Names and values.
    pub(crate) tags: &'static [(&'static str, &'static str)],
    pub(crate) smtp_code: Option<i32>,
    pub(crate) cause: Option<&'static str>,
    pub(crate) bounce_type: Option<&'static str>,
    pub(crate) bounce_subtype: Option<&'static str>,
    pub(crate) diagnostic: Option<&'static str>,
}

impl TestRow {
    pub(crate) fn recipient_domain(&self) -> Option<&'static str> {
        self.recipient?.split_once('@').map(|(_, domain)| domain)
    }

    /// Event key; `key` is that of version 1.
    fn event_key(&self, version: u32) -> u64 {
        let identity = EventIdentity {
            message_key: self.message,
            service: self.service.unwrap_or(Service::Ses).as_str(),
            kind: self.kind.unwrap_or_default(),
            recipient: self.recipient,
            event_at: self.at,
            feedback_id: self.feedback_id,
            bounce_type: None,
            delay_type: None,
            link: None,
        };
        if version == 1 { self.key } else { identity.upgrade_key(self.key, &mut Vec::new()) }
    }
}

/// A column of hashes in the type of a format version.
fn keys(name: PlSmallStr, rows: &[TestRow], version: u32, key: impl Fn(&TestRow) -> u64) -> Column {
    let keys: Vec<u64> = rows.iter().map(key).collect();
    if version == 1 {
        return Column::new(name, keys);
    }
    Column::new(name, keys.into_iter().map(u64::cast_signed).collect::<Vec<i64>>())
}

/// The column of tags.
fn tags(name: PlSmallStr, rows: &[TestRow], dtype: &DataType) -> Column {
    let of_row = |row: &TestRow| {
        let (keys, values): (Vec<&str>, Vec<&str>) = row.tags.iter().copied().unzip();
        let fields = [Series::new("key".into(), keys), Series::new("value".into(), values)];
        let tags = StructChunked::from_series("".into(), row.tags.len(), fields.iter());
        tags.unwrap().into_series()
    };
    let all: Vec<Series> = rows.iter().map(of_row).collect();
    Column::new(name, all).cast(dtype).unwrap()
}

/// Lists the SES events of a store. Rows are read one by one, and failures for each query.
pub(crate) fn open_in_parts(store: &Path) -> StoreScan {
    StoreScan::open(store, Service::Ses, &[], RowLimits::of_rows(1)).unwrap()
}

/// Publishes a segment in the day of the first row, and returns its path.
pub(crate) fn publish(store: &Path, name: &str, rows: &[TestRow]) -> PathBuf {
    publish_with_version(store, name, rows, table::FORMAT_VERSION)
}

/// Publishes a segment of a format version. Version 1 has unsigned keys and no `reported_recipient`.
pub(crate) fn publish_with_version(
    store: &Path,
    name: &str,
    rows: &[TestRow],
    version: u32,
) -> PathBuf {
    let day = format_day(day_of(rows[0].at));
    let folder = store.join(table::EVENTS).join(format!("{}{day}", table::DATE_PREFIX));
    std::fs::create_dir_all(&folder).unwrap();
    let mut columns: Vec<Column> = Vec::new();
    for column in empty_rows(table::COLUMNS).collect().unwrap().columns() {
        let (name, dtype) = (column.name().clone(), column.dtype());
        let times = |time: fn(&TestRow) -> Option<i64>| {
            let times: Vec<Option<i64>> = rows.iter().map(time).collect();
            Column::new(name.clone(), times).cast(dtype).unwrap()
        };
        let texts = |text: fn(&TestRow) -> Option<&'static str>| {
            Column::new(name.clone(), rows.iter().map(text).collect::<Vec<_>>())
        };
        columns.push(match name.as_str() {
            table::MESSAGE_KEY => keys(name.clone(), rows, version, |row| row.message),
            table::EVENT_KEY => keys(name.clone(), rows, version, |row| row.event_key(version)),
            table::REPORTED_RECIPIENT if version == 1 => continue,
            table::FEEDBACK_ID => texts(|row| row.feedback_id),
            table::EVENT_AT => times(|row| Some(row.at)),
            table::SENT_AT => times(|row| row.sent_at),
            table::SERVICE => texts(|row| Some(row.service.unwrap_or(Service::Ses).as_str())),
            table::CHANNEL => texts(|row| row.channel.map(Channel::as_str)),
            table::KIND => texts(|row| row.kind),
            table::CLASS => texts(|row| row.class),
            table::RECIPIENT => texts(|row| row.recipient),
            table::RECIPIENT_DOMAIN => texts(TestRow::recipient_domain),
            table::PROVIDER => texts(|row| row.provider),
            table::COMPLAINT_TYPE => texts(|row| row.complaint_type),
            table::COMPLAINT_SUBTYPE => texts(|row| row.complaint_subtype),
            table::CAUSE => texts(|row| row.cause),
            table::BOUNCE_TYPE => texts(|row| row.bounce_type),
            table::BOUNCE_SUBTYPE => texts(|row| row.bounce_subtype),
            table::DIAGNOSTIC => texts(|row| row.diagnostic),
            table::TAGS => tags(name.clone(), rows, dtype),
            table::SMTP_CODE => {
                Column::new(name.clone(), rows.iter().map(|row| row.smtp_code).collect::<Vec<_>>())
            }
            table::IDENTITY => texts(|row| row.identity),
            table::COUNTS => {
                Column::new(name.clone(), rows.iter().map(|row| row.counts).collect::<Vec<_>>())
            }
            _ => Column::full_null(name.clone(), rows.len(), dtype),
        });
    }
    let path = folder.join(name);
    let file = std::fs::File::create(&path).unwrap();
    let footer = KeyValueMetadata::from_static(vec![
        (table::VERSION_KEY.to_owned(), version.to_string()),
        (table::TABLE_KEY.to_owned(), table::EVENTS.to_owned()),
    ]);
    let mut frame = DataFrame::new(rows.len(), columns).unwrap();
    ParquetWriter::new(file).with_key_value_metadata(Some(footer)).finish(&mut frame).unwrap();
    path
}
