//! Console blocks and SQL blocks of the README and the user guide, run as written.
//!
//! A ```` ```console ```` block holds commands (`$ bouncewatch ...`), each followed by an optional exit code (`? 1`) and its
//! output. `...` on a line of its own stands for any lines, `[..]` for any characters. All blocks of all pages run in one folder in
//! which the sample is ingested first. `UPDATE_DOCS=1 cargo test --test it documents` writes the output of today into the pages.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use snapbox::Data;
use snapbox::filter::NormalizeToExpected;

use crate::command::tool;

/// A command of a block, with the lines below it.
struct Step {
    command: String,
    code: i32,
    output: String,
}

/// One part of a page: text that is left alone, or a console block.
enum Part {
    Text(String),
    Console(Vec<Step>),
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// README first, then the pages of the guide in order of names.
fn pages() -> Vec<PathBuf> {
    let folder = root().join("docs/src");
    let mut pages: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    [vec![root().join("README.md")], pages].concat()
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = vec![Part::Text(String::new())];
    for line in text.lines() {
        match parts.last_mut().unwrap() {
            Part::Text(text) => {
                *text += line;
                *text += "\n";
                if line == "```console" {
                    parts.push(Part::Console(Vec::new()));
                }
            }
            Part::Console(_) if line == "```" => parts.push(Part::Text("```\n".to_owned())),
            Part::Console(steps) => {
                if let Some(command) = line.strip_prefix("$ ") {
                    let command = command.to_owned();
                    steps.push(Step { command, code: 0, output: String::new() });
                } else if let Some(step) = steps.last_mut() {
                    let code = line.strip_prefix("? ").filter(|_| step.output.is_empty());
                    if let Some(code) = code {
                        step.code = code.parse().unwrap();
                    } else {
                        step.output += line;
                        step.output += "\n";
                    }
                }
            }
        }
    }
    parts
}

/// Exit code and merged output of a command line in a folder.
fn run(folder: &Path, line: &str) -> (i32, String) {
    let program = Path::new(env!("CARGO_BIN_EXE_bouncewatch"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
        .env("NO_COLOR", "1")
        .env("COLUMNS", "100")
        .env("HOME", folder)
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
}

/// A folder that looks like the root of the repository, with the sample ingested.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("fixtures"), folder.path().join("fixtures")).unwrap();
    let (code, output) =
        run(folder.path(), "bouncewatch ingest fixtures/sample --store .run/store -q");
    assert!(code < 2, "{output}");
    folder
}

#[test]
fn console_blocks_of_documents_print_what_they_show() {
    let folder = workspace();
    let is_update = std::env::var_os("UPDATE_DOCS").is_some();
    let (mut count, mut breaches) = (0, String::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut updated = String::new();
        for part in parts(&text) {
            let steps = match part {
                Part::Text(text) => {
                    updated += &text;
                    continue;
                }
                Part::Console(steps) => steps,
            };
            for step in steps {
                count += 1;
                let (code, actual) = run(folder.path(), &step.command);
                let expected = Data::text(step.output.clone());
                let normalised = NormalizeToExpected::new()
                    .redact()
                    .normalize(Data::text(actual.clone()), &expected);
                let is_same = normalised == expected && code == step.code;
                if !is_same {
                    writeln!(
                        breaches,
                        "{}: $ {}\n--- expected, exit code {}\n{}--- actual, exit code {code}\n{actual}",
                        page.display(),
                        step.command,
                        step.code,
                        step.output
                    )
                    .unwrap();
                }
                let (code, output) =
                    if is_same { (step.code, step.output) } else { (code, actual) };
                writeln!(updated, "$ {}", step.command).unwrap();
                if code != 0 {
                    writeln!(updated, "? {code}").unwrap();
                }
                updated += &output;
            }
        }
        if is_update && updated != text {
            std::fs::write(&page, updated).unwrap();
        }
    }
    assert!(count > 10, "only {count} commands found");
    assert!(is_update || breaches.is_empty(), "{breaches}");
}

/// `sql` blocks without a second word run in DuckDB, in the order of a page, on the store of the sample.
#[test]
fn sql_blocks_of_documents_run_in_duckdb() {
    const SCRIPT: &str = "
import sys, duckdb
for path in sys.argv[1:]:
    connection = duckdb.connect()
    for block in open(path).read().split('```sql\\n')[1:]:
        for statement in duckdb.extract_statements(block.split('```')[0]):
            connection.execute(statement).fetchall()
            print('ran')
";
    let folder = workspace();
    let pages = pages();
    let with_sql =
        pages.iter().filter(|page| std::fs::read_to_string(page).unwrap().contains("```sql\n"));
    let output = Command::new(tool("venv/bin/python"))
        .args(["-c", SCRIPT])
        .args(with_sql)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(output.stdout.len() > 10 * "ran\n".len(), "{errors}");
}

#[test]
fn command_table_of_the_guide_lists_all_commands() {
    let page = std::fs::read_to_string(root().join("docs/src/getting-started.md")).unwrap();
    let (_, table) = page.split_once("\n## Commands\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let (_, help) = run(root(), "bouncewatch --help");
    let (commands, _) = help.split_once("Global options:").unwrap();
    let names = commands.lines().filter_map(|line| {
        line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split(' ').next()
    });
    let missing: Vec<&str> = names
        .filter(|name| {
            let row = format!("| `{name}");
            !table.lines().any(|line| {
                line.strip_prefix(&row).is_some_and(|rest| rest.starts_with(['`', ' ']))
            })
        })
        .collect();
    assert!(missing.is_empty(), "no row in the table of commands: {missing:?}");
}
