use clap::Command;

use super::{Cli, definition};

/// Maximum width of the lines of `-h`, and of `--help`.
const SHORT_WIDTH: usize = 80;
const LONG_WIDTH: usize = 100;

/// Returns all visible commands, each with its path of names.
fn commands() -> Vec<(String, Command)> {
    fn collect(path: &str, command: &Command, all: &mut Vec<(String, Command)>) {
        let shown = command.get_subcommands();
        for sub in shown.filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            collect(&path, sub, all);
            all.push((path, sub.clone()));
        }
    }
    let mut root = definition();
    root.build();
    let mut all = Vec::new();
    collect("bouncewatch", &root, &mut all);
    all.push(("bouncewatch".to_owned(), root));
    all
}

fn overlong(help: &str, width: usize) -> Vec<&str> {
    let usage = |line: &&str| line.starts_with("Usage:");
    help.lines().filter(|line| line.chars().count() > width && !usage(line)).collect()
}

#[test]
fn definition_passes_the_checks_of_clap() {
    definition().debug_assert();
}

#[test]
fn short_help_fits_80_columns_without_wrapped_lines() {
    for (path, command) in commands() {
        // wider than the limit: a line that is too long is not wrapped, but found
        let help = command.term_width(LONG_WIDTH).render_help().to_string();
        assert_eq!(overlong(&help, SHORT_WIDTH), Vec::<&str>::new(), "{path}\n{help}");
    }
}

#[test]
fn long_help_fits_100_columns() {
    for (path, command) in commands() {
        let help = command.term_width(LONG_WIDTH).render_long_help().to_string();
        assert_eq!(overlong(&help, LONG_WIDTH), Vec::<&str>::new(), "{path}\n{help}");
    }
}

#[test]
fn each_command_ends_with_examples() {
    for (path, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with("Examples:\n  "), "{path}: {help}");
        assert!(help.contains("  bouncewatch "), "{path}: {help}");
    }
}

#[test]
fn about_is_one_line_without_full_stop() {
    for (path, command) in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!((10..=SHORT_WIDTH).contains(&about.chars().count()), "{path}: {about}");
        assert!(!about.ends_with('.') || about.ends_with("..."), "{path}: {about}");
    }
}

#[test]
fn global_options_are_the_last_group() {
    for (path, command) in commands() {
        let help = command.clone().render_help().to_string();
        let headings = help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' '));
        let groups: Vec<&str> = headings.filter(|line| *line != "Examples:").collect();
        assert_eq!(groups.last(), Some(&"Global options:"), "{path}\n{help}");
    }
}

#[test]
fn old_names_of_flags_still_parse() {
    use clap::Parser;

    let parse = |line: &str| Cli::try_parse_from(line.split(' '));
    assert!(parse("bouncewatch store retain --volume-days 3").is_ok());
    assert!(parse("bouncewatch store retain --send-count-days 3").is_ok());
    #[cfg(feature = "analyze")]
    for line in ["check --exec cat", "report --at 2026-11-20", "causes --at 2026-11-20"] {
        assert!(parse(&format!("bouncewatch {line}")).is_ok(), "{line}");
    }
}
