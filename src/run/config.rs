//! `bouncewatch config`

use bouncewatch_classify::rule::{CUSTOM_RULE_WEIGHT, Rule};
use bouncewatch_store::StoreUrl;
use bouncewatch_store::aws::is_bucket_name;

use super::command_result::CommandResult;
use super::intake::intake_rules;
use crate::cli::ConfigCommand;
use crate::config::{Config, DEFAULTS};
use crate::exit_code;

pub(super) fn run(command: ConfigCommand, config: &Config) -> anyhow::Result<CommandResult> {
    match command {
        ConfigCommand::Init => Ok(CommandResult::data(DEFAULTS)),
        ConfigCommand::Show => {
            config.classifier()?;
            Ok(CommandResult::data(toml::to_string(config)?))
        }
        ConfigCommand::Check => Ok(check(config)),
    }
}

/// Converts all settings as the commands do, which tests the custom cause rules too, and reports each invalid section.
fn check(config: &Config) -> CommandResult {
    let mut notes = Vec::new();
    let mut problems = Vec::new();
    if let Some(StoreUrl::Bucket { bucket, .. }) = config.store.as_deref().map(StoreUrl::parse)
        && !is_bucket_name(&bucket)
    {
        problems.push(anyhow::anyhow!(
            "`store` in the settings: `{bucket}` is not a valid bucket\n  hint: write s3://BUCKET/PREFIX"
        ));
    }
    #[cfg(feature = "analyze")]
    problems.extend(super::check::check_settings(config, &mut notes));
    let rules = intake_rules(config, None);
    let classifier = match rules {
        Ok(rules) => rules.classifier,
        Err(error) => {
            problems.push(error);
            None
        }
    };
    if !problems.is_empty() {
        let problem = |error| format!("error: {}", crate::with_causes(error));
        notes.extend(problems.iter().map(problem));
        return CommandResult { notes, exit_code: exit_code::FAILED, ..CommandResult::default() };
    }
    let is_custom = |rule: &&Rule| rule.weight == CUSTOM_RULE_WEIGHT;
    let count = classifier.map_or(0, |all| all.rules().iter().filter(is_custom).count());
    let ok = match count {
        0 => "ok\n".to_owned(),
        1 => "ok, 1 cause rule matches its sample\n".to_owned(),
        count => format!("ok, {count} cause rules match their samples\n"),
    };
    CommandResult { notes, ..CommandResult::data(ok) }
}
