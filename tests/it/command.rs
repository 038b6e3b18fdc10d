//! Runs the command in a temporary folder and captures its output.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Temporary folder of one test; the store is in its subfolder `store`.
pub(crate) struct Workspace {
    folder: tempfile::TempDir,
}

/// Output and exit code of one run of the command; the exit code is -1 after a signal.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) exit_code: i32,
}

impl CommandOutput {
    /// Returns stdout parsed as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns exit code, stdout and stderr as one text for a snapshot.
    pub(crate) fn transcript(&self) -> String {
        format!(
            "exit code: {}\n----- stdout\n{}----- stderr\n{}",
            self.exit_code, self.stdout, self.stderr
        )
    }
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Returns the command with arguments that are separated by spaces; the argument `STORE` becomes the path of the store.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bouncewatch"));
        command.current_dir(self.folder.path()).env("NO_COLOR", "1");
        for argument in arguments.split_whitespace() {
            command.arg(if argument == "STORE" { "store" } else { argument });
        }
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> CommandOutput {
        CommandOutput::from(self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_stdin(&self, arguments: &str, stdin: &str) -> CommandOutput {
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        CommandOutput::from(child.wait_with_output().unwrap())
    }

    /// Ingests events into the store; panics unless the exit code is 0.
    pub(crate) fn ingest(&self, events: &str) {
        let output = self.run_with_stdin("ingest - --store STORE", events);
        assert_eq!(output.exit_code, 0, "{output:?}");
    }
}

/// Returns pretty JSON with sorted keys for a snapshot.
///
/// The feature `preserve_order` of `serde_json` depends on the other crates of a build, so the order of a `Map` is not stable.
pub(crate) fn sorted_json(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let map: BTreeMap<&String, Value> =
                    map.iter().map(|(key, value)| (key, sorted(value))).collect();
                map.into_iter().map(|(key, value)| (key.clone(), value)).collect()
            }
            Value::Array(all) => all.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    serde_json::to_string_pretty(&sorted(value)).unwrap()
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        Self {
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            exit_code: output.status.code().unwrap_or(-1),
        }
    }
}

/// Returns the path of a tool that `make tools` installs, e.g. `bin/rustack`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let tools = std::env::var("BOUNCEWATCH_TOOLS")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools"), PathBuf::from);
    let path = tools.join(name);
    assert!(path.is_file(), "{} is missing: run `make tools`", path.display());
    path
}
