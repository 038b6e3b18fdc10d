//! Import of a CSV file of send counts: each row is a point or is refused, and a second import adds nothing.
#![no_main]

use std::sync::Arc;

use bouncewatch_fuzz::{TemporaryFile, block_on};
use bouncewatch_ingest::send_counts::import_csv;
use bouncewatch_store::Store;
use libfuzzer_sys::fuzz_target;
use object_store::memory::InMemory;

fuzz_target!(|bytes: &[u8]| {
    let file = TemporaryFile::new("csv", bytes);
    let store = Store::in_objects(Arc::new(InMemory::new()), "", "fuzz");
    let import =
        || block_on(import_csv(&store, file.path(), Some("123456789012"), 1_800_000_000_000));
    let Ok(first) = import() else { return };
    assert!(first.refused.len() as u64 <= first.points);
    let again = import().expect("a file that was read is read again");
    assert_eq!((again.points, again.bytes), (first.points, 0));
});
