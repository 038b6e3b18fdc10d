//! The help of the root command: a list of commands grouped by purpose. clap has no headings for subcommands.

use std::fmt::Write;

use clap::Command;

/// Commands by purpose.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Set up", &["init"]),
    ("Run", &["ingest", "check", "serve"]),
    ("Analyze", &["page", "report", "causes", "history", "reconcile", "explain", "doctor"]),
    ("Act", &["forecast", "suppress"]),
    ("Maintain", &["store", "config", "schema", "views", "dashboards", "completions", "help"]),
];

/// The subcommand that clap adds.
const HELP: (&str, &str) = ("help", "Print this help, or the help of a command");

/// Returns the root command with a help template that lists its subcommands by purpose.
pub(super) fn group_commands(root: Command) -> Command {
    let styles = root.get_styles();
    let (header, literal) = (*styles.get_header(), *styles.get_literal());
    let mut template = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (title, names) in GROUPS {
        let commands: Vec<(&str, String)> =
            names.iter().filter_map(|name| Some((*name, about(&root, name)?))).collect();
        if commands.is_empty() {
            continue;
        }
        // writing to a String cannot fail
        _ = writeln!(template, "\n{header}{title}:{header:#}");
        for (name, about) in commands {
            _ = writeln!(template, "  {literal}{name:<12}{literal:#} {about}");
        }
    }
    _ = write!(template, "\n{header}Global options:{header:#}\n{{options}}{{after-help}}");
    root.help_template(template)
}

/// Returns the line of a subcommand; `None` if this build does not have it.
fn about(root: &Command, name: &str) -> Option<String> {
    if name == HELP.0 {
        return Some(HELP.1.to_owned());
    }
    Some(root.find_subcommand(name)?.get_about()?.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn each_visible_command_is_in_exactly_one_group() {
        let root = Cli::command();
        for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            let count = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(count, 1, "{name}");
        }
    }
}
