//! Arguments of `explain`.

use clap::Args;

use super::shared_args::FormatArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bouncewatch explain \"550 5.1.1 user unknown\"
  grep dsn= /var/log/mail.log | bouncewatch explain
  bouncewatch explain --format json < events.json")]
pub(crate) struct ExplainArgs {
    /// Bounce message, or SES event in JSON
    ///
    /// A text such as "550 5.1.1 user unknown", or an event of SES in JSON, with or without SNS envelope. Without TEXT,
    /// or with -, lines or events are read from stdin. With --format json, one object per line is printed.
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) output: FormatArgs,
}
