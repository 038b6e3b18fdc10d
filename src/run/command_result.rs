//! Result of a command.

use std::io::{self, BufWriter, Write};

use anyhow::Context;
use bouncewatch_schemas::printable::write_json;
use serde::Serialize;

use crate::exit_code;

/// Bytes that are written at a time.
const WRITE_BYTES: usize = 64 * 1024;

/// Result of a command.
#[derive(Debug, Default)]
pub(crate) struct CommandResult {
    /// Data for stdout, or for the file of `--output`.
    pub(crate) data: Vec<u8>,
    /// Writes more data, which would not fit into memory.
    pub(crate) stream: DataStream,
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

/// Writes data while it is computed.
#[derive(Default)]
pub(crate) struct DataStream(Option<Box<WriteData>>);

/// Writes data to a file or a pipe.
type WriteData = dyn Fn(&mut dyn Write) -> io::Result<()>;

impl std::fmt::Debug for DataStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DataStream").field(&self.0.is_some()).finish()
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

    /// Returns a result with data that `write` computes while it is written.
    #[cfg(feature = "analyze")]
    pub(super) fn streamed(write: impl Fn(&mut dyn Write) -> io::Result<()> + 'static) -> Self {
        Self { stream: DataStream(Some(Box::new(write))), ..Self::default() }
    }

    /// Writes all data.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut out = BufWriter::with_capacity(WRITE_BYTES, out);
        out.write_all(&self.data)?;
        if let Some(write) = &self.stream.0 {
            write(&mut out)?;
        }
        out.flush()
    }

    /// Returns a result with one line of JSON.
    ///
    /// # Errors
    /// If the value cannot be serialised.
    pub(super) fn json(value: &impl Serialize) -> anyhow::Result<Self> {
        let mut data = Vec::new();
        write_json(&mut data, value).context("could not write JSON")?;
        data.push(b'\n');
        Ok(Self::data(data))
    }

    /// Sets the exit code: 1 if the operator should look at the result, else 0.
    pub(super) fn with_attention(self, is_needed: bool) -> Self {
        Self { exit_code: if is_needed { exit_code::ATTENTION } else { 0 }, ..self }
    }
}
