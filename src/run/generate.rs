//! `bouncewatch generate` and `bouncewatch completions`: man pages, completions and reference pages.

use std::path::Path;

use anyhow::Context;
use clap_complete::Shell;
use clap_mangen::Man;

use super::command_result::CommandResult;
use super::output_file::write_file;
use super::reference;
use crate::cli::{self, GenerateArgs, GenerateCommand};

/// Shells for which packages install completions, with the names that the shells look for.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bouncewatch.bash"),
    (Shell::Zsh, "_bouncewatch"),
    (Shell::Fish, "bouncewatch.fish"),
];

/// Origin of the man pages.
const SOURCE: &str = concat!("bouncewatch ", env!("CARGO_PKG_VERSION"));

pub(super) fn run(args: &GenerateArgs) -> anyhow::Result<CommandResult> {
    let files = match args.command {
        GenerateCommand::Man => man_pages()?,
        GenerateCommand::Completions => {
            COMPLETIONS.map(|(shell, name)| (name.to_owned(), completion_script(shell))).to_vec()
        }
        GenerateCommand::Reference => vec![
            ("cli.md".to_owned(), reference::command_line().into_bytes()),
            ("configuration.md".to_owned(), reference::configuration().into_bytes()),
        ],
    };
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("could not create the folder `{}`", args.out.display()))?;
    let mut result = CommandResult::default();
    for (name, data) in files {
        write(&args.out.join(name), &data)?;
    }
    result.notes.push(format!("files written to `{}`", args.out.display()));
    Ok(result)
}

/// Returns the completion script of a shell.
pub(super) fn completions(shell: Shell) -> CommandResult {
    CommandResult::data(completion_script(shell))
}

fn completion_script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::definition(), cli::NAME, &mut script);
    script
}

/// Returns one page for the root and for each visible subcommand: `bouncewatch-store-compact.1`.
fn man_pages() -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut root = cli::definition().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add_man_pages(&root, &mut pages).context("could not render a man page")?;
    Ok(pages)
}

fn add_man_pages(
    command: &clap::Command,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> std::io::Result<()> {
    let page = Man::new(command.clone()).manual("bouncewatch manual").source(SOURCE);
    let mut text = Vec::new();
    page.render(&mut text)?;
    pages.push((page.get_filename(), text));
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.into_iter().try_for_each(|command| add_man_pages(command, pages))
}

fn write(path: &Path, data: &[u8]) -> anyhow::Result<()> {
    write_file(path, |out| out.write_all(data))
        .with_context(|| format!("could not write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_a_man_page_with_its_examples() {
        let pages = man_pages().unwrap();
        let page = |name: &str| {
            let page = pages.iter().find(|(page, _)| page == name);
            String::from_utf8(page.unwrap_or_else(|| panic!("{name}")).1.clone()).unwrap()
        };
        assert!(page("bouncewatch.1").contains("bouncewatch\\-ingest(1)"));
        for name in ["bouncewatch-ingest.1", "bouncewatch-store-quarantine-replay.1"] {
            assert!(page(name).contains("Examples:"), "{name}");
        }
        assert!(pages.iter().all(|(name, _)| !name.contains("generate")));
    }

    #[test]
    fn completion_scripts_know_the_commands() {
        for (shell, name) in COMPLETIONS {
            let script = String::from_utf8(completion_script(shell)).unwrap();
            assert!(script.contains("quarantine") && script.contains("batch-age"), "{name}");
        }
    }
}
