//! The endpoint of a run: `GET /metrics` for Prometheus, `GET /healthz` for a supervisor or load balancer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::health::Unhealthy;
use crate::telemetry::http_server::{HttpAnswer, HttpRequest, HttpServer};
use crate::telemetry::metrics::{OPENMETRICS_TYPE, Telemetry};

/// Timeout of a connection.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// The run that the endpoint reports on.
#[derive(Debug)]
pub struct MonitoredRun {
    /// Its metrics and health.
    pub telemetry: Arc<Telemetry>,
    /// The longest time that a document may wait to become durable.
    pub stuck_after: Duration,
}

impl MonitoredRun {
    /// Answers requests until it is dropped.
    pub async fn serve(self: Arc<Self>, server: HttpServer) {
        let answer = move |request: HttpRequest| {
            let answer = self.answer(&request);
            async move { answer }
        };
        server.serve(CONNECTION_TIME_MAX, answer).await;
    }

    fn answer(&self, request: &HttpRequest) -> HttpAnswer {
        match request.path.as_str() {
            "/metrics" => HttpAnswer::new(200, OPENMETRICS_TYPE, self.telemetry.encode()),
            "/healthz" => health_answer(
                self.telemetry.health.check(Instant::now(), self.stuck_after),
                request,
            ),
            _ => HttpAnswer::text(404, "not found; see /metrics and /healthz\n"),
        }
    }
}

/// The health as one line, or as JSON if the request accepts it.
fn health_answer(health: Result<(), Unhealthy>, request: &HttpRequest) -> HttpAnswer {
    let (code, status, reason) = match health {
        Ok(()) => (200, "ok", None),
        Err(reason) => (503, "failing", Some(reason.to_string())),
    };
    if request.accept.contains("application/json") {
        let body = serde_json::json!({"version": 1, "status": status, "reason": reason});
        HttpAnswer::new(code, "application/json", format!("{body}\n"))
    } else {
        HttpAnswer::text(code, &format!("{}\n", reason.as_deref().unwrap_or(status)))
    }
}
