//! Any bytes as an alert state: what is read is written and read again without a change.
#![no_main]

use bouncewatch_fuzz::{TemporaryFile, alert::state_file::StateFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = TemporaryFile::new("json", bytes);
    let Ok(state) = StateFile::read_unlocked(file.path()) else { return };
    let text = serde_json::to_vec_pretty(&state).expect("a state that was read can be written");
    let again = TemporaryFile::new("json", &text);
    let again =
        StateFile::read_unlocked(again.path()).expect("a state that was written can be read");
    // a rate that is not a number equals nothing
    assert_eq!(format!("{state:?}"), format!("{again:?}"));
});
