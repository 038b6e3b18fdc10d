//! Arguments that can be read from stdin, so that they do not appear in the list of processes.

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
    std::io::stdin().read_line(&mut line).context("could not read the address from stdin")?;
    Ok(line)
}
