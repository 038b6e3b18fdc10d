//! `serve`: its results are those of the commands; it reads only, and refuses what it does not know.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::command::Workspace;
use crate::messages::{NOW, sent_and_bounced};

/// A running server.
struct Server {
    child: Child,
    at: String,
}

/// A response.
#[derive(Debug)]
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    fn start(workspace: &Workspace, arguments: &str) -> Self {
        let mut command = workspace.command(&format!("serve --store STORE --listen 0 {arguments}"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let at = line.split("http://").nth(1).unwrap().trim_matches('"').to_owned();
        // keep the pipe open
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, at }
    }

    fn send(&self, request: &str) -> Response {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        Response {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    fn get_with(&self, path: &str, headers: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.at))
    }

    fn get(&self, path: &str) -> Response {
        self.get_with(path, "")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.ingest(&sent_and_bounced(1_000, 62));
    workspace
}

#[test]
fn results_are_those_of_the_commands() {
    let workspace = workspace();
    let server = Server::start(&workspace, "");
    for (path, command, content_type) in [
        (
            format!("/?at={NOW}"),
            format!("page --store STORE --at {NOW}"),
            "text/html; charset=utf-8",
        ),
        (
            format!("/check.json?at={NOW}&by=identity&window=24h"),
            format!("check --store STORE --at {NOW} --by identity --window 24h --format json"),
            "application/json",
        ),
        (
            format!("/report.json?to={NOW}&from=2026-11-18&every=1d"),
            format!("report --store STORE --to {NOW} --from 2026-11-18 --every 1d --format json"),
            "application/json",
        ),
        (
            format!("/report.csv?to={NOW}&from=2026-11-18&every=1d"),
            format!("report --store STORE --to {NOW} --from 2026-11-18 --every 1d --format csv"),
            "text/csv; charset=utf-8",
        ),
        (
            format!("/metrics?at={NOW}"),
            format!("check --store STORE --at {NOW} --format prometheus"),
            "text/plain; version=0.0.4; charset=utf-8",
        ),
    ] {
        let response = server.get(&path);
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(response.body, workspace.run(&command).stdout, "{path}");
        for header in [
            &format!("content-type: {content_type}"),
            "x-content-type-options: nosniff",
            "content-security-policy: frame-ancestors 'none'",
        ] {
            assert!(response.head.contains(header), "{path}: {}", response.head);
        }
        let etag = response.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let known = format!("If-None-Match: {etag}\r\n");
        let unchanged = server.get_with(&path, &known);
        assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""), "{path}");
    }
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn result_is_kept_for_the_interval() {
    let workspace = workspace();
    let (slow, fast) = (Server::start(&workspace, ""), Server::start(&workspace, "--every 1ms"));
    let path = format!("/check.json?at={NOW}&window=24h");
    let attempts = |server: &Server| {
        let json: Value = serde_json::from_str(&server.get(&path).body).unwrap();
        json["verdicts"][0]["attempts"].as_u64().unwrap()
    };
    assert_eq!((attempts(&slow), attempts(&fast)), (1_000, 1_000));
    workspace.ingest(&sent_and_bounced(1_100, 0));
    assert_eq!((attempts(&slow), attempts(&fast)), (1_000, 1_100));
}

#[test]
fn unknown_requests_are_refused() {
    let workspace = workspace();
    let server = Server::start(&workspace, "--allowed-host status.example.com");
    for (path, status, text) in [
        ("/nothing", 404, "/check.json"),
        ("/../etc/passwd", 404, "not found"),
        ("/check.json?store=/etc", 400, "unknown query parameter"),
        ("/check.json?alert-exec=date", 400, "unknown query parameter"),
        ("/?output=page.html", 400, "unknown query parameter"),
        ("/check.json?window=soon", 400, "invalid window `soon`"),
        ("/check.json?at=yesterday", 400, "--at"),
        ("/report.csv?by=nothing", 400, "cannot group by `nothing`"),
        ("/check.json?top=5", 400, "--top"),
    ] {
        let response = server.get(path);
        assert_eq!(response.status, status, "{path}: {response:?}");
        assert!(response.body.contains(text), "{path}: {response:?}");
        assert!(response.head.contains("content-type: text/plain"), "{path}: {response:?}");
    }
    let post = server
        .send(&format!("POST / HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", server.at));
    assert_eq!(post.status, 405);
    for (host, status) in [("evil.example", 403), ("status.example.com", 200), ("localhost:1", 200)]
    {
        let response = server.send(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{host}");
    }
    // nothing was written
    assert!(!workspace.path("page.html").try_exists().unwrap());
}

#[test]
fn store_that_cannot_be_read_is_a_failure_without_paths() {
    let workspace = Workspace::new();
    let server = Server::start(&workspace, "");
    let response = server.get("/check.json");
    assert_eq!((response.status, response.body.contains("store")), (500, false), "{response:?}");
    assert_eq!(server.get("/healthz").status, 503);
}

#[test]
fn occupied_port_is_an_error() {
    let workspace = workspace();
    let server = Server::start(&workspace, "");
    let output = workspace.run(&format!("serve --store STORE --listen {}", server.at));
    assert_eq!(output.exit_code, 2, "{output:?}");
    assert!(output.stderr.contains("could not listen") && output.stderr.contains("hint:"));
}
