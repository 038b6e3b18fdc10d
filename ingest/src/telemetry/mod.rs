//! Metrics, health and log lines of an ingest run, and the HTTP endpoint that serves metrics and
//! health.
//!
//! [`metrics`] holds the registry of all metrics. [`gauges`], [`aws_calls`] and [`billed_requests`]
//! implement some of them, [`counts`] contains the counts of a run, and [`mod@reference`] describes
//! all metrics for the documentation. No metric, log line or response contains an email address.

pub mod aws_calls;
pub mod billed_requests;
pub mod counts;
pub mod gauges;
pub mod health;
pub mod http;
pub mod http_server;
pub mod log_lines;
pub mod metrics;
pub mod reference;
pub(crate) mod throttle;
