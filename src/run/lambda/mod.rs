//! `bouncewatch lambda`: a job as a function of AWS Lambda.
//!
//! `environment` reads the settings of the function, `ingest` stores the messages of an invocation, `command` runs `check`,
//! `store compact` and `store retain` as the command line does.

mod command;
mod environment;
mod ingest;

use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use clap::ValueEnum;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::Value;

use self::command::CommandJob;
use self::environment::Environment;
use self::ingest::IngestJob;
use super::command_result::CommandResult;
use crate::cli::{LambdaArgs, LambdaJob};
use crate::config::environment_variable;

/// Environment variables that AWS Lambda sets, and that its runtime client needs.
const REQUIRED_VARIABLES: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Answers invocations until the environment ends the process.
///
/// # Errors
/// If the process does not run in AWS Lambda, or its settings are invalid.
pub(super) fn run(args: &LambdaArgs) -> anyhow::Result<CommandResult> {
    for name in REQUIRED_VARIABLES {
        ensure!(
            environment_variable(name).is_some(),
            "`bouncewatch lambda` runs in AWS Lambda: {name} is not set\n  hint: `make lambda` builds the zip of the functions; deploy/cloudformation.yaml has them (Mode=serverless)"
        );
    }
    let job = job(args.job, environment_variable("_HANDLER"))?;
    let environment = Environment::read();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    runtime.block_on(serve(job, environment))?;
    Ok(CommandResult::default())
}

/// Returns the job that an argument or the handler of the function names.
fn job(argument: Option<LambdaJob>, handler: Option<String>) -> anyhow::Result<LambdaJob> {
    if let Some(job) = argument {
        return Ok(job);
    }
    let handler = handler.unwrap_or_default();
    LambdaJob::from_str(&handler, false).map_err(|_| {
        anyhow!("unknown handler of the function: `{handler}`\n  hint: set the handler to ingest, check or compact")
    })
}

async fn serve(job: LambdaJob, environment: Environment) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    tracing::info!(version, ?job, store = environment.store, "function started");
    let ended = match job {
        LambdaJob::Ingest => {
            let job = Arc::new(IngestJob::new(&environment).await?);
            let handler = service_fn(move |event: LambdaEvent<Value>| {
                let job = Arc::clone(&job);
                async move { job.invoke(event).await.map_err(|error| failure(&error)) }
            });
            lambda_runtime::run(handler).await
        }
        LambdaJob::Check | LambdaJob::Compact => {
            let job = Arc::new(CommandJob::new(job, environment)?);
            let handler = service_fn(move |_: LambdaEvent<Value>| {
                let job = Arc::clone(&job);
                async move { job.invoke().await.map_err(|error| failure(&error)) }
            });
            lambda_runtime::run(handler).await
        }
    };
    ended.map_err(|error| anyhow!("the runtime API of AWS Lambda failed: {error}"))
}

/// Returns the error of an invocation. Lambda counts it in the metric `Errors`.
fn failure(error: &anyhow::Error) -> Diagnostic {
    let error_message = crate::with_causes(error);
    Diagnostic { error_type: "bouncewatch".to_owned(), error_message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handler_names_the_job_unless_an_argument_does() {
        let handler = |text: &str| job(None, Some(text.to_owned()));
        assert_eq!(handler("ingest").unwrap(), LambdaJob::Ingest);
        assert_eq!(handler("compact").unwrap(), LambdaJob::Compact);
        assert_eq!(job(Some(LambdaJob::Check), Some("ingest".into())).unwrap(), LambdaJob::Check);
        for text in ["", "bootstrap", "Ingest"] {
            assert!(handler(text).unwrap_err().to_string().contains("hint: "), "{text}");
        }
    }
}
