//! [`Environment`]: the settings of a function, from its environment variables.

use std::path::PathBuf;

use anyhow::Context;
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::{Store, StoreUrl};

use crate::cli::Cli;
use crate::config::environment_variable;
use crate::run::write_file;

/// Settings of a function.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
    /// `BOUNCEWATCH_STORE`: URL of the store.
    pub(super) store: Option<String>,
    /// `BOUNCEWATCH_CONFIG`: settings file, a path in the zip or `s3://BUCKET/KEY`.
    config: Option<String>,
    /// `BOUNCEWATCH_ARGUMENTS`: options of the command, separated by spaces.
    pub(super) arguments: Vec<String>,
    /// `BOUNCEWATCH_RETAIN_ARGUMENTS`: options of `store retain`; it runs only if they are set.
    pub(super) retain_arguments: Vec<String>,
}

impl Environment {
    /// Reads the variables.
    pub(super) fn read() -> Self {
        let variable = |name| environment_variable(name).filter(|text: &String| !text.is_empty());
        let words = |name| {
            let text = variable(name).unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        Self {
            store: variable("BOUNCEWATCH_STORE"),
            config: variable("BOUNCEWATCH_CONFIG"),
            arguments: words("BOUNCEWATCH_ARGUMENTS"),
            retain_arguments: words("BOUNCEWATCH_RETAIN_ARGUMENTS"),
        }
    }

    /// Returns the path of the settings file. A file in a bucket is downloaded, so that a change applies to the next call.
    ///
    /// # Errors
    /// If the object cannot be downloaded.
    pub(super) async fn config_file(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(config) = &self.config else { return Ok(None) };
        let (bucket, key) = match StoreUrl::parse(config) {
            StoreUrl::Folder(path) => return Ok(Some(path)),
            StoreUrl::Bucket { bucket, prefix } => (bucket, prefix),
        };
        let failed = || format!("could not read the settings file `{config}`");
        let objects = Buckets::load_on_first_use(None).open(&bucket).await.with_context(failed)?;
        let bucket = Store::in_objects(objects, "", &format!("s3://{bucket}"));
        let text = bucket.get(&bucket.path(&key)).await?.with_context(|| {
            format!("{}: no such object\n  hint: check the variable BOUNCEWATCH_CONFIG", failed())
        })?;
        let path = std::env::temp_dir().join("bouncewatch.toml");
        write_file(&path, |out| out.write_all(&text)).with_context(failed)?;
        Ok(Some(path))
    }

    /// Parses a command with these options, and with store and settings file of the function.
    ///
    /// # Errors
    /// If an option is wrong.
    pub(super) fn parse(
        &self,
        command: &[&str],
        options: &[String],
        config: Option<&PathBuf>,
    ) -> anyhow::Result<Cli> {
        let mut arguments = vec![crate::cli::NAME.to_owned()];
        arguments.extend(command.iter().map(|&word| word.to_owned()));
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        if let Some(store) = &self.store {
            add("--store", store.clone());
        }
        if let Some(config) = config {
            add("--config", config.display().to_string());
        }
        arguments.extend_from_slice(options);
        Cli::parse_from_texts(arguments.iter()).map_err(|message| {
            anyhow::anyhow!("the environment variables of the function: {message}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;

    #[test]
    fn options_of_the_command_and_the_store_are_combined() {
        let environment =
            Environment { store: Some("s3://b/p".to_owned()), ..Environment::default() };
        let options = ["--poison".to_owned(), "leave".to_owned()];
        let cli = environment.parse(&["ingest", "-"], &options, Some(&"/c.toml".into())).unwrap();
        assert_eq!(cli.config, Some("/c.toml".into()));
        let Command::Ingest(args) = cli.command else { panic!() };
        assert_eq!(args.store.store.as_deref(), Some("s3://b/p"));
        let wrong = environment.parse(&["ingest", "-"], &["--posion".to_owned()], None);
        assert!(wrong.unwrap_err().to_string().contains("--posion"));
    }
}
