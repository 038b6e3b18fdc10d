//! Any bytes as a segment: an error, or rows. `store verify` and a compaction read it too.
#![no_main]

use std::sync::Arc;

use bouncewatch_fuzz::block_on;
use bouncewatch_store::{Store, quarantine, verify};
use libfuzzer_sys::fuzz_target;
use object_store::memory::InMemory;

fuzz_target!(|bytes: &[u8]| {
    let store = Store::in_objects(Arc::new(InMemory::new()), "", "fuzz");
    block_on(async {
        for table in ["events", "quarantine"] {
            let path = store
                .path(&format!("{table}/date=2026-11-01/1793491200000-0011223344556677.parquet"));
            store.put(&path, bytes.to_vec()).await.expect("memory can be written");
        }
        _ = verify::verify(&store).await;
        _ = quarantine::list(&store).await;
    });
});
