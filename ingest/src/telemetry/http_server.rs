//! A small HTTP server: answers GET and HEAD, one request per connection.
//!
//! It limits the number of connections (in total and per address), the size of a request, and the
//! duration of requests and connections. It never reads a request body.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Full;
pub use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, IF_NONE_MATCH,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// Maximum number of open connections. A new connection above it closes the oldest one, so that
/// slow clients do not block a health check.
const CONNECTIONS_MAX: usize = 64;
/// Maximum number of open connections of one address.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;
/// Timeout for the header of a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);
/// Maximum size of a request, bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Maximum number of header lines of a request.
const HEADERS_MAX: usize = 64;
/// Pause after a failed `accept`, for example with too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HttpServerError {
    /// The address cannot be parsed.
    #[error(
        "not an address to listen on: `{0}`\n  hint: give a port (9464 or :9464, for this machine only) or an IP address with a port (0.0.0.0:9464, [::1]:9464)"
    )]
    NotAnAddress(String),
    /// The port cannot be opened.
    #[error(
        "could not listen on {address}: {source}\n  hint: the port may be in use, for example by another bouncewatch; give another port, or port 0 for a free one"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// Parses an address to listen on. A port without an address means 127.0.0.1.
///
/// # Errors
/// If `text` is neither a port nor an IP address with a port.
pub fn listen_address(text: &str) -> Result<SocketAddr, HttpServerError> {
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("localhost:")).unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = port.parse().map_err(|_| HttpServerError::NotAnAddress(text.to_owned()))?;
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse().map_err(|_| HttpServerError::NotAnAddress(text.to_owned()))
}

/// A GET or HEAD request. A header that is missing or not ASCII text is an empty string.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// Path, percent-encoded.
    pub path: String,
    /// Query, percent-encoded; empty if there is none.
    pub query: String,
    /// The header `Host`.
    pub host: String,
    /// All `Accept` headers, joined with commas.
    pub accept: String,
    /// The header `If-None-Match`.
    pub if_none_match: String,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// Body.
    pub body: Bytes,
    /// Further headers, with lower-case names. `cache-control` defaults to `no-store`.
    pub headers: Vec<(&'static str, String)>,
}

impl HttpAnswer {
    /// An answer without further headers.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), headers: Vec::new() }
    }

    /// An answer with a plain text body.
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }
}

/// A server with an open port; [`serve`](Self::serve) answers requests.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpServer {
    /// Opens the port.
    ///
    /// # Errors
    /// If the port cannot be opened.
    pub async fn bind(address: SocketAddr) -> Result<Self, HttpServerError> {
        let failed = |source| HttpServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address that the server listens on, with the chosen port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until the future is dropped, which also closes the connections. A
    /// connection is closed after `time_max`.
    pub async fn serve<A, F>(self, time_max: Duration, answer: A)
    where
        A: Fn(HttpRequest) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = HttpAnswer> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let mut open = OpenConnections::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    while connections.try_join_next().is_some() {}
                    let task = connections.spawn(connection(stream, time_max, answer.clone()));
                    open.add(address.ip(), task);
                }
                Err(error) => {
                    tracing::debug!(%error, "could not accept a connection");
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
    /// Adds a connection. Above the limit per address it closes the oldest connection of the
    /// address, above the total limit the oldest of all.
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

/// Answers one request and closes the connection. Keep-alive is off, because idle connections would
/// count towards the limits, and clients send a request only every few seconds.
async fn connection<F>(
    stream: TcpStream,
    time_max: Duration,
    answer: impl Fn(HttpRequest) -> F + Send + Sync,
) where
    F: Future<Output = HttpAnswer> + Send,
{
    let answer = &answer;
    let service = service_fn(|request: Request<Incoming>| async move {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let answered = if is_read {
            answer(read_request(&request)).await
        } else {
            let headers = vec![(ALLOW.as_str(), "GET, HEAD".to_owned())];
            HttpAnswer { headers, ..HttpAnswer::text(405, "only GET and HEAD\n") }
        };
        Ok::<_, Infallible>(response(answered))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIME_MAX)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(time_max, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "invalid HTTP request"),
        Err(_) => tracing::debug!("an HTTP request timed out"),
    }
}

fn read_request(request: &Request<Incoming>) -> HttpRequest {
    let header = |name: HeaderName| {
        let values = request.headers().get_all(name);
        values.iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(", ")
    };
    HttpRequest {
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        host: header(HOST),
        accept: header(ACCEPT),
        if_none_match: header(IF_NONE_MATCH),
    }
}

fn response(answer: HttpAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
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
