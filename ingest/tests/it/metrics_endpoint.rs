//! Metrics and health over HTTP: requests of scrapers, of people and of hostile clients; and the pages that list the
//! metrics.

use std::sync::Arc;
use std::time::Duration;

use bouncewatch_ingest::pipeline::{IngestSettings, Source, run};
use bouncewatch_ingest::telemetry::http::MonitoredRun;
use bouncewatch_ingest::telemetry::http_server::{HttpServer, listen_address};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_ingest::telemetry::reference::markdown;
use bouncewatch_store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SEND: &str = r#"{"eventType":"Send","mail":{"timestamp":"2026-11-19T10:00:00.000Z","messageId":"m1","destination":["ann@example.org","bob@example.org"]},"send":{}}"#;

/// Starts a server for metrics; returns its address.
async fn server(telemetry: &Arc<Telemetry>) -> String {
    let server = HttpServer::bind(listen_address("0").unwrap()).await.unwrap();
    let address = server.address().to_string();
    let stuck_after = Duration::from_mins(1);
    let run = MonitoredRun { telemetry: Arc::clone(telemetry), stuck_after };
    tokio::spawn(Arc::new(run).serve(server));
    address
}

/// Sends bytes and reads until the connection is closed or reset.
async fn send(address: &str, request: &[u8]) -> String {
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

async fn get(address: &str, line: &str, headers: &str) -> String {
    send(address, format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await
}

fn head(response: &str) -> String {
    response.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn metrics_are_served_as_openmetrics_and_other_requests_are_refused() {
    let telemetry = Arc::new(Telemetry::new());
    let address = server(&telemetry).await;
    let media_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    for accept in ["", "Accept: text/plain;version=0.0.4\r\n", "Accept: */*\r\n"] {
        let response = get(&address, "GET /metrics?x=y", accept).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        assert!(head(&response).contains(media_type), "{response}");
        let text = body(&response);
        assert!(text.contains("\n# TYPE bouncewatch_rows_stored counter\n"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    let whole = get(&address, "GET /metrics", "").await;
    let head_only = get(&address, "HEAD /metrics", "").await;
    assert!(head_only.starts_with("HTTP/1.1 200") && body(&head_only).is_empty(), "{head_only}");
    let length = format!("content-length: {}", body(&whole).len());
    assert!(head(&head_only).contains(&length), "{head_only}");
    for (line, status) in [
        ("GET /", "404"),
        ("GET /metrics/", "404"),
        ("GET /../etc/passwd", "404"),
        ("POST /metrics", "405"),
        ("DELETE /healthz", "405"),
        ("GARBAGE", "400"),
    ] {
        let response = get(&address, line, "").await;
        assert!(response.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {response}");
    }
}

#[tokio::test]
async fn oversized_requests_are_refused_and_idle_clients_do_not_block() {
    let telemetry = Arc::new(Telemetry::new());
    let address = server(&telemetry).await;
    let long_header =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(64 * 1024));
    let many_headers =
        format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 * 1024));
    for request in [&long_header, &many_headers, &long_path, "\0\u{1}\u{2}\r\n\r\n"] {
        let response = send(&address, request.as_bytes()).await;
        assert!(!response.contains(" 200 "), "{response}");
    }
    // the server does not wait for a body
    let response = get(&address, "GET /healthz", "Content-Length: 1000000000\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    // more clients than the maximum, without a request
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    drop(idle);
    assert!(get(&address, "GET /healthz", "").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn slow_clients_do_not_keep_a_health_check_waiting() {
    let telemetry = Arc::new(Telemetry::new());
    let address = server(&telemetry).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(b"GET /healthz HT").await.unwrap();
        slow.push(stream);
    }
    // the clock of the timeouts does not move
    let started = tokio::time::Instant::now();
    assert!(get(&address, "GET /healthz", "").await.starts_with("HTTP/1.1 200"));
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Tokio advances the paused clock while all tasks wait, so that timeouts pass at once.
#[tokio::test(start_paused = true)]
async fn slow_requests_time_out() {
    let telemetry = Arc::new(Telemetry::new());
    let address = server(&telemetry).await;
    for start in ["", "GET /metr", "GET /metrics HTTP/1.1\r\nHost: x\r\n"] {
        let response = send(&address, start.as_bytes()).await;
        assert!(!response.contains(" 200 "), "{response}");
    }
}

#[tokio::test]
async fn healthz_returns_status_and_reason_as_text_or_json() {
    let telemetry = Arc::new(Telemetry::new());
    let address = server(&telemetry).await;
    let response = get(&address, "GET /healthz", "").await;
    assert!(response.starts_with("HTTP/1.1 200") && body(&response) == "ok\n", "{response}");
    telemetry.health.record_stopping();
    let response = get(&address, "GET /healthz", "").await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert_eq!(body(&response), "the run is stopping\n");
    telemetry.health.record_store_failure(&"no \"room\"\nleft");
    let response = get(&address, "GET /healthz", "Accept: application/json\r\n").await;
    let json: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!(json["status"], "failing");
    assert_eq!(json["reason"], "the store failed: no \"room\" left");
}

#[tokio::test]
async fn port_in_use_is_an_error_with_a_hint() {
    let taken = HttpServer::bind(listen_address("0").unwrap()).await.unwrap();
    let error = HttpServer::bind(taken.address()).await.unwrap_err().to_string();
    assert!(error.contains(&taken.address().to_string()) && error.contains("hint:"), "{error}");
}

/// Ingests lines into a new store; returns the metrics of the run.
async fn ingest(lines: &str, clock: i64) -> Arc<Telemetry> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in.ndjson");
    std::fs::write(&file, lines).unwrap();
    let store = Store::in_folder(folder.path().join("store")).unwrap();
    let settings = IngestSettings { workers: 1, ..IngestSettings::default() };
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
async fn metrics_after_a_run_match_the_ingested_documents() {
    // 2027-01-15T08:00:00Z
    let clock = 1_800_000_000_000;
    let ahead = SEND.replace("2026-11-19", "2027-01-15").replace("m1", "m2");
    let future = SEND.replace("2026-11-19", "2031-01-01").replace("m1", "m3");
    let lines = format!("{SEND}\n{ahead}\n{future}\n{SEND}\nbroken\n");
    let telemetry = ingest(&lines, clock).await;
    let text = telemetry.encode();
    for (name, value) in [
        ("rows_stored_total", "6"),
        ("duplicate_rows_total", "2"),
        ("events_stored_total", "3"),
        ("documents_quarantined_total{reason=\"not_json\"}", "1"),
        ("documents_quarantined_total{reason=\"no_time\"}", "0"),
        ("documents_quarantined_total{reason=\"future\"}", "1"),
        // 2026-11-19T10:00:00Z; an event of a clock that is ahead does not count
        ("newest_event_timestamp_seconds", "1795082400.0"),
        ("last_flush_timestamp_seconds", "1800000000.0"),
        ("batch_age_seconds", "0.0"),
        ("receivers", "0"),
        ("messages_held", "0"),
    ] {
        assert_eq!(metric(&text, &format!("bouncewatch_{name}")).as_deref(), Some(value), "{name}");
    }
    // an unknown value is absent, not 0
    assert_eq!(metric(&text, "bouncewatch_oldest_message_age_seconds"), None);
    assert!(!text.contains('@'));
}

#[tokio::test]
async fn timestamps_are_absent_before_the_first_batch_and_batch_age_grows() {
    let telemetry = Telemetry::new();
    let text = telemetry.encode();
    for name in ["newest_event_timestamp_seconds", "last_flush_timestamp_seconds"] {
        assert!(!text.contains(name));
    }
    let worker = telemetry.health.not_durable_since.slot();
    worker.set(tokio::time::Instant::now() - Duration::from_secs(90));
    let text = telemetry.encode();
    let age: f64 = metric(&text, "bouncewatch_batch_age_seconds").unwrap().parse().unwrap();
    assert!((90.0..120.0).contains(&age), "{age}");
}

fn docs_page(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src").join(name)
}

/// `UPDATE_DOCS=1 cargo test -p bouncewatch-ingest metrics_page` writes the page.
#[test]
fn metrics_page_matches_the_registry() {
    let generated = markdown(Telemetry::new().descriptions());
    let page = docs_page("metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, &generated).unwrap();
    }
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == generated,
        "docs/src/metrics.md is outdated; run this test with UPDATE_DOCS=1"
    );
}

/// The descriptions of the reference page are those of the exported text.
#[tokio::test]
async fn descriptions_match_the_exported_metrics() {
    let telemetry = ingest(SEND, 1_800_000_000_000).await;
    telemetry.aws.started("sqs", "sqs:ReceiveMessage");
    telemetry.aws.failed("sqs", "sqs:ReceiveMessage");
    let lag = telemetry.oldest_message_age.slot();
    lag.set(1);
    let text = telemetry.encode();
    for description in telemetry.descriptions() {
        let name = description.name.trim_end_matches("_total").trim_end_matches("_info");
        for line in [
            format!("# TYPE {name} {}", description.kind),
            format!("# HELP {name} {}.", description.help),
        ] {
            assert!(text.lines().any(|exported| exported == line), "{line}\n{text}");
        }
        let unit = text.lines().find_map(|line| line.strip_prefix(&format!("# UNIT {name} ")));
        assert_eq!(unit, description.unit.as_deref(), "{name}");
        let sample = text.lines().find(|line| line.starts_with(name)).unwrap();
        for label in &description.labels {
            assert!(sample.contains(&format!("{label}=\"")), "{sample}");
        }
        assert!(!description.labels.is_empty() || !sample.contains('{') || sample.contains("le="));
    }
    let exported = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(exported, telemetry.descriptions().len());
}

/// The rules for the consumer and its dashboard, without Prometheus; `tests/it/dashboards.rs` runs their queries.
#[test]
fn dashboard_and_rules_of_the_consumer_name_only_existing_metrics() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let rules = read("prometheus-rules.yml");
    let (_, rules) = rules.split_once("- name: bouncewatch-consumer").unwrap();
    let telemetry = Telemetry::new();
    let exists = |name: &str| {
        telemetry.descriptions().iter().any(|metric| match metric.kind.as_str() {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|suffix| name.strip_suffix(suffix) == Some(&metric.name)),
            _ => metric.name == name,
        })
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    for text in [rules, &read("grafana-consumer.json")] {
        let names = text.split(|c| !is_name(c)).filter(|name| name.starts_with("bouncewatch_"));
        let unknown: Vec<&str> = names.clone().filter(|name| !exists(name)).collect();
        assert!(names.count() > 5 && unknown.is_empty(), "{unknown:?}");
    }
}
