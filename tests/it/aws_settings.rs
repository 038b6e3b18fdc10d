//! Loading of AWS settings: only if a command needs them, and without responses in the log (invariant I-8).

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::command::{CommandOutput, Workspace};

/// Address in each response of the server; it must not be logged.
const ADDRESS: &str = "secret@example.org";

/// A server for instance metadata, from which the SDK reads region and credentials if nothing else has them.
struct MetadataServer {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl MetadataServer {
    /// Starts a server that refuses all requests. Its thread ends with the process.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                _ = stream.read(&mut [0; 4_096]);
                let length = ADDRESS.len();
                _ = write!(
                    stream,
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{ADDRESS}"
                );
            }
        });
        Self { url, requests }
    }

    /// Runs the command without region, credentials and profile.
    fn run(&self, workspace: &Workspace, arguments: &str) -> CommandOutput {
        let mut command = workspace.command(arguments);
        let is_aws = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("AWS_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_aws(name)) {
            command.env_remove(name);
        }
        command.env("HOME", workspace.path("")).env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.url);
        CommandOutput::from(command.output().unwrap())
    }
}

#[test]
fn commands_that_need_no_aws_settings_load_none() {
    let (server, workspace) = (MetadataServer::start(), Workspace::new());
    workspace.run_with_stdin("ingest - --store STORE", "no event");
    for (arguments, exit_code, stderr) in [
        ("store quarantine replay --store STORE", 1, ""),
        ("ingest cloudwatch-logs:not:a:group --store STORE", 2, "error: not a log group"),
        ("ingest s3://not*a*bucket/x --store STORE", 2, "error: "),
    ] {
        let output = server.run(&workspace, arguments);
        assert_eq!(output.exit_code, exit_code, "{output:?}");
        assert!(output.stderr.starts_with(stderr), "{output:?}");
        assert!(!output.stderr.contains("WARN"), "{output:?}");
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn unusable_sources_are_reported_in_one_line_with_a_hint() {
    let workspace = Workspace::new();
    let endpoint = "--endpoint-url http://127.0.0.1:1";
    for (source, endpoint, why, hint) in [
        ("ses-events", None, "no such file or folder", "a queue by its URL or ARN"),
        ("https://queue.example.org/1/q", None, "Missing Region", "AWS_REGION"),
        ("cloudwatch-logs:group", None, "Missing Region", "AWS_REGION"),
        (
            "arn:aws:sqs:eu-west-1:123456789012:q",
            Some(endpoint),
            "Connection refused",
            "--endpoint-url",
        ),
        ("s3://bucket/x", Some(endpoint), "Connection refused", "--endpoint-url"),
    ] {
        let arguments = format!("ingest {source} --store STORE {}", endpoint.unwrap_or_default());
        let mut command = workspace.command(&arguments);
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        command.env("HOME", workspace.path("")).env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]);
        let output = CommandOutput::from(command.output().unwrap());
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert_eq!((output.exit_code, lines.len()), (2, 2), "{output:?}");
        assert!(lines[0].contains(why) && lines[1].starts_with("  hint: "), "{output:?}");
        assert!(lines[1].contains(hint), "{output:?}");
    }
}

#[test]
fn responses_to_the_aws_sdk_are_not_logged() {
    let (server, workspace) = (MetadataServer::start(), Workspace::new());
    let output = server.run(&workspace, "ingest cloudwatch-logs:/aws/x --store STORE -vvv");
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert!(server.requests.load(Ordering::Relaxed) > 0, "{output:?}");
    assert!(output.stderr.contains("error: ") && output.stderr.contains("hint: "), "{output:?}");
    for part in ["SdkBody", ADDRESS] {
        assert!(!output.stderr.contains(part), "{output:?}");
    }
}
