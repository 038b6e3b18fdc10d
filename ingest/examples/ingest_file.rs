//! Ingest one file of events into a store folder, and print the counts.
//!
//! ```sh
//! cargo run -p bouncewatch-ingest --example ingest_file -- FILE STORE
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its result")]
#![allow(clippy::disallowed_methods, reason = "a program reads the clock itself")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bouncewatch_ingest::pipeline::{IngestSettings, Source, run};
use bouncewatch_ingest::telemetry::metrics::Telemetry;
use bouncewatch_store::Store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(file), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ingest_file FILE STORE".into());
    };
    let store = Store::in_folder(folder)?;
    let settings = IngestSettings { workers: 1, ..IngestSettings::default() };
    // send true to stop the run before the end of the file
    let (_stop_sender, stop) = tokio::sync::watch::channel(false);
    let sources = vec![Source::Files(vec![file])];
    let telemetry = Arc::new(Telemetry::new());
    let summary = run(sources, store, settings, Arc::new(now_ms), telemetry, stop).await?;
    let counts = &summary.counts;
    println!("documents:   {}", counts.messages);
    println!("events:      {}", counts.events);
    println!("rows:        {}", counts.rows);
    println!("ignored:     {:?}", counts.ignored);
    println!("quarantined: {:?}", counts.quarantined);
    for failure in &summary.failures {
        eprintln!("error: {failure}");
    }
    Ok(())
}

/// The current time in epoch milliseconds.
fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
}
