//! [`CommandJob`]: runs `check`, or `store compact` and `store retain`, as the command line does.

use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::environment::Environment;
use crate::cli::{Cli, LambdaJob};

/// The jobs `check` and `compact`.
pub(super) struct CommandJob {
    job: LambdaJob,
    environment: Environment,
}

/// What a command did.
struct Outcome {
    exit_code: u8,
    /// JSON on stdout.
    output: Value,
    notes: Vec<String>,
}

impl CommandJob {
    /// Checks the options of the function.
    ///
    /// # Errors
    /// If one is wrong.
    pub(super) fn new(job: LambdaJob, environment: Environment) -> anyhow::Result<Self> {
        let job = Self { job, environment };
        job.commands(None)?;
        Ok(job)
    }

    /// Returns the commands of an invocation.
    fn commands(&self, config: Option<&PathBuf>) -> anyhow::Result<Vec<Cli>> {
        let Environment { arguments, retain_arguments, .. } = &self.environment;
        let parse =
            |command: &[&str], options: &[String]| self.environment.parse(command, options, config);
        if self.job == LambdaJob::Check {
            let cache = std::env::temp_dir().join("bouncewatch-cache").display().to_string();
            let command = ["check", "--format", "json", "--cache", &cache];
            return Ok(vec![parse(&command, arguments)?]);
        }
        let mut commands = vec![parse(&["store", "compact", "--format", "json"], arguments)?];
        if !retain_arguments.is_empty() {
            commands.push(parse(&["store", "retain", "--format", "json"], retain_arguments)?);
        }
        Ok(commands)
    }

    /// Runs the commands.
    ///
    /// # Errors
    /// If one fails, cannot send alerts, or needs attention.
    pub(super) async fn invoke(&self) -> anyhow::Result<Value> {
        let config = self.environment.config_file().await?;
        let mut results = Vec::new();
        for cli in self.commands(config.as_ref())? {
            let ran = tokio::task::spawn_blocking(move || run(cli)).await;
            let Outcome { exit_code, output, notes } =
                ran.context("the command panicked; this is a bug, please report it")??;
            for note in &notes {
                tracing::warn!(%note, "the command printed a note");
            }
            let errors: Vec<&str> =
                notes.iter().map(String::as_str).filter(|note| note.starts_with("error")).collect();
            if !errors.is_empty() {
                bail!("{}", errors.join("\n"));
            }
            if self.job == LambdaJob::Check {
                let status = output["status"].clone();
                tracing::info!(exit_code, %status, "check done");
                results.push(json!({"exit_code": exit_code, "status": status}));
            } else if exit_code == 0 {
                tracing::info!(result = %output, "store maintained");
                results.push(json!({"exit_code": exit_code}));
            } else {
                bail!("the maintenance of the store needs attention: {output}");
            }
        }
        Ok(json!({ "results": results }))
    }
}

/// Runs a command as the command line does.
fn run(cli: Cli) -> anyhow::Result<Outcome> {
    let mut output = Vec::new();
    let result = crate::run::run(cli, crate::now_ms(), &mut output)?;
    result.write(&mut output).context("could not write the result")?;
    result.after.run()?;
    let output = serde_json::from_slice(&output).context(
        "the result is not JSON\n  hint: remove --format from the variable BOUNCEWATCH_ARGUMENTS",
    )?;
    Ok(Outcome { exit_code: result.exit_code, output, notes: result.notes })
}
