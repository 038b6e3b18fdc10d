//! Metrics and health of a run over HTTP, for Prometheus and for whoever restarts what is ill. `health` knows whether
//! the run is well, `exposition` writes the metrics; this file answers.
//!
//! What a client can cost is bounded: connections, the size of a request, and the time that both take. A body is never
//! read.

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
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::telemetry::exposition::Format;
use crate::telemetry::health::Ill;
use crate::telemetry::metrics::Telemetry;

/// Clients that are served at the same time; others wait.
const CONNECTIONS_MAX: usize = 32;
/// Time in which a client must have sent its request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// Time that a client may take for all of it.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of a request.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// Pause after a connection that could not be taken: too many files are open, say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What is wrong with the address for metrics.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be read.
    #[error(
        "not an address to listen on: `{0}`\n  hint: give a port (9464 or :9464, for this machine alone) or an IP address with its port (0.0.0.0:9464, [::1]:9464)"
    )]
    NotAnAddress(String),
    /// Nobody can listen there.
    #[error(
        "could not listen on {address} for metrics: {source}\n  hint: is another program, perhaps another bouncewatch, there already? give another port, or port 0 for one that is free"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// The address that a word names. A bare port means this machine alone; anything else is given in full.
///
/// # Errors
/// If it names none.
pub fn address(word: &str) -> Result<SocketAddr, WatchError> {
    let port = word.strip_prefix(':').or_else(|| word.strip_prefix("localhost:")).unwrap_or(word);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = port.parse().map_err(|_| WatchError::NotAnAddress(word.to_owned()))?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    word.parse().map_err(|_| WatchError::NotAnAddress(word.to_owned()))
}

/// What is watched.
#[derive(Debug)]
pub struct Watched {
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// How long a document may wait to become durable.
    pub stuck_after: Duration,
}

/// A server that has its port and answers nobody yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn bind(address: SocketAddr) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens; tells the port that was chosen for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped, which ends the connections too.
    pub async fn serve(self, watched: Arc<Watched>) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= CONNECTIONS_MAX {
                connections.join_next().await;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => _ = connections.spawn(answer_one(stream, Arc::clone(&watched))),
                Err(error) => {
                    tracing::debug!(%error, "a client for metrics could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Answers one request. The connection is not kept: scrapes come seconds apart, and idle ones would hold places.
async fn answer_one(stream: TcpStream, watched: Arc<Watched>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(&request, &watched);
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
        Ok(Err(error)) => tracing::debug!(%error, "a request for metrics was no good"),
        Err(_) => tracing::debug!("a client for metrics was too slow"),
    }
}

fn respond(request: &Request<Incoming>, watched: &Watched) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, const { value("GET, HEAD") });
        return response;
    }
    // a header that is no text asks for nothing
    let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = accept.collect::<Vec<_>>().join(",");
    match request.uri().path() {
        "/metrics" => {
            let format = Format::accepted(&accept);
            let body = format.encode(watched.telemetry.registry());
            response(StatusCode::OK, format.content_type(), body)
        }
        "/healthz" => {
            let verdict = watched.telemetry.vitals.verdict(Instant::now(), watched.stuck_after);
            health(verdict, accept.contains("application/json"))
        }
        _ => text(StatusCode::NOT_FOUND, "nothing here; try /metrics or /healthz\n"),
    }
}

fn health(verdict: Result<(), Ill>, json: bool) -> Response<Full<Bytes>> {
    let (code, status, reason) = match verdict {
        Ok(()) => (StatusCode::OK, "ok", None),
        Err(ill) => (StatusCode::SERVICE_UNAVAILABLE, "failing", Some(ill.to_string())),
    };
    if json {
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
    fn a_bare_port_is_for_this_machine_alone() {
        for (word, meant) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(address(word).unwrap().to_string(), meant);
        }
        for word in ["", ":", "70000", "0.0.0.0", "example.com:9464", "::1:9464x", "-1"] {
            let error = address(word).unwrap_err().to_string();
            assert!(error.contains("hint:"), "{error}");
        }
    }
}
