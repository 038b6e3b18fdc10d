//! The runtime API of AWS Lambda: starts the command as a function and invokes it.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::Value;

use crate::command::Workspace;
use crate::emulator::CREDENTIALS;
use crate::http_message::{Request, respond};

/// Limit of a test that would hang.
const ANSWER_MAX: Duration = Duration::from_mins(5);

/// A function: a process of the command. Dropping it kills the process.
pub(crate) struct Function {
    process: Child,
    events: Sender<String>,
    answers: Receiver<Result<Value, Value>>,
}

impl Drop for Function {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Returns the command as Lambda starts it, without arguments.
pub(crate) fn bootstrap(workspace: &Workspace, handler: &str) -> Command {
    let mut command = workspace.command("");
    command.env("_HANDLER", handler).envs(CREDENTIALS).envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "bouncewatch"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"),
    ]);
    command
}

impl Function {
    /// Starts a function with environment variables.
    pub(crate) fn start(workspace: &Workspace, handler: &str, variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (events, received) = channel();
        let (answer, answers) = channel();
        std::thread::spawn(move || serve(&listener, &received, &answer));
        let mut command = bootstrap(workspace, handler);
        command.env("AWS_LAMBDA_RUNTIME_API", address).envs(variables.iter().copied());
        let process = command.stdout(Stdio::null()).spawn().unwrap();
        Self { process, events, answers }
    }

    /// Invokes the function; returns its response, or the error that it reports.
    pub(crate) fn invoke(&self, event: &Value) -> Result<Value, Value> {
        self.events.send(event.to_string()).unwrap();
        self.answers.recv_timeout(ANSWER_MAX).expect("the function answers")
    }

    /// Largest resident memory so far, in MiB.
    pub(crate) fn memory_mib_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }
}

/// Answers the requests of a function, one after the other as it sends them.
fn serve(
    listener: &TcpListener,
    events: &Receiver<String>,
    answers: &Sender<Result<Value, Value>>,
) {
    for stream in listener.incoming() {
        let mut stream: TcpStream = stream.unwrap();
        let Ok(Some(request)) = Request::read(&stream) else { continue };
        // a send or a write fails if the test or the function has ended
        if request.path.ends_with("/invocation/next") {
            let Ok(event) = events.recv() else { return };
            let deadline = now_ms() + 60_000;
            let header = format!(
                "Lambda-Runtime-Aws-Request-Id: 1\r\nLambda-Runtime-Deadline-Ms: {deadline}\r\n\
                 Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:1:function:f\r\n"
            );
            _ = respond(&mut stream, "200 OK", &header, &event);
        } else {
            let body = serde_json::from_slice(&request.body).unwrap();
            let is_error = request.path.ends_with("/error");
            _ = answers.send(if is_error { Err(body) } else { Ok(body) });
            _ = respond(&mut stream, "202 Accepted", "", "{}");
        }
    }
}

fn now_ms() -> u128 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()
}
