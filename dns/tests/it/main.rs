//! Tests of the checks with saved answers, with test suites of others, and with a DNS server.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and print")]

mod corpus;
mod dmarc;
mod openspf;
mod properties;
mod server;
mod zone;

use std::path::PathBuf;

/// A file below `fixtures/dns`.
// read at run time: a test that was built in one clone may run in another one with the same target folder
#[expect(clippy::disallowed_methods, reason = "cargo passes the folder of the package")]
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap())
        .join("../fixtures/dns")
        .join(name)
}

fn fixture_text(name: &str) -> String {
    std::fs::read_to_string(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the JSON files of a folder in `fixtures/dns`, in order.
fn json_fixtures(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(fixture(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}
