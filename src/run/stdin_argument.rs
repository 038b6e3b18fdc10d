//! Arguments and files that can be read from stdin. An argument on stdin does not appear in the list of processes.

use std::io;
#[cfg(any(feature = "analyze", feature = "doctor"))]
use std::{io::Read, path::Path};

use anyhow::Context;

/// Returns an argument, or the first line of stdin if the argument is `-`.
///
/// # Errors
/// If stdin cannot be read.
pub(super) fn argument_or_stdin(argument: &str) -> anyhow::Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("could not read the address from stdin")?;
    Ok(line)
}

/// Opens a file, or stdin if the path is `-`.
///
/// # Errors
/// If the file cannot be opened.
#[cfg(any(feature = "analyze", feature = "doctor"))]
pub(super) fn file_or_stdin(path: &Path) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(std::fs::File::open(path)?))
}
