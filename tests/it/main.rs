//! End-to-end tests of the command: output, exit codes and numbers, against third-party servers (`rustack`, moto, ministack) and a
//! referee (DuckDB).
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the environment and write to temporary folders"
)]

mod aggregates;
mod alerts;
mod aws_settings;
mod brake;
mod bucket_alerts;
mod bucket_in_place;
mod causes;
mod check;
mod command;
mod concurrency;
mod counting;
mod counts;
mod dashboards;
mod deploy;
mod doctor;
mod documents;
mod emulator;
mod endpoint;
mod explain;
mod fault_proxy;
mod forecast;
mod history;
mod http_message;
mod integrity;
#[cfg(feature = "lambda")]
mod lambda;
mod maintenance;
mod messages;
mod numbers;
mod outage;
mod output_formats;
mod page;
mod page_html;
mod page_states;
mod queue;
mod referee;
#[cfg(feature = "lambda")]
mod runtime_api;
mod s3;
mod send_counts;
mod sending;
mod serve;
mod settings;
mod sns_alerts;
mod suppress;
mod suppression_list;
mod telemetry;
mod terminal;
mod thresholds;
mod views;
mod webhooks;
mod workmail;
