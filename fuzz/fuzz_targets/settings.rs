//! Any text as a settings file: it is read, or refused with an error; its rules are built.
#![no_main]

use bouncewatch_fuzz::{TemporaryFile, read_settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    read_settings(TemporaryFile::new("toml", text.as_bytes()).path());
});
