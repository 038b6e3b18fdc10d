//! Imported send counts: how many messages were sent in an interval, from SES `GetSendStatistics` or a CSV file. They
//! are the denominator of rates if an account publishes no Send events.
//!
//! The table is named `volumes` on disk. Its columns are a contract: they are added, never renamed.

#![allow(clippy::doc_markdown, reason = "column docs are printed by `bouncewatch schema`")]

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::table::{Column, ColumnType, columns};

/// Folder of the table in a store, and its name in the footers of its segments. It has no date folders: a year of rows
/// takes only a few megabytes.
pub const SEND_COUNTS: &str = "volumes";

columns! {
    /// The columns of the send counts table, in order.
    COLUMNS:
    BEGIN = "begin" Time always "start of the interval (included)",
    END = "end" Time always "end of the interval (excluded)",
    ACCOUNT = "account" Text null "AWS account, 12 digits; null if unknown",
    REGION = "region" Text null "AWS region; null if unknown",
    SCOPE = "scope" Tags always "dimensions, sorted by key: columns of the event table or tag:NAME; empty list: the entire account",
    ATTEMPTS = "attempts" Int64 always "messages sent in the interval, one per recipient",
    BOUNCES = "bounces" Int64 null "bounces among the attempts, as the source counts them (SES: hard bounces); null if unknown",
    COMPLAINTS = "complaints" Int64 null "complaints about the attempts; null if unknown",
    REJECTS = "rejects" Int64 null "messages that SES refused to send; null if unknown",
    RECEIVED_AT = "received_at" Time always "time at which bouncewatch imported the row; of rows with one point_key the latest is effective, then the one with most attempts",
    ORIGIN = "origin" Text always "file, or ses-statistics:REGION, that the row came from",
    POINT_KEY = "point_key" Hash always "hash of begin, end, account, region and scope: the identity of the row",
}

/// The columns of the event table that a scope can have as keys, besides `tag:NAME`. Rates can be grouped by the same
/// columns.
pub const SCOPE_COLUMNS: [&str; 9] = [
    "identity",
    "configuration_set",
    "tenant",
    "provider",
    "recipient_domain",
    "source",
    "source_domain",
    "source_ip",
    "outgoing_ip",
];

/// Prefix of a scope key that is a message tag.
pub const TAG_PREFIX: &str = "tag:";

/// Whether a text is a valid scope key: one of [`SCOPE_COLUMNS`] or `tag:NAME`.
pub fn is_scope_key(key: &str) -> bool {
    SCOPE_COLUMNS.contains(&key) || key.strip_prefix(TAG_PREFIX).is_some_and(|tag| !tag.is_empty())
}

/// A row of the send counts table: counts of the interval `[begin, end)`. Times are milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendCountRow {
    /// Start of the interval (included).
    pub begin: i64,
    /// End of the interval (excluded).
    pub end: i64,
    /// AWS account; `None` if unknown.
    pub account: Option<String>,
    /// AWS region; `None` if unknown.
    pub region: Option<String>,
    /// Dimensions; empty for the entire account.
    pub scope: BTreeMap<String, String>,
    /// The counts.
    pub counts: SendCountValues,
    /// Time of the import.
    pub received_at: i64,
    /// File or `ses-statistics:REGION`.
    pub origin: String,
}

/// Counts of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SendCountValues {
    /// Messages sent, one per recipient.
    pub attempts: i64,
    /// Bounces among the attempts; `None` if unknown.
    pub bounces: Option<i64>,
    /// Complaints about the attempts; `None` if unknown.
    pub complaints: Option<i64>,
    /// Messages that SES refused to send; `None` if unknown.
    pub rejects: Option<i64>,
}

impl SendCountValues {
    /// Whether all known counts are 0.
    pub fn is_zero(&self) -> bool {
        let optional = [self.bounces, self.complaints, self.rejects];
        self.attempts == 0 && optional.iter().all(|count| count.unwrap_or_default() == 0)
    }
}

impl SendCountRow {
    /// Hash of interval, account, region and scope: the identity of the row. Counts, import time and origin are not
    /// part of it.
    pub fn point_key(&self) -> u64 {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&self.begin.to_le_bytes());
        bytes.extend_from_slice(&self.end.to_le_bytes());
        self.push_series(&mut bytes);
        xxh3_64(&bytes)
    }

    /// Hash of account, region and scope. Effective rows of one series do not overlap.
    pub fn series_key(&self) -> u64 {
        let mut bytes = Vec::with_capacity(128);
        self.push_series(&mut bytes);
        xxh3_64(&bytes)
    }

    /// Appends the identity of the series. Each text is preceded by its length, so that different scopes never give
    /// equal bytes.
    fn push_series(&self, bytes: &mut Vec<u8>) {
        let mut push = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        };
        push(self.account.as_deref());
        push(self.region.as_deref());
        for (key, value) in &self.scope {
            push(Some(key));
            push(Some(value));
        }
    }

    /// Whether this row is effective instead of `other`, a row with the same [`point_key`](Self::point_key): the later
    /// import wins, then the greater number of attempts. Further counts and the origin only make the result
    /// independent of the order of rows.
    pub fn supersedes(&self, other: &Self) -> bool {
        let rank = |row: &Self| (row.received_at, row.counts);
        (rank(self), &self.origin) > (rank(other), &other.origin)
    }
}

/// The effective row of each [`point_key`](SendCountRow::point_key), sorted by interval, account, region and scope.
pub fn effective(rows: impl IntoIterator<Item = SendCountRow>) -> Vec<SendCountRow> {
    let mut by_key: BTreeMap<u64, SendCountRow> = BTreeMap::new();
    for row in rows {
        match by_key.entry(row.point_key()) {
            std::collections::btree_map::Entry::Vacant(entry) => _ = entry.insert(row),
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                if row.supersedes(entry.get()) {
                    entry.insert(row);
                }
            }
        }
    }
    let mut rows: Vec<SendCountRow> = by_key.into_values().collect();
    rows.sort();
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample_row(scope: &[(&str, &str)]) -> SendCountRow {
        let text = |text: &&str| (*text).to_owned();
        SendCountRow {
            begin: 0,
            end: 900_000,
            account: Some("123456789012".to_owned()),
            region: None,
            scope: scope.iter().map(|(key, value)| (text(key), text(value))).collect(),
            counts: SendCountValues { attempts: 7, ..SendCountValues::default() },
            received_at: 1,
            origin: "a".to_owned(),
        }
    }

    #[test]
    fn point_key_depends_on_interval_account_region_and_scope_only() {
        let one = sample_row(&[("identity", "example.com")]);
        let mut same = one.clone();
        same.counts =
            SendCountValues { attempts: 9, bounces: Some(1), ..SendCountValues::default() };
        (same.received_at, same.origin) = (2, "b".to_owned());
        assert_eq!(one.point_key(), same.point_key());
        let others = [
            SendCountRow { begin: 1, ..one.clone() },
            SendCountRow { end: 1, ..one.clone() },
            SendCountRow { account: None, ..one.clone() },
            SendCountRow { account: None, region: one.account.clone(), ..one.clone() },
            SendCountRow { region: Some(String::new()), ..one.clone() },
            sample_row(&[]),
            sample_row(&[("identity", "example.co"), ("m", "")]),
            sample_row(&[("identity", "example.com"), ("tag:a", "b")]),
            sample_row(&[("identity", "example.comtag:a"), ("b", "")]),
        ];
        let mut keys: Vec<u64> = others.iter().chain([&one]).map(SendCountRow::point_key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
    }

    #[test]
    fn scope_keys_are_columns_and_nonempty_tags() {
        for (key, is_key) in [
            ("identity", true),
            ("tag:campaign", true),
            ("tag:", false),
            ("recipient", false),
            ("account", false),
            ("", false),
        ] {
            assert_eq!(is_scope_key(key), is_key, "{key}");
        }
    }

    #[test]
    fn column_names_are_unique() {
        let mut names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }

    fn rows() -> impl Strategy<Value = Vec<SendCountRow>> {
        let row =
            (0..3_i64, 0..2_usize, 0..3_i64, proptest::option::of(0..2_i64), 0..3_i64, "[ab]");
        let row =
            row.prop_map(|(span, scope, attempts, bounces, received_at, origin)| SendCountRow {
                begin: span * 900_000,
                end: (span + 1) * 900_000,
                counts: SendCountValues { attempts, bounces, ..SendCountValues::default() },
                received_at,
                origin,
                ..sample_row([&[][..], &[("provider", "gmail")]][scope])
            });
        proptest::collection::vec(row, 0..24)
    }

    proptest! {
        #[test]
        fn effective_rows_do_not_depend_on_order_or_copies(
            (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            merged_first in 0..24_usize,
        ) {
            let expected = effective(rows.iter().cloned());
            // the later import wins, then the greater number of attempts
            for winner in &expected {
                for row in rows.iter().filter(|row| row.point_key() == winner.point_key()) {
                    prop_assert!((winner.received_at, winner.counts.attempts) >= (row.received_at, row.counts.attempts));
                }
            }
            // merge a part first, then merge the result with the rest and a copy of all rows
            let (part, rest) = shuffled.split_at(merged_first.min(shuffled.len()));
            let merged = effective(part.iter().cloned());
            let all = merged.into_iter().chain(rest.iter().cloned()).chain(rows.iter().cloned());
            prop_assert_eq!(effective(all), expected);
        }
    }
}
