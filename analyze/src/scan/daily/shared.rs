//! Daily aggregates of a store in a bucket: an object for each day, never replaced, and a catalog of the current ones,
//! which is replaced with compare-and-swap. A machine with an empty disk reads the catalog, and the times of the days
//! that it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bouncewatch_schemas::time::format_day;
use bouncewatch_store::{BucketFiles, StoreError};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::scan::daily::aggregate::{DailyAggregate, part_path};
use crate::scan::daily::measure::Measure;
use crate::scan::daily::shared_times::SharedTimes;

/// First bytes of a catalog; the last byte is the version of the format.
const MAGIC: [u8; 8] = *b"bwdays\0\x04";
/// Bytes before the list of days: magic and checksum of the list.
const HEADER_BYTES: usize = 16;
/// Name of the catalog.
const CATALOG: &str = "catalog";
/// Maximum size of a compressed index in the catalog, bytes; a larger one is read from the object of the day. No limit for
/// [`Measure::AllDomainProviders`].
const INDEX_BYTES_MAX: usize = 16 * 1024;
/// Maximum size of the short lists of a day in the catalog, bytes.
const SHORT_LISTS_BYTES_MAX: usize = 4 * 1024;
/// Maximum number of attempts to replace a catalog that other processes replace at the same time.
const ATTEMPTS_MAX: usize = 5;

/// Aggregates of a day, as the catalog describes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CatalogDay {
    /// Fingerprint of the segments from which they were computed.
    fingerprint: u64,
    /// First day of these segments.
    first_segment_day: i64,
    /// The encoded index, unless it is large.
    index: Option<Vec<u8>>,
    /// Number of bytes of the object up to the end of the index.
    index_bytes: u64,
    /// The encoded short lists, unless they are large.
    short_lists: Option<Vec<u8>>,
    /// Whether the day has an object, because not everything is in the catalog.
    has_object: bool,
}

/// Aggregates by day.
type Catalog = BTreeMap<i64, CatalogDay>;

/// Daily aggregates of one kind of query in a bucket.
#[derive(Debug)]
pub(super) struct SharedAggregates {
    bucket: Arc<BucketFiles>,
    /// Path of the folder below the store.
    folder: String,
    /// Maximum size of an index in the catalog, bytes.
    index_bytes_max: usize,
    catalog: OnceLock<Catalog>,
    /// Days that this process has computed, but not uploaded yet.
    computed: Mutex<BTreeSet<i64>>,
}

impl SharedAggregates {
    pub(super) fn new(bucket: Arc<BucketFiles>, folder: String, measure: Measure) -> Self {
        // one day, which each query needs
        let is_one_day = measure == Measure::AllDomainProviders;
        let index_bytes_max = if is_one_day { usize::MAX } else { INDEX_BYTES_MAX };
        let (catalog, computed) = (OnceLock::new(), Mutex::default());
        Self { bucket, folder, index_bytes_max, catalog, computed }
    }

    fn catalog_path(&self) -> String {
        format!("{}/{CATALOG}", self.folder)
    }

    fn object(&self, day: i64, of_day: &CatalogDay) -> String {
        let version = MAGIC[MAGIC.len() - 1];
        let day = format_day(day);
        format!("{}/date={day}.{:016x}.v{version}.daily", self.folder, of_day.fingerprint)
    }

    fn catalog(&self) -> &Catalog {
        self.catalog.get_or_init(|| match self.bucket.shared_object(&self.catalog_path()) {
            Ok(object) => parse(object.bytes.as_deref()),
            Err(error) => {
                tracing::debug!(%error, "could not read the catalog of daily aggregates");
                Catalog::new()
            }
        })
    }

    /// Returns the aggregates of a day if they are current. `local` is the file of the day on this machine.
    pub(super) fn read(
        &self,
        day: i64,
        local: &Path,
        fingerprint: impl Fn(i64) -> u64,
    ) -> Option<DailyAggregate> {
        let of_day = self.catalog().get(&day)?;
        if of_day.fingerprint != fingerprint(of_day.first_segment_day) {
            return None;
        }
        let object = self.object(day, of_day);
        let times =
            SharedTimes { bucket: Arc::clone(&self.bucket), catalog: self.catalog_path(), object };
        let short_lists = of_day.short_lists.as_deref();
        if let Some(index) = &of_day.index {
            return DailyAggregate::shared(index, short_lists, local, times);
        }
        let copy = part_path(local, "index");
        let open =
            |start: &[u8]| DailyAggregate::from_start(start, short_lists, local, times.clone());
        let known = std::fs::read(&copy).ok().and_then(|start| open(&start));
        known.filter(|one| one.index.fingerprint == of_day.fingerprint).or_else(|| {
            let start = times.fetch_range(0..of_day.index_bytes).ok()?;
            DailyAggregate::write_file(&copy, &start).ok()?;
            open(&start)
        })
    }

    /// Records that the file of a day was written on this machine.
    pub(super) fn add(&self, day: i64) {
        self.computed.lock().unwrap_or_else(PoisonError::into_inner).insert(day);
    }

    /// Uploads the computed days, and removes days that are not in `days` from the catalog. `local`
    /// returns the file of a day. If the upload fails, the next run computes the days again.
    pub(super) fn upload(&self, days: &BTreeSet<i64>, local: impl Fn(i64) -> std::path::PathBuf) {
        let mut computed = self.computed.lock().unwrap_or_else(PoisonError::into_inner);
        let computed = std::mem::take(&mut *computed);
        if computed.is_empty() || self.bucket.is_read_only() {
            return;
        }
        if let Err(error) = self.try_upload(&computed, days, local) {
            tracing::debug!(
                %error,
                "could not write daily aggregates to the bucket; the next run computes them again"
            );
        }
    }

    fn try_upload(
        &self,
        computed: &BTreeSet<i64>,
        days: &BTreeSet<i64>,
        local: impl Fn(i64) -> std::path::PathBuf,
    ) -> Result<(), StoreError> {
        let mut added = Catalog::new();
        for day in computed {
            let path = local(*day);
            let (Some(aggregate), Ok(file)) = (DailyAggregate::open(&path), std::fs::read(&path))
            else {
                continue;
            };
            let Some((index, index_bytes)) = aggregate.index_of(&file) else { continue };
            let index = (index.len() <= self.index_bytes_max).then(|| index.to_vec());
            let short_lists = aggregate.short_lists();
            let short_lists = short_lists.filter(|lists| lists.len() <= SHORT_LISTS_BYTES_MAX);
            let has_object =
                index.is_none() || short_lists.is_none() || aggregate.index.has_long_lists();
            let of_day = CatalogDay {
                fingerprint: aggregate.index.fingerprint,
                first_segment_day: aggregate.index.first_segment_day,
                index,
                index_bytes,
                short_lists,
                has_object,
            };
            if of_day.has_object {
                self.bucket.write_object(&self.object(*day, &of_day), file)?;
            }
            added.insert(*day, of_day);
        }
        for _ in 0..ATTEMPTS_MAX {
            let previous = self.bucket.read_shared_object(&self.catalog_path())?;
            let known = parse(previous.bytes.as_deref());
            let mut catalog = known.clone();
            catalog.extend(added.clone());
            catalog.retain(|day, _| days.contains(day));
            if catalog == known {
                return Ok(());
            }
            let is_replaced = self.bucket.replace_shared_object(
                &self.catalog_path(),
                &previous,
                encode(&catalog),
            )?;
            if is_replaced {
                let objects = |catalog: &Catalog| -> BTreeSet<String> {
                    let days = catalog.iter().filter(|(_, of_day)| of_day.has_object);
                    days.map(|(day, of_day)| self.object(*day, of_day)).collect()
                };
                for obsolete in objects(&known).difference(&objects(&catalog)) {
                    self.bucket.remove_object(obsolete)?;
                }
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Returns the days of a catalog; none if there is no catalog, or if its format or checksum is wrong.
fn parse(bytes: Option<&[u8]>) -> Catalog {
    let list = || {
        let (header, list) = bytes?.split_at_checked(HEADER_BYTES)?;
        let checksum = header.strip_prefix(&MAGIC)?.try_into().ok().map(u64::from_le_bytes)?;
        (checksum == xxh3_64(list)).then(|| postcard::from_bytes(list).ok())?
    };
    list().unwrap_or_default()
}

fn encode(catalog: &Catalog) -> Vec<u8> {
    let list = postcard::to_stdvec(catalog).expect("a catalog has no type that cannot be encoded");
    [&MAGIC[..], &xxh3_64(&list).to_le_bytes(), &list].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_truncation_of_a_catalog_is_detected() {
        let of_day = CatalogDay {
            fingerprint: 1,
            first_segment_day: 2,
            index: Some(vec![4, 5]),
            index_bytes: 9,
            short_lists: None,
            has_object: true,
        };
        let catalog = Catalog::from([(20_000, of_day)]);
        let bytes = encode(&catalog);
        let parsed = |bytes: &[u8]| parse(Some(bytes));
        assert_eq!(parsed(&bytes), catalog);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(parsed(&flipped), Catalog::new(), "byte {at}");
            assert_eq!(parsed(&bytes[..at]), Catalog::new(), "truncated at {at}");
        }
    }
}
