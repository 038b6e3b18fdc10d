//! Any bytes as a file: split into documents, decode each into a batch.
#![no_main]

use bouncewatch_ingest::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let batch = fuzzing::decode_file(bytes);
    batch.check(bytes.len());
});
