//! Compute bounce and complaint rates of a store as of a time.
//!
//! ```sh
//! cargo run -p bouncewatch-analyze --example compute_rates -- STORE 2026-11-20T00:00:00Z
//! ```
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::path::Path;

use bouncewatch_analyze::check::thresholds::{ThresholdRules, Thresholds};
use bouncewatch_analyze::check::{CheckRequest, check};
use bouncewatch_analyze::timeline::{Basis, Grouping};
use bouncewatch_schemas::event::Service;
use bouncewatch_schemas::time::parse_ms;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(store), Some(time)) = (arguments.next(), arguments.next()) else {
        return Err("usage: compute_rates STORE TIME".into());
    };
    let request = CheckRequest {
        store: Path::new(&store).into(),
        service: Service::Ses,
        at: parse_ms(&time).ok_or("TIME is not an RFC 3339 time")?,
        windows: vec!["24h".parse()?, "7d".parse()?],
        basis: Basis::Event,
        groupings: vec![Grouping::parse("tag:campaign")?],
        counted_from: None,
        contributors: Vec::new(),
        own_domains: Vec::new(),
        bounce: Thresholds { warning: 0.05, critical: 0.10, minimum_count: 5 },
        complaint: Thresholds { warning: 0.001, critical: 0.005, minimum_count: 3 },
        minimum_volume: 1_000,
        rules: ThresholdRules::default(),
        stale_after: 24 * 60 * 60 * 1_000,
        incidents: None,
    };
    let report = check(&request)?;
    println!("status {}", report.status.as_str());
    for verdict in &report.verdicts {
        // without a denominator the rate is unknown, never 0
        let rate =
            verdict.rate.map_or("unknown".to_owned(), |rate| format!("{:.2} %", rate * 100.0));
        println!("{} {} {}: {rate}", verdict.metric, verdict.scope, verdict.window);
    }
    Ok(())
}
