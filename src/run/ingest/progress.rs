//! The progress display on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bouncewatch_ingest::telemetry::metrics::Telemetry;
use indicatif::{ProgressBar, ProgressStyle};

/// Interval between redraws.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);
/// Style for sources of unknown size, such as queues.
const SPINNER: &str = "{spinner} {elapsed}  {msg}";
/// Style for files and objects.
const BAR: &str = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}  {msg}";

/// Draws progress until the task is aborted. Draws nothing if stderr is not a terminal.
pub(super) async fn draw(telemetry: Arc<Telemetry>, input_bytes: Arc<AtomicU64>) {
    let bar = ProgressBar::new_spinner();
    set_style(&bar, SPINNER);
    loop {
        // grows while objects are listed
        let total = input_bytes.load(Ordering::Relaxed);
        if total > bar.length().unwrap_or_default() {
            bar.set_length(total);
            set_style(&bar, BAR);
        }
        bar.set_position(telemetry.bytes_read.get());
        bar.set_message(format!(
            "{} messages, {} rows stored",
            telemetry.received.get(),
            telemetry.rows.get()
        ));
        bar.tick();
        tokio::time::sleep(REDRAW_INTERVAL).await;
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
