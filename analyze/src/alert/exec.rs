//! Command channel: runs a command with the JSON of a message on its stdin.
//!
//! Nothing from the message is on the command line or in the environment, so the shell never parses untrusted text.

use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Interval of polling for the exit of the command.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A command did not accept a message.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The shell could not be started.
    #[error("could not start `sh` for the alert command: {0}")]
    Start(std::io::Error),
    /// Waiting for the command failed.
    #[error("could not wait for the alert command: {0}")]
    Wait(std::io::Error),
    /// The command failed.
    #[error(
        "the alert command failed: {0}\n  hint: run the command by hand with a JSON document on stdin; its output is on stderr"
    )]
    Failed(String),
    /// The command exceeded the time limit.
    #[error(
        "the alert command was killed after {} seconds\n  hint: increase `exec_timeout` in [alert] of the settings", .0.as_secs_f64()
    )]
    TimedOut(Duration),
}

/// Runs `sh -c COMMAND` with the JSON of a message on stdin. The stdout of the command is
/// redirected to stderr.
///
/// # Errors
/// If the command cannot be started, exits with another code than 0, or exceeds `timeout`. On timeout it is killed with
/// all its child processes.
pub fn run(command: &str, json: &str, timeout: Duration) -> Result<(), ExecError> {
    let mut child =
        shell(command).stdout(Stdio::from(std::io::stderr())).spawn().map_err(ExecError::Start)?;
    let stdin = child.stdin.take();
    let mut text = json.as_bytes().to_vec();
    text.push(b'\n');
    // in a thread: the write blocks if the command does not read its stdin; ignore a broken pipe
    let writer = std::thread::spawn(move || match stdin.map(|mut stdin| stdin.write_all(&text)) {
        Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    });
    let Some(status) = wait(&mut child, timeout)? else {
        kill(&mut child);
        return Err(ExecError::TimedOut(timeout));
    };
    if !status.success() {
        return Err(ExecError::Failed(exit_text(status)));
    }
    // do not join an unfinished writer: a background process of the command may keep the pipe open
    if writer.is_finished()
        && let Ok(Err(error)) = writer.join()
    {
        return Err(ExecError::Failed(format!("could not write its stdin: {error}")));
    }
    Ok(())
}

/// Returns the command in its own process group, which includes its child processes.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).process_group(0);
    shell
}

fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>, ExecError> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(ExecError::Wait)? {
            return Ok(Some(status));
        }
        if start.elapsed() >= timeout {
            return Ok(None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Kills the process group of the command.
fn kill(child: &mut Child) {
    let group = format!("kill -KILL -{}", child.id());
    // errors are ignored: the processes may have exited already
    _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
    _ = child.kill();
    _ = child.wait();
}

fn exit_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn error_text(command: &str, timeout: Duration) -> String {
        run(command, "{\"a\":1}", timeout).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn command_reads_message_on_stdin_and_failure_states_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got");
        assert_eq!(error_text(&format!("cat > '{}'", file.display()), LONG), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"a\":1}\n");
        assert!(error_text("exit 7", LONG).contains("exit code 7"));
        assert!(error_text("kill -TERM $$", LONG).contains("killed by signal 15"));
        // a command that does not read its stdin succeeds
        assert_eq!(error_text("true", LONG), "");
    }

    #[test]
    fn command_above_timeout_is_killed_with_child_processes() {
        assert!(error_text("sleep 600", Duration::ZERO).contains("killed after 0 seconds"));
        let mut child = shell("sleep 600 & sleep 600 & echo up; wait");
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        kill(&mut child);
        // every process has the pipe open; end of file proves that all of them exited
        assert_eq!(out.read_line(&mut line).unwrap(), 0);
    }
}
