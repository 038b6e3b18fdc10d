//! A command that gets each message as JSON on its stdin, for pagers and chats of which bouncewatch knows nothing.
//!
//! Nothing of the message is on its command line or in its environment, so no text of a stranger meets a shell.

use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often it is looked whether the command is done.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Why a command did not take a message.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// It could not be started.
    #[error("could not start `sh` for the alert command: {0}")]
    Start(std::io::Error),
    /// It could not be waited for.
    #[error("could not wait for the alert command: {0}")]
    Wait(std::io::Error),
    /// It said that it failed.
    #[error("the alert command failed: {0}; the message is kept for the next run")]
    Failed(String),
    /// It took too long.
    #[error(
        "the alert command was stopped after {} seconds; the message is kept for the next run\n  hint: `exec_timeout` in [alert] of the settings sets how long it may take", .0.as_secs_f64()
    )]
    TimedOut(Duration),
}

/// Runs `sh -c COMMAND` with a message on its stdin. What it prints goes to stderr.
///
/// # Errors
/// If it cannot be run, answers with another exit code than 0, or takes longer than `timeout`; then it is killed, with
/// all that it started.
pub fn run(command: &str, json: &str, timeout: Duration) -> Result<(), ExecError> {
    let mut child =
        shell(command).stdout(Stdio::from(std::io::stderr())).spawn().map_err(ExecError::Start)?;
    let stdin = child.stdin.take();
    let mut text = json.as_bytes().to_vec();
    text.push(b'\n');
    // a command that does not read must not stop us; one that ends without reading breaks the pipe, which is no error
    let writer = std::thread::spawn(move || match stdin.map(|mut stdin| stdin.write_all(&text)) {
        Some(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    });
    let Some(status) = wait(&mut child, timeout)? else {
        kill(&mut child);
        return Err(ExecError::TimedOut(timeout));
    };
    if !status.success() {
        return Err(ExecError::Failed(shown(status)));
    }
    // it may have left somebody behind who holds the pipe and reads nothing: then the writer is left too
    if writer.is_finished()
        && let Ok(Err(error)) = writer.join()
    {
        return Err(ExecError::Failed(format!("its stdin could not be written: {error}")));
    }
    Ok(())
}

/// The command and all that it starts are a process group of their own.
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::piped()).process_group(0);
    shell
}

fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>, ExecError> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(ExecError::Wait)? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= timeout {
            return Ok(None);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Kills the shell and what it started.
fn kill(child: &mut Child) {
    let group = format!("kill -KILL -{}", child.id());
    // whoever is gone already needs no killing, and there is nobody to tell
    _ = Command::new("sh").args(["-c", &group]).stderr(Stdio::null()).status();
    _ = child.kill();
    _ = child.wait();
}

fn shown(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "it did not end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    const LATE: Duration = Duration::from_mins(1);

    fn said(command: &str, timeout: Duration) -> String {
        run(command, "{\"a\":1}", timeout).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_command_gets_the_message_and_its_exit_code_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("got");
        assert_eq!(said(&format!("cat > '{}'", file.display()), LATE), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "{\"a\":1}\n");
        assert!(said("exit 7", LATE).contains("exit code 7"));
        assert!(said("kill -TERM $$", LATE).contains("killed by signal 15"));
        // who does not read is no failure
        assert_eq!(said("true", LATE), "");
    }

    #[test]
    fn who_takes_too_long_is_stopped_with_all_that_it_started() {
        assert!(said("sleep 600", Duration::ZERO).contains("stopped after 0 seconds"));
        let mut child = shell("sleep 600 & sleep 600 & echo up; wait");
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        kill(&mut child);
        // each of them holds the pipe: it ends when all are gone
        assert_eq!(out.read_line(&mut line).unwrap(), 0);
    }
}
