//! The files in `deploy/`: the stack drains with its own policies in an emulator of AWS, and units name options that exist.

use std::path::Path;
use std::process::Command;

use crate::command::{CommandOutput, tool};

/// Runs a script of `fixtures/deploy/` with the path of the program.
fn run(script: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/deploy").join(script);
    let mut command = Command::new(tool("venv/bin/python"));
    command.arg("-B").arg(script).arg(env!("CARGO_BIN_EXE_bouncewatch"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{:?}", CommandOutput::from(output));
}

#[test]
fn stack_delivers_events_and_its_policies_allow_what_commands_need() {
    run("test_stack.py");
}

#[test]
fn systemd_units_are_valid_and_sandboxed() {
    run("test_systemd.py");
}
