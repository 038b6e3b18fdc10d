//! Runs the command and keeps what it said.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A folder of its own for a test, with a store in it.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// What a run of the command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

impl Said {
    /// stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// All of it, for a snapshot.
    pub(crate) fn whole(&self) -> String {
        format!("exit code: {}\n----- stdout\n{}----- stderr\n{}", self.code, self.out, self.err)
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// A command with words; `STORE` stands for the store, other words in capitals for nothing special.
    pub(crate) fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bouncewatch"));
        command.current_dir(self.folder.path()).env("NO_COLOR", "1");
        for word in words.split_whitespace() {
            command.arg(if word == "STORE" { "store" } else { word });
        }
        command
    }

    pub(crate) fn run(&self, words: &str) -> Said {
        said(self.command(words).output().unwrap())
    }

    pub(crate) fn run_with(&self, words: &str, stdin: &str) -> Said {
        let mut command = self.command(words);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        said(child.wait_with_output().unwrap())
    }

    /// Puts events into the store and expects that all of them are taken.
    pub(crate) fn ingest(&self, events: &str) {
        let said = self.run_with("ingest - --store STORE", events);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

/// JSON for a snapshot, keys in order: whether a parser keeps the order in which they came is a matter of who else is built
/// with it.
pub(crate) fn in_order(value: &Value) -> String {
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

pub(crate) fn said(output: Output) -> Said {
    Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// A tool that `make tools` installs.
pub(crate) fn tool(name: &str) -> PathBuf {
    let tools = std::env::var("BOUNCEWATCH_TOOLS")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools"), PathBuf::from);
    let path = tools.join(name);
    assert!(path.is_file(), "{} is missing: run `make tools`", path.display());
    path
}
