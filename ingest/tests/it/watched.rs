//! Metrics and health over HTTP, asked for as scrapers, people and those who mean no good do.

use std::sync::Arc;
use std::time::Duration;

use bouncewatch_ingest::pipeline::{Settings, Source, run};
use bouncewatch_ingest::telemetry::exposition::Format;
use bouncewatch_ingest::telemetry::http::{Server, Watched, address};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SEND: &str = r#"{"eventType":"Send","mail":{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"m1","destination":["ann@example.org","bob@example.org"]},"send":{}}"#;

/// A server over metrics, and its address.
async fn server(telemetry: &Arc<Telemetry>) -> String {
    let server = Server::bind(address("0").unwrap()).await.unwrap();
    let address = server.address().to_string();
    let stuck_after = Duration::from_mins(1);
    let watched = Watched { telemetry: Arc::clone(telemetry), stuck_after };
    tokio::spawn(server.serve(Arc::new(watched)));
    address
}

/// Sends bytes and reads until the connection ends; one that is reset has ended, too.
async fn sent(address: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 4_096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        all.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8(all).unwrap()
}

async fn asked(address: &str, line: &str, headers: &str) -> String {
    sent(address, format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await
}

fn head(answer: &str) -> String {
    answer.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn scrapers_get_metrics_and_others_get_nothing() {
    let telemetry = Arc::new(Telemetry::new());
    let at = server(&telemetry).await;
    let text = asked(&at, "GET /metrics", "").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(head(&text).contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
    assert!(body(&text).contains("\n# TYPE bouncewatch_rows_stored_total counter\n"), "{text}");
    let accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3\r\n";
    let open = asked(&at, "GET /metrics?x=y", accept).await;
    let media_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head(&open).contains(media_type), "{open}");
    assert!(body(&open).ends_with("\n# EOF\n"));

    let head_only = asked(&at, "HEAD /metrics", "").await;
    assert!(head_only.starts_with("HTTP/1.1 200") && body(&head_only).is_empty(), "{head_only}");
    let length = format!("content-length: {}", body(&text).len());
    assert!(head(&head_only).contains(&length), "{head_only}");
    for (line, status) in [
        ("GET /", "404"),
        ("GET /metrics/", "404"),
        ("GET /../etc/passwd", "404"),
        ("POST /metrics", "405"),
        ("DELETE /healthz", "405"),
        ("GARBAGE", "400"),
    ] {
        let answer = asked(&at, line, "").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
    }
}

#[tokio::test]
async fn those_who_mean_no_good_get_nowhere() {
    let telemetry = Arc::new(Telemetry::new());
    let at = server(&telemetry).await;
    let long_header =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    let many_headers =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 * 1024));
    for request in [&long_header, &many_headers, &long_path, "\0\u{1}\u{2}\r\n\r\n"] {
        let answer = sent(&at, request.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    // a body is not waited for
    let answer = asked(&at, "GET /healthz", "Content-Length: 1000000000\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // more clients than there are places, who say nothing
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(&at).await.unwrap());
    }
    drop(silent);
    assert!(asked(&at, "GET /healthz", "").await.starts_with("HTTP/1.1 200"));
}

/// Time stands still but for those who wait, so that nobody does.
#[tokio::test(start_paused = true)]
async fn who_is_slow_is_left() {
    let telemetry = Arc::new(Telemetry::new());
    let at = server(&telemetry).await;
    for begun in ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\n"] {
        let answer = sent(&at, begun.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test]
async fn health_is_a_line_and_a_code() {
    let telemetry = Arc::new(Telemetry::new());
    let at = server(&telemetry).await;
    let answer = asked(&at, "GET /healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && body(&answer) == "ok\n", "{answer}");
    telemetry.vitals.stopping();
    let answer = asked(&at, "GET /healthz", "").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert_eq!(body(&answer), "the run is stopping\n");
    telemetry.vitals.store_failed(&"no \"room\"\nleft");
    let answer = asked(&at, "GET /healthz", "Accept: application/json\r\n").await;
    let json: serde_json::Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(json["status"], "failing");
    assert_eq!(json["reason"], "the store failed: no \"room\" left");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_a_way_out() {
    let taken = Server::bind(address("0").unwrap()).await.unwrap();
    let error = Server::bind(taken.address()).await.unwrap_err().to_string();
    assert!(error.contains(&taken.address().to_string()) && error.contains("hint:"), "{error}");
}

/// A store in a folder into which some lines were taken, and the metrics of that run.
async fn taken(lines: &str, clock: i64) -> Arc<Telemetry> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, lines).unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    let settings = Settings { workers: 1, ..Settings::default() };
    let telemetry = Arc::new(Telemetry::new());
    let (_keep, stop) = tokio::sync::watch::channel(false);
    let sources = vec![Source::Files(vec![file])];
    run(sources, store, settings, Arc::new(move || clock), Arc::clone(&telemetry), stop)
        .await
        .unwrap();
    telemetry
}

/// The value of a metric without labels.
fn metric(text: &str, name: &str) -> Option<String> {
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
    text.lines().find_map(value)
}

#[tokio::test]
async fn gauges_are_true_after_a_run() {
    let future = SEND.replace("2026-11-19", "2031-01-01").replace("m1", "m2");
    let clock = 1_800_000_000_000;
    let telemetry = taken(&format!("{SEND}\n{future}\n{SEND}\nbroken\n"), clock).await;
    let text = Format::Text.encode(telemetry.registry());
    for (name, value) in [
        ("rows_stored_total", "6"),
        ("duplicate_rows_total", "2"),
        ("events_stored_total", "3"),
        ("documents_quarantined_total{reason=\"not_json\"}", "1"),
        ("documents_quarantined_total{reason=\"no_time\"}", "0"),
        // 2026-11-19T10:00:00Z; the event of the future does not count
        ("newest_event_timestamp_seconds", "1795082400.0"),
        ("last_flush_timestamp_seconds", "1800000000.0"),
        ("batch_age_seconds", "0.0"),
        ("receivers", "0"),
        ("messages_held", "0"),
    ] {
        assert_eq!(metric(&text, &format!("bouncewatch_{name}")).as_deref(), Some(value), "{name}");
    }
    // what nobody knows is not shown as 0
    assert_eq!(metric(&text, "bouncewatch_oldest_message_age_seconds"), None);
    assert!(!text.contains('@'));
}

#[tokio::test]
async fn nothing_is_known_before_anything_came() {
    let telemetry = Telemetry::new();
    let text = Format::Text.encode(telemetry.registry());
    for name in ["newest_event_timestamp_seconds", "last_flush_timestamp_seconds"] {
        assert!(!text.contains(name));
    }
    let waiting = telemetry.vitals.waiting.slot();
    waiting.set(tokio::time::Instant::now() - Duration::from_secs(90));
    let text = Format::Text.encode(telemetry.registry());
    let age: f64 = metric(&text, "bouncewatch_batch_age_seconds").unwrap().parse().unwrap();
    assert!((90.0..120.0).contains(&age), "{age}");
}

/// The README lists every metric there is, and none that is not.
#[tokio::test]
async fn the_readme_lists_the_metrics() {
    let telemetry = taken(SEND, 1_800_000_000_000).await;
    telemetry.request("sqs", "sqs:ReceiveMessage", true);
    let lag = telemetry.oldest_message_age.slot();
    lag.set(1);
    let text = Format::Text.encode(telemetry.registry());
    let described = |line: &str| {
        let mut words = line.strip_prefix("# TYPE ")?.split(' ');
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let mut metrics: Vec<(String, String)> = text.lines().filter_map(described).collect();
    metrics.sort();
    let readme = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let listed = |line: &str| {
        let mut cells = line.strip_prefix("| `bouncewatch_")?.split(" | ");
        let name = cells.next()?.split('`').next()?.split('{').next()?.to_owned();
        Some((format!("bouncewatch_{name}"), cells.next()?.trim().to_owned()))
    };
    let mut listed: Vec<(String, String)> = readme.lines().filter_map(listed).collect();
    listed.sort();
    assert_eq!(listed, metrics);
    // the rules name no other
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let rules = readme.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
    let named: Vec<&str> =
        rules.split(|c| !word(c)).filter(|name| name.starts_with("bouncewatch_")).collect();
    assert!(named.len() > 5);
    for name in named {
        assert!(listed.iter().any(|(known, _)| known == name), "{name}");
    }
}
