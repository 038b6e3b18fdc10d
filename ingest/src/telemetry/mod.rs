//! What an ingest run reports about itself: metrics, health, log lines and the HTTP endpoint that serves them.

pub mod exposition;
pub mod gauges;
pub mod health;
pub mod http;
pub mod log_lines;
pub mod metrics;
