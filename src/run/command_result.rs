//! Result of a command.

use anyhow::Context;
use serde::Serialize;

use crate::exit_code;

/// Result of a command.
#[derive(Debug, Default)]
pub(crate) struct CommandResult {
    /// Data for stdout, or for the file of `--output`.
    pub(crate) data: Vec<u8>,
    /// Messages for stderr. Those that start with `error` are printed with `--quiet` too.
    pub(crate) notes: Vec<String>,
    /// Exit code.
    pub(crate) exit_code: u8,
    /// Work to do after the data was written.
    pub(crate) after: AfterOutput,
}

/// Work to do after the data was written, such as recording that alerts were printed. It may fail.
#[derive(Default)]
pub(crate) struct AfterOutput(Option<Box<dyn FnOnce() -> anyhow::Result<()>>>);

impl std::fmt::Debug for AfterOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AfterOutput").field(&self.0.is_some()).finish()
    }
}

impl AfterOutput {
    #[cfg(feature = "analyze")]
    pub(super) fn new(work: impl FnOnce() -> anyhow::Result<()> + 'static) -> Self {
        Self(Some(Box::new(work)))
    }

    /// Does the work.
    ///
    /// # Errors
    /// If the work fails.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |work| work())
    }
}

impl CommandResult {
    /// Returns a result with data, without notes, with exit code 0.
    pub(super) fn data(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// Returns a result with one line of JSON.
    ///
    /// # Errors
    /// If the value cannot be serialised.
    pub(super) fn json(value: &impl Serialize) -> anyhow::Result<Self> {
        let mut data = serde_json::to_vec(value).context("could not write JSON")?;
        data.push(b'\n');
        Ok(Self::data(data))
    }

    /// Sets the exit code: 1 if the operator should look at the result, else 0.
    pub(super) fn with_attention(self, is_needed: bool) -> Self {
        Self { exit_code: if is_needed { exit_code::ATTENTION } else { 0 }, ..self }
    }
}
