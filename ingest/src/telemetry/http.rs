//! The HTTP endpoint: `GET /metrics` for Prometheus, `GET /healthz` for a supervisor or load balancer.
//!
//! The number of connections in total and per address, the size of a request and the time of both are bounded. A request body is never read.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::telemetry::health::Unhealthy;
use crate::telemetry::metrics::{OPENMETRICS_TYPE, Telemetry};

/// Maximum number of open connections. A further one closes the oldest, so that slow clients do not keep a health check
/// waiting.
const CONNECTIONS_MAX: usize = 64;
/// Maximum number of open connections of one address.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
/// Timeout for the header of a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// Timeout for request and response.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum size of a request, bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of header lines of a request.
const HEADERS_MAX: usize = 64;
/// Pause after a failed `accept`, for example with too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the metrics endpoint cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum MetricsServerError {
    /// The address cannot be parsed.
    #[error(
        "not an address to listen on: `{0}`\n  hint: give a port (9464 or :9464, for this machine only) or an IP address with a port (0.0.0.0:9464, [::1]:9464)"
    )]
    NotAnAddress(String),
    /// The port cannot be opened.
    #[error(
        "could not listen on {address} for metrics: {source}\n  hint: the port may be in use, for example by another bouncewatch; give another port, or port 0 for a free one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// Parses `--metrics-addr`. A port without address listens on 127.0.0.1; any other address is given in full.
///
/// # Errors
/// If `text` is neither a port nor an IP address with a port.
pub fn listen_address(text: &str) -> Result<SocketAddr, MetricsServerError> {
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:")).unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = port.parse().map_err(|_| MetricsServerError::NotAnAddress(text.to_owned()))?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| MetricsServerError::NotAnAddress(text.to_owned()))
}

/// The run that the endpoint reports on.
#[derive(Debug)]
pub struct MonitoredRun {
    /// Its metrics and health.
    pub telemetry: Arc<Telemetry>,
    /// The longest time that a document may wait to become durable.
    pub stuck_after: Duration,
}

/// A server with an open port; [`serve`](Self::serve) answers requests.
#[derive(Debug)]
pub struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsServer {
    /// Opens the port.
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn bind(address: SocketAddr) -> Result<Self, MetricsServerError> {
        let failed = |source| MetricsServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that it listens on; contains the chosen port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until it is dropped, which also closes the connections.
    pub async fn serve(self, run: Arc<MonitoredRun>) {
        let mut connections = JoinSet::new();
        let mut open = OpenConnections::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    while connections.try_join_next().is_some() {}
                    let task = connections.spawn(serve_connection(stream, Arc::clone(&run)));
                    open.add(address.ip(), task);
                }
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection to the metrics endpoint");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct OpenConnections(Vec<(IpAddr, AbortHandle)>);

impl OpenConnections {
    /// Adds a connection. Above a maximum it closes the oldest one of the same address, or of all.
    fn add(&mut self, address: IpAddr, task: AbortHandle) {
        self.0.retain(|(_, task)| !task.is_finished());
        let same_address = self.0.iter().filter(|(other, _)| *other == address).count();
        let oldest = if same_address >= CONNECTIONS_PER_ADDRESS_MAX {
            self.0.iter().position(|(other, _)| *other == address)
        } else {
            (self.0.len() >= CONNECTIONS_MAX).then_some(0)
        };
        if let Some(oldest) = oldest {
            let (_, task) = self.0.remove(oldest);
            task.abort();
        }
        self.0.push((address, task));
    }
}

/// Answers one request and closes the connection: scrapes are seconds apart, and idle connections would count towards
/// the maximum.
async fn serve_connection(stream: TcpStream, run: Arc<MonitoredRun>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &run);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME_MAX)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME_MAX, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "invalid request to the metrics endpoint"),
        Err(_) => tracing::debug!("a request to the metrics endpoint timed out"),
    }
}

fn respond(request: &Request<Incoming>, run: &MonitoredRun) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, const { value("GET, HEAD") });
        return response;
    }
    match request.uri().path() {
        "/metrics" => response(StatusCode::OK, OPENMETRICS_TYPE, run.telemetry.encode()),
        "/healthz" => {
            let health = run.telemetry.health.check(Instant::now(), run.stuck_after);
            health_response(health, request)
        }
        _ => text(StatusCode::NOT_FOUND, "not found; see /metrics and /healthz\n"),
    }
}

/// The health as one line, or as JSON if the request accepts it.
fn health_response(
    health: Result<(), Unhealthy>,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    let (code, status, reason) = match health {
        Ok(()) => (StatusCode::OK, "ok", None),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, "failing", Some(reason.to_string())),
    };
    let mut accepted = request.headers().get_all(ACCEPT).iter();
    if accepted.any(|value| value.to_str().is_ok_and(|text| text.contains("application/json"))) {
        let body = serde_json::json!({"version": 1, "status": status, "reason": reason});
        response(code, "application/json", format!("{body}\n"))
    } else {
        text(code, &format!("{}\n", reason.as_deref().unwrap_or(status)))
    }
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, value(content_type));
    headers.insert(CACHE_CONTROL, const { value("no-store") });
    response
}

const fn value(text: &'static str) -> hyper::header::HeaderValue {
    hyper::header::HeaderValue::from_static(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_address_of_a_port_alone_is_loopback() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(listen_address(text).unwrap().to_string(), address);
        }
        for text in ["", ":", "70000", "0.0.0.0", "example.com:9464", "::1:9464x", "-1"] {
            let error = listen_address(text).unwrap_err().to_string();
            assert!(error.contains("hint:"), "{error}");
        }
    }
}
