//! `bouncewatch schema`

use bouncewatch_schemas::send_counts;
use bouncewatch_schemas::table::{COLUMNS, Column, EVENTS};

use super::command_result::CommandResult;

pub(super) fn run() -> CommandResult {
    let line = |column: &Column| {
        let null = if column.nullable { "or null" } else { "" };
        format!(
            "{:<20} {:<6} {:<8} {}\n",
            column.name,
            format!("{:?}", column.column_type).to_lowercase(),
            null,
            column.doc
        )
    };
    let events = COLUMNS.iter().map(line);
    let counts = send_counts::COLUMNS.iter().map(line);
    let title = std::iter::once(format!("{EVENTS}/\n"));
    let title_of_counts =
        std::iter::once(format!("\n{}/  (imported send counts)\n", send_counts::SEND_COUNTS));
    CommandResult::data(
        title.chain(events).chain(title_of_counts).chain(counts).collect::<String>(),
    )
}
