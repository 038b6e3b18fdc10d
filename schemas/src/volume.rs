//! The table of volumes: how much was sent in a span of time, told by others than events (SES's statistics, a file of
//! the sender's). It is the denominator of accounts whose feed has no Send events. Like those of the event table, its
//! columns are added, never renamed.

#![allow(clippy::doc_markdown, reason = "the docs of columns are printed as they are")]

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::table::{Column, ColumnType, columns};

/// Folder of the table of volumes below a store, and its name in the footers of its files. It has no folders of days:
/// a year of points is some megabytes.
pub const VOLUMES: &str = "volumes";

columns! {
    /// The columns of the table of volumes, in order.
    COLUMNS:
    BEGIN = "begin" Time always "first moment of the span",
    END = "end" Time always "first moment after the span",
    ACCOUNT = "account" Text null "AWS account; null where it was not told",
    REGION = "region" Text null "AWS region; null where it was not told",
    SCOPE = "scope" Tags always "whose mail it was, sorted by key: columns of the event table and tag:NAME; empty for all of the account",
    ATTEMPTS = "attempts" Int64 always "mails that were sent in the span, by recipient",
    BOUNCES = "bounces" Int64 null "of these bounced, as the source counts it (SES: hard bounces); null where it was not told",
    COMPLAINTS = "complaints" Int64 null "complaints about these; null where it was not told",
    REJECTS = "rejects" Int64 null "mails that SES refused to send; null where it was not told",
    RECEIVED_AT = "received_at" Time always "when bouncewatch took it: of rows with one point_key the latest holds, then the one with most attempts",
    ORIGIN = "origin" Text always "file or statistics it came from",
    POINT_KEY = "point_key" Hash always "hash of begin, end, account, region and scope: the identity of a point",
}

/// The columns of the event table by which a volume may be told, besides account, region and `tag:NAME`. They are those
/// by which rates can be cut.
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

/// How the name of a scope begins that is a message tag.
pub const TAG_PREFIX: &str = "tag:";

/// Whether a word is the key of a scope.
pub fn is_scope_key(word: &str) -> bool {
    SCOPE_COLUMNS.contains(&word)
        || word.strip_prefix(TAG_PREFIX).is_some_and(|tag| !tag.is_empty())
}

/// How much was sent in `[begin, end)`. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// First moment of the span.
    pub begin: i64,
    /// First moment after it.
    pub end: i64,
    /// AWS account.
    pub account: Option<String>,
    /// AWS region.
    pub region: Option<String>,
    /// Keys and values, each key once, in order.
    pub scope: BTreeMap<String, String>,
    /// What was counted.
    pub counts: VolumeCounts,
    /// When it was taken.
    pub received_at: i64,
    /// File or statistics.
    pub origin: String,
}

/// What was counted in a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeCounts {
    /// Mails sent, by recipient.
    pub attempts: i64,
    /// Of these bounced.
    pub bounces: Option<i64>,
    /// Complaints about these.
    pub complaints: Option<i64>,
    /// Mails refused.
    pub rejects: Option<i64>,
}

impl VolumeCounts {
    /// Whether nothing happened.
    pub fn is_nothing(&self) -> bool {
        let further = [self.bounces, self.complaints, self.rejects];
        self.attempts == 0 && further.iter().all(|count| count.unwrap_or_default() == 0)
    }
}

impl Volume {
    /// Hash of what makes this point this point, whatever was counted, and when and however it came.
    pub fn point_key(&self) -> u64 {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&self.begin.to_le_bytes());
        bytes.extend_from_slice(&self.end.to_le_bytes());
        self.put_series(&mut bytes);
        xxh3_64(&bytes)
    }

    /// Hash of whose mail it is: points of one series follow each other, and should not overlap.
    pub fn series_key(&self) -> u64 {
        let mut bytes = Vec::with_capacity(128);
        self.put_series(&mut bytes);
        xxh3_64(&bytes)
    }

    /// Texts go with their lengths, so that no two scopes are written alike.
    fn put_series(&self, bytes: &mut Vec<u8>) {
        let mut put = |text: Option<&str>| {
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        };
        put(self.account.as_deref());
        put(self.region.as_deref());
        for (key, value) in &self.scope {
            put(Some(key));
            put(Some(value));
        }
    }

    /// Whether this row holds instead of another one of the same point: the later one does, then the one with most
    /// attempts. The rest of the order only makes the answer independent of the order of files.
    pub fn holds_over(&self, other: &Self) -> bool {
        let rank = |row: &Self| (row.received_at, row.counts);
        (rank(self), &self.origin) > (rank(other), &other.origin)
    }
}

/// Of the rows of each point the one that holds, in order of time, account, region and scope.
pub fn effective(rows: impl IntoIterator<Item = Volume>) -> Vec<Volume> {
    let mut points: BTreeMap<u64, Volume> = BTreeMap::new();
    for row in rows {
        match points.entry(row.point_key()) {
            std::collections::btree_map::Entry::Vacant(place) => _ = place.insert(row),
            std::collections::btree_map::Entry::Occupied(mut held) => {
                if row.holds_over(held.get()) {
                    held.insert(row);
                }
            }
        }
    }
    let mut points: Vec<Volume> = points.into_values().collect();
    points.sort();
    points
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(scope: &[(&str, &str)]) -> Volume {
        let text = |text: &&str| (*text).to_owned();
        Volume {
            begin: 0,
            end: 900_000,
            account: Some("123456789012".to_owned()),
            region: None,
            scope: scope.iter().map(|(key, value)| (text(key), text(value))).collect(),
            counts: VolumeCounts { attempts: 7, ..VolumeCounts::default() },
            received_at: 1,
            origin: "a".to_owned(),
        }
    }

    #[test]
    fn a_point_is_told_by_span_account_region_and_scope_alone() {
        let one = point(&[("identity", "example.com")]);
        let mut same = one.clone();
        same.counts = VolumeCounts { attempts: 9, bounces: Some(1), ..VolumeCounts::default() };
        (same.received_at, same.origin) = (2, "b".to_owned());
        assert_eq!(one.point_key(), same.point_key());
        let others = [
            Volume { begin: 1, ..one.clone() },
            Volume { end: 1, ..one.clone() },
            Volume { account: None, ..one.clone() },
            Volume { account: None, region: one.account.clone(), ..one.clone() },
            Volume { region: Some(String::new()), ..one.clone() },
            point(&[]),
            point(&[("identity", "example.co"), ("m", "")]),
            point(&[("identity", "example.com"), ("tag:a", "b")]),
            point(&[("identity", "example.comtag:a"), ("b", "")]),
        ];
        let mut keys: Vec<u64> = others.iter().chain([&one]).map(Volume::point_key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), others.len() + 1);
    }

    #[test]
    fn words_that_are_keys_of_a_scope() {
        for (word, is_key) in [
            ("identity", true),
            ("tag:campaign", true),
            ("tag:", false),
            ("recipient", false),
            ("account", false),
            ("", false),
        ] {
            assert_eq!(is_scope_key(word), is_key, "{word}");
        }
    }

    #[test]
    fn columns_have_names_of_their_own() {
        let mut names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), COLUMNS.len());
    }

    fn rows() -> impl Strategy<Value = Vec<Volume>> {
        let row =
            (0..3_i64, 0..2_usize, 0..3_i64, proptest::option::of(0..2_i64), 0..3_i64, "[ab]");
        let row = row.prop_map(|(span, scope, attempts, bounces, received_at, origin)| Volume {
            begin: span * 900_000,
            end: (span + 1) * 900_000,
            counts: VolumeCounts { attempts, bounces, ..VolumeCounts::default() },
            received_at,
            origin,
            ..point([&[][..], &[("provider", "gmail")]][scope])
        });
        proptest::collection::vec(row, 0..24)
    }

    proptest! {
        #[test]
        fn what_holds_depends_on_no_order_and_on_no_copies(
            (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
            merged_first in 0..24_usize,
        ) {
            let expected = effective(rows.iter().cloned());
            // the later one, then the one with most attempts
            for held in &expected {
                for row in rows.iter().filter(|row| row.point_key() == held.point_key()) {
                    prop_assert!((held.received_at, held.counts.attempts) >= (row.received_at, row.counts.attempts));
                }
            }
            // some of them merged first, and all of them once more
            let (some, rest) = shuffled.split_at(merged_first.min(shuffled.len()));
            let merged = effective(some.iter().cloned());
            let all = merged.into_iter().chain(rest.iter().cloned()).chain(rows.iter().cloned());
            prop_assert_eq!(effective(all), expected);
        }
    }
}
