//! `bouncewatch config`

use bouncewatch_classify::rule::{CUSTOM_RULE_WEIGHT, Rule};

use super::command_result::CommandResult;
use crate::cli::ConfigCommand;
use crate::config::{Config, DEFAULTS};

pub(super) fn run(command: ConfigCommand, config: &Config) -> anyhow::Result<CommandResult> {
    match command {
        ConfigCommand::Init => Ok(CommandResult::data(DEFAULTS)),
        ConfigCommand::Show => {
            config.classifier()?;
            Ok(CommandResult::data(toml::to_string(config)?))
        }
        ConfigCommand::Check => check(config),
    }
}

/// Tests the custom cause rules. All other settings are checked when they are read.
fn check(config: &Config) -> anyhow::Result<CommandResult> {
    let classifier = config.classifier()?;
    let is_custom = |rule: &&Rule| rule.weight == CUSTOM_RULE_WEIGHT;
    let count = classifier.map_or(0, |all| all.rules().iter().filter(is_custom).count());
    Ok(CommandResult::data(match count {
        0 => "ok\n".to_owned(),
        1 => "ok, 1 cause rule matches its sample\n".to_owned(),
        count => format!("ok, {count} cause rules match their samples\n"),
    }))
}
