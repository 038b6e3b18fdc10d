//! Judges a saved snapshot, without credentials: `cargo run -p bouncewatch-doctor --example judge_snapshot -- FILE`.
#![expect(clippy::print_stdout, reason = "an example prints")]

use bouncewatch_doctor::judge::{Figures, judge};
use bouncewatch_doctor::snapshot::Snapshot;
use bouncewatch_doctor::table::render_table;
use bouncewatch_schemas::text_layout::TextLayout;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: judge_snapshot FILE")?;
    let snapshot = Snapshot::parse(&std::fs::read_to_string(file)?)?;
    print!("{}", render_table(&judge(&snapshot, &Figures::default()), TextLayout::default()));
    Ok(())
}
