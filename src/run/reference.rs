//! Pages of the user guide that are generated: the command line from clap, the settings from `config.toml`.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::cli;
use crate::config::DEFAULTS;

/// Help heading of the global options; listed once, at the top of the page.
const GLOBAL: &str = "Global options";

/// Returns the page on the command line.
pub(super) fn command_line() -> String {
    let mut root = cli::definition().disable_help_subcommand(true);
    root.build();
    let mut page = String::from(
        "# Command line\n\n<!-- Generated from the command line definition by `make reference`; do not edit. -->\n\n",
    );
    push_paragraphs(&mut page, &long_about(&root));
    page.push_str(
        "stdout is data, stderr is messages, the [exit code](exit-codes.md) is the result.\n",
    );
    push_options(&mut page, &root, |_| true);
    push_examples(&mut page, &root);
    for command in visible_subcommands(&root) {
        push_command(&mut page, command, &format!("{} {}", cli::NAME, command.get_name()));
    }
    page
}

fn push_command(page: &mut String, command: &Command, path: &str) {
    // writing to a String cannot fail
    _ = write!(page, "\n## {path}\n\n");
    push_paragraphs(page, &long_about(command));
    let usage = command.clone().render_usage().to_string();
    _ = writeln!(page, "```text\n{}\n```", usage.trim_start_matches("Usage: "));
    push_options(page, command, |heading| heading != GLOBAL);
    push_examples(page, command);
    for subcommand in visible_subcommands(command) {
        push_command(page, subcommand, &format!("{path} {}", subcommand.get_name()));
    }
}

fn visible_subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn long_about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // clap keeps the line of the short help as the first paragraph of the long one
    command.get_long_about().map_or(about, ToString::to_string)
}

/// Appends paragraphs; the first one gets a full stop.
fn push_paragraphs(page: &mut String, text: &str) {
    for (at, paragraph) in text.split("\n\n").enumerate() {
        let is_title = at == 0 && !paragraph.ends_with('.');
        _ = write!(page, "{}{}\n\n", escape(paragraph), if is_title { "." } else { "" });
    }
}

/// Appends one table per heading, in the order of the help.
fn push_options(page: &mut String, command: &Command, is_listed: impl Fn(&str) -> bool) {
    let mut headings: Vec<&str> = Vec::new();
    for heading in command.get_arguments().map(heading).filter(|heading| is_listed(heading)) {
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    // the help starts with arguments and options that have no heading
    headings.sort_by_key(|heading| match *heading {
        "Arguments" => 0,
        "Options" => 1,
        _ => 2,
    });
    for title in headings {
        let arguments = command
            .get_arguments()
            .filter(|argument| heading(argument) == title && !argument.is_hide_set());
        _ = write!(page, "\n**{title}**\n\n| name | meaning |\n|---|---|\n");
        for argument in arguments {
            _ = writeln!(page, "| {} | {} |", names(argument), meaning(argument));
        }
    }
}

fn heading(argument: &Arg) -> &str {
    argument.get_help_heading().unwrap_or(if argument.is_positional() {
        "Arguments"
    } else {
        "Options"
    })
}

/// Returns `-o`, `--output FILE`.
fn names(argument: &Arg) -> String {
    let value = argument.get_value_names().unwrap_or_default().join(" ");
    if argument.is_positional() {
        return format!("`{value}`");
    }
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let value = if takes_value { format!(" {value}") } else { String::new() };
    let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let long = argument.get_long().unwrap_or_default();
    format!("{short}`--{long}{value}`")
}

/// Returns the help, the default, the possible values and the aliases.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let mut cell = String::new();
    for paragraph in help.split("\n\n") {
        let paragraph = escape(paragraph);
        let separator = if cell.is_empty() { "" } else { "<br>" };
        _ = write!(cell, "{separator}{}", paragraph.replace("\n  ", "<br>- ").replace('\n', " "));
    }
    let defaults = argument.get_default_values();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let defaults: Vec<_> = defaults.iter().map(|value| value.to_string_lossy()).collect();
        _ = write!(cell, "<br>Default: `{}`", defaults.join(","));
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() && argument.get_action().takes_values() {
        _ = write!(cell, "<br>Values: {}", values.join(", "));
    }
    for alias in argument.get_visible_aliases().unwrap_or_default() {
        _ = write!(cell, "<br>Alias: `--{alias}`");
    }
    cell
}

fn push_examples(page: &mut String, command: &Command) {
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    for paragraph in text.split("\n\n").filter(|paragraph| paragraph.contains("\n  ")) {
        let (title, lines) = paragraph.split_once('\n').unwrap_or_default();
        _ = write!(page, "\n{}\n\n```sh\n", escape(title));
        for line in lines.lines() {
            _ = writeln!(page, "{}", line.strip_prefix("  ").unwrap_or(line));
        }
        page.push_str("```\n");
    }
}

/// Escapes what Markdown would interpret, outside of code.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_code = false;
    for char in text.chars() {
        is_code ^= char == '`';
        match char {
            '|' => escaped.push_str("\\|"),
            '<' if !is_code => escaped.push_str("&lt;"),
            '_' | '*' | '[' | ']' if !is_code => {
                escaped.push('\\');
                escaped.push(char);
            }
            char => escaped.push(char),
        }
    }
    escaped
}

/// Returns the page on the settings file. Comments of `config.toml` are the text, in Markdown.
pub(super) fn configuration() -> String {
    let mut page = String::from(
        "# Configuration\n\n<!-- Generated from src/config.toml by `make reference`; do not edit. -->\n\n\
         `bouncewatch config init` prints a settings file with all defaults. `--config FILE` selects the file; without it, the\n\
         defaults apply. `bouncewatch config show` prints the settings in effect, `bouncewatch config check` checks a file.\n",
    );
    let mut table = None;
    for block in DEFAULTS.split("\n\n") {
        push_block(&mut page, block, &mut table);
    }
    page
}

/// Appends a block of `config.toml`: comments, then settings. `table` is the table that contains them.
fn push_block<'a>(page: &mut String, block: &'a str, table: &mut Option<&'a str>) {
    let (mut prose, mut settings) = (Vec::new(), Vec::new());
    // prose before the line of a table is about the table; prose after it is about its first key
    let mut ends_paragraph = false;
    for line in block.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            _ = write!(page, "\n## {title}\n");
        } else if line == "#" {
            prose.push("");
        } else if let Some(text) = line.strip_prefix("# ") {
            if std::mem::take(&mut ends_paragraph) {
                prose.push("");
            }
            prose.push(text);
        } else if line.starts_with('[') {
            *table = Some(line);
            ends_paragraph = !prose.is_empty();
        } else {
            settings.push(line);
        }
    }
    let is_example = settings.iter().all(|line| line.starts_with('#'));
    let settings: Vec<&str> = settings.iter().map(|line| line.trim_start_matches('#')).collect();
    if let Some(title) = settings_title(&settings, *table) {
        _ = write!(page, "\n### {title}\n");
    }
    if !prose.is_empty() {
        _ = write!(page, "\n{}\n", prose.join("\n"));
    }
    if !settings.is_empty() {
        let is_array = settings.first().is_some_and(|line| line.starts_with('['));
        let table =
            table.filter(|_| !is_array).map_or_else(String::new, |table| format!("{table}\n"));
        let label = if is_example { "Example" } else { "Default" };
        _ = write!(page, "\n{label}:\n\n```toml\n{table}{}\n```\n", settings.join("\n"));
    }
}

/// Returns the keys of a block for its heading: `bounce.warning`, or `[[rule]]` for a table that can repeat.
fn settings_title(settings: &[&str], table: Option<&str>) -> Option<String> {
    let first = settings.first()?;
    if first.starts_with('[') {
        return Some(format!("`{first}`"));
    }
    let prefix = table.map(|table| table.trim_matches(['[', ']']));
    let keys = settings.iter().filter_map(|line| Some(line.split_once('=')?.0.trim()));
    let names = keys.map(|key| match prefix {
        Some(prefix) => format!("`{prefix}.{key}`"),
        None => format!("`{key}`"),
    });
    Some(names.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn assert_committed(name: &str, generated: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src").join(name);
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == generated,
            "docs/src/{name} is out of date\n  hint: run `make reference` and commit the page"
        );
    }

    #[cfg(feature = "analyze")]
    #[test]
    fn committed_cli_page_is_current() {
        assert_committed("cli.md", &command_line());
    }

    #[test]
    fn committed_configuration_page_is_current() {
        assert_committed("configuration.md", &configuration());
    }

    #[test]
    fn configuration_page_has_sample_keys_and_tables() {
        let page = configuration();
        for key in ["store", "minimum_volume", "bounce.minimum_count", "alert.clear_below"] {
            assert!(page.contains(&format!("`{key}`")), "{key}");
        }
        assert!(page.contains("### `[[threshold]]`") && page.contains("### `[[rule]]`"));
    }
}
