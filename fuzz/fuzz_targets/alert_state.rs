//! Any bytes as an alert state: what is read is written and read again without a change.
#![no_main]

use bouncewatch_fuzz::TemporaryFile;
use bouncewatch_fuzz::alert::state_file::StateFile;
use bouncewatch_fuzz::alert::state_location::StateLocation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let file = TemporaryFile::new("json", bytes);
    let read = |file: &TemporaryFile| {
        StateFile::read_unlocked(&StateLocation::File(file.path().to_path_buf()))
    };
    let Ok(state) = read(&file) else { return };
    let text = serde_json::to_vec_pretty(&state).expect("a state that was read can be written");
    let again = TemporaryFile::new("json", &text);
    let again = read(&again).expect("a state that was written can be read");
    // a rate that is not a number equals nothing
    assert_eq!(format!("{state:?}"), format!("{again:?}"));
});
