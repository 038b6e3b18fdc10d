//! `bouncewatch check --test-alert`: a test message to each channel. No store is read, and the alert state does not change.

use anyhow::ensure;
use bouncewatch_analyze::alert::test_message::test_message;

use crate::cli::CheckArgs;
use crate::config::Config;
use crate::exit_code;
use crate::run::check::alert::exec_timeout;
use crate::run::check::channel::{Channel, SendOptions, run_channels};
use crate::run::command_result::CommandResult;

/// Sends a test message to each channel. The exit code is 3 if one does not accept it.
///
/// # Errors
/// If the settings of a channel are invalid, or there is no channel.
pub(super) fn send_test(
    args: &CheckArgs,
    config: &Config,
    now: i64,
) -> anyhow::Result<CommandResult> {
    let channels = run_channels(&args.alert, &config.alert)?;
    ensure!(
        !channels.is_empty(),
        "no alert channel is set\n  hint: use --alert-sns or --alert-exec, or set `sns`, `exec` or [[alert.webhook]] in the settings (--config FILE)"
    );
    let options = SendOptions {
        at: now,
        exec_timeout: exec_timeout(&config.alert)?,
        endpoint_url: args.aws.endpoint_url.clone(),
    };
    let message = test_message(now, config.page.url.as_deref())?;
    let mut result = CommandResult::default();
    for channel in &channels {
        let name = channel.name();
        match channel.send(&message, &options) {
            Ok(()) if matches!(channel, Channel::Stdout) => {
                result.data.extend(message.text.bytes());
            }
            Ok(()) => result.data.extend(format!("sent to {name}\n").bytes()),
            Err(error) => {
                result.notes.push(format!("error: {error:#}"));
                result.exit_code = exit_code::UNKNOWN;
            }
        }
    }
    Ok(result)
}
