//! One file a command: settles what was meant, calls a room, and says what to print.

#[cfg(feature = "analyze")]
mod causes;
#[cfg(feature = "analyze")]
mod check;
mod cost;
mod explain;
mod ingest;
#[cfg(feature = "analyze")]
mod reconcile;
#[cfg(feature = "analyze")]
mod report;
mod send_counts;
mod store;
#[cfg(feature = "analyze")]
mod suppress;
mod upkeep;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bouncewatch_classify::rule::{OWN_WEIGHT, Rule};
use bouncewatch_ingest::pipeline::Rules;
use bouncewatch_schemas::table::COLUMNS;
use bouncewatch_schemas::volume;
use bouncewatch_store::addresses::{Addresses, Policy};
use bouncewatch_store::aws::{self, Buckets};
use bouncewatch_store::{Store, StoreUrl};
use clap::CommandFactory;

use crate::cause_rules;
#[cfg(feature = "analyze")]
use crate::cli::CacheArg;
use crate::cli::{AddressPolicy, Cli, Command, ConfigCommand, StoreArg};
use crate::config::{Config, DEFAULTS};

/// What a command has to say.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// For stdout.
    pub(crate) data: Vec<u8>,
    /// For stderr, a line each.
    pub(crate) notes: Vec<String>,
    /// The exit code.
    pub(crate) exit_code: u8,
    /// What is to be done once the data was taken.
    pub(crate) after: After,
}

/// What is to be done once an answer was taken, such as noting that people were told; it may fail.
#[derive(Default)]
pub(crate) struct After(Option<Box<dyn FnOnce() -> anyhow::Result<()>>>);

impl std::fmt::Debug for After {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("After").field(&self.0.is_some()).finish()
    }
}

impl After {
    #[cfg(feature = "analyze")]
    fn new(work: impl FnOnce() -> anyhow::Result<()> + 'static) -> Self {
        Self(Some(Box::new(work)))
    }

    /// Does it.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), |work| work())
    }
}

impl Answer {
    fn data(data: impl Into<Vec<u8>>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    fn json(value: &impl serde::Serialize) -> anyhow::Result<Self> {
        let mut data = serde_json::to_vec(value).context("could not write JSON")?;
        data.push(b'\n');
        Ok(Self::data(data))
    }
}

/// Runs a command. Its answer is returned; what may be longer than memory is written to `out` as it comes.
pub(crate) fn run(cli: Cli, now: i64, out: &mut dyn Write) -> anyhow::Result<Answer> {
    let config = Config::read(cli.config.as_deref())?;
    match cli.command {
        Command::Ingest(args) => ingest::run(&args, &config, cli.quiet > 0),
        #[cfg(feature = "analyze")]
        Command::Check(args) => check::run(&args, &config, now),
        #[cfg(feature = "analyze")]
        Command::Report(args) => report::run(&args, &config, now),
        #[cfg(feature = "analyze")]
        Command::Reconcile(args) => reconcile::run(&args, &config, now),
        #[cfg(feature = "analyze")]
        Command::Causes(args) => causes::run(&args, &config, now),
        #[cfg(feature = "analyze")]
        Command::Suppress(args) => suppress::run(&args, &config, now),
        Command::Store(command) => store::run(command, &config, now),
        Command::Config(ConfigCommand::Init) => Ok(Answer::data(DEFAULTS)),
        Command::Explain(args) => explain::run(&args, &config, out),
        Command::Config(ConfigCommand::Show) => {
            cause_rules::classifier(&config)?;
            Ok(Answer::data(toml::to_string(&config)?))
        }
        Command::Config(ConfigCommand::Check) => check_config(&config),
        Command::Schema => Ok(Answer::data(schema())),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bouncewatch", &mut script);
            Ok(Answer::data(script))
        }
    }
}

/// Reading the settings was the check; rules of the user's are tried here.
fn check_config(config: &Config) -> anyhow::Result<Answer> {
    let own = cause_rules::classifier(config)?;
    let is_own = |rule: &&Rule| rule.weight == OWN_WEIGHT;
    let count = own.map_or(0, |own| own.rules().iter().filter(is_own).count());
    let said = match count {
        0 => "ok\n".to_owned(),
        1 => "ok, and 1 cause rule knows its sample\n".to_owned(),
        count => format!("ok, and {count} cause rules know their samples\n"),
    };
    Ok(Answer::data(said))
}

fn schema() -> String {
    let line = |column: &bouncewatch_schemas::table::Column| {
        let null = if column.nullable { "or null" } else { "" };
        format!(
            "{:<20} {:<6} {:<8} {}\n",
            column.name,
            format!("{:?}", column.column_type).to_lowercase(),
            null,
            column.doc
        )
    };
    let events = COLUMNS.iter().map(line);
    let volumes = volume::COLUMNS.iter().map(line);
    let title = std::iter::once(format!("\n{}/\n", volume::VOLUMES));
    events.chain(title).chain(volumes).collect()
}

/// The word for the store that was named, on the command line or in the settings.
fn store_word(typed: &StoreArg, config: &Config) -> anyhow::Result<String> {
    typed.store.clone().or_else(|| config.store.clone()).context(
        "no store: give --store DIR or --store s3://BUCKET/PREFIX, or `store` in the settings file",
    )
}

/// What to do where there is no store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is made.
    IsMade,
    /// That is a mistake in its name.
    IsWrong,
}

/// Opens the store that was named.
async fn open_store(typed: &StoreArg, config: &Config, missing: Missing) -> anyhow::Result<Store> {
    let word = store_word(typed, config)?;
    match StoreUrl::parse(&word) {
        StoreUrl::Folder(folder) => {
            anyhow::ensure!(
                missing == Missing::IsMade || folder.is_dir(),
                "no store at `{}`",
                folder.display()
            );
            Ok(Store::in_folder(folder)?)
        }
        StoreUrl::Bucket { bucket, prefix } => {
            let buckets = Buckets::new(aws::load(None, typed.endpoint_url.as_deref()).await);
            let objects = buckets
                .open(&bucket)
                .with_context(|| format!("could not open the store `{word}`"))?;
            Ok(Store::in_objects(objects, &prefix, word.trim_end_matches('/')))
        }
    }
}

/// What is stored of what comes, as typed or as the settings say.
fn rules(config: &Config, typed: Option<AddressPolicy>) -> anyhow::Result<Rules> {
    Ok(Rules {
        allowed: config.allow.allowed(),
        addresses: addresses(config, typed)?,
        causes: cause_rules::classifier(config)?,
    })
}

/// What becomes of recipients' addresses, as typed or as the settings say.
fn addresses(config: &Config, typed: Option<AddressPolicy>) -> anyhow::Result<Addresses> {
    let settings = &config.addresses;
    let policy = match typed.unwrap_or(settings.policy) {
        AddressPolicy::Keep => Policy::Keep,
        AddressPolicy::Hash => Policy::Hash,
        AddressPolicy::Drop => Policy::Drop,
    };
    let key = match &settings.key_file {
        None => None,
        Some(path) => Some(
            std::fs::read(path)
                .with_context(|| format!("could not read the key file `{}`", path.display()))?,
        ),
    };
    // the newline that an editor leaves is no part of a key
    let key = key.as_deref().map(<[u8]>::trim_ascii);
    Addresses::new(policy, key).map_err(|error| match &settings.key_file {
        Some(path) => anyhow::anyhow!(
            "the key file `{}` cannot be used: {error}\nhint: make one with `openssl rand -hex 32`",
            path.display()
        ),
        None => anyhow::anyhow!(
            "{error}\nhint: put the output of `openssl rand -hex 32` into a file and name it as `key_file` in [addresses] of the settings file"
        ),
    })
}

/// The folder in which the store that was named can be analysed: itself, or a mirror of a bucket.
#[cfg(feature = "analyze")]
fn analyzed_folder(typed: &StoreArg, cache: &CacheArg, config: &Config) -> anyhow::Result<PathBuf> {
    use bouncewatch_store::cache as bucket_cache;

    let word = store_word(typed, config)?;
    let (bucket, prefix) = match StoreUrl::parse(&word) {
        StoreUrl::Folder(folder) => return Ok(folder),
        StoreUrl::Bucket { bucket, prefix } => (bucket, prefix),
    };
    let cache = cache.cache.clone().or_else(|| config.cache.clone());
    let cache = cache.or_else(|| Some(crate::config::user_cache()?.join("bouncewatch"))).context(
        "no cache folder for a store in S3: give --cache DIR, or `cache` in the settings file",
    )?;
    block_on(async {
        let aws = aws::load(None, typed.endpoint_url.as_deref()).await;
        let shown = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
        let folder = cache.join(bucket_cache::folder_name(&shown, aws.endpoint_url()));
        let objects = Buckets::new(aws)
            .open(&bucket)
            .with_context(|| format!("could not open the store `{word}`"))?;
        bucket_cache::sync(&bucket_cache::Bucket { objects, prefix, shown }, &folder).await?;
        Ok(folder)
    })
}

/// Runs what waits for a store or for AWS.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?
        .block_on(work)
}

/// Writes an answer to a file, which appears when it is whole.
#[expect(clippy::disallowed_methods, reason = "this is a file of the user's, not of a store")]
pub(crate) fn write_file(path: &Path, data: &[u8]) -> std::io::Result<()> {
    // a device or a pipe is written to; only a file, or one that a link points to, is replaced as a whole
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::OpenOptions::new().write(true).open(path)?.write_all(data);
    }
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!(".{}.staged", std::process::id()));
    let staged = PathBuf::from(staged);
    let written = std::fs::write(&staged, data).and_then(|()| std::fs::rename(&staged, path));
    if written.is_err() {
        // what is half written helps nobody
        _ = std::fs::remove_file(&staged);
    }
    written
}

fn time_ms(flag: &str, text: Option<&str>) -> anyhow::Result<Option<i64>> {
    let read = |text: &str| {
        bouncewatch_schemas::time::parse_ms(text).with_context(|| {
            format!("{flag}: not a time: `{text}`; write 2026-11-20T00:00:00Z or 2026-11-20")
        })
    };
    text.map(read).transpose()
}

#[cfg(feature = "analyze")]
fn service(word: crate::cli::ServiceWord) -> bouncewatch_schemas::event::Service {
    match word {
        crate::cli::ServiceWord::Ses => bouncewatch_schemas::event::Service::Ses,
        crate::cli::ServiceWord::Workmail => bouncewatch_schemas::event::Service::WorkMail,
    }
}

#[cfg(feature = "analyze")]
fn duration_ms(flag: &str, text: &str) -> anyhow::Result<i64> {
    bouncewatch_analyze::timeline::windows::parse_duration_ms(text)
        .with_context(|| format!("{flag}: not a duration: `{text}`; write 90s, 15m, 24h, 7d"))
}

/// Domains as they stand in the table; what is no domain would silently do nothing.
#[cfg(feature = "analyze")]
fn own_domains(config: &Config, typed: &[String]) -> anyhow::Result<Vec<String>> {
    let domain = |text: &String| {
        let domain =
            text.trim().trim_start_matches(['.', '@']).trim_end_matches('.').to_lowercase();
        let good = !domain.is_empty() && !domain.contains([',', '@', ' ', '/']);
        anyhow::ensure!(
            good,
            "not a domain: `{text}`; write example.com, one for each --own-domain"
        );
        Ok(domain)
    };
    config.own_domains.iter().chain(typed).map(domain).collect()
}

/// The cuts that were typed, each once.
#[cfg(feature = "analyze")]
fn cuts(by: &[String]) -> anyhow::Result<Vec<bouncewatch_analyze::timeline::model::Cut>> {
    each_once(by.iter().map(|text| bouncewatch_analyze::timeline::model::Cut::parse(text)))
}

/// The windows that were typed, each once.
#[cfg(feature = "analyze")]
fn windows(
    typed: &[String],
) -> anyhow::Result<Vec<bouncewatch_analyze::timeline::windows::Window>> {
    each_once(typed.iter().map(|text| text.parse()))
}

/// By which time events belong to windows.
#[cfg(feature = "analyze")]
fn basis(args: &crate::cli::CountArgs) -> bouncewatch_analyze::timeline::model::Basis {
    match args.basis {
        crate::cli::BasisWord::Event => bouncewatch_analyze::timeline::model::Basis::Event,
        crate::cli::BasisWord::Send => bouncewatch_analyze::timeline::model::Basis::Send,
    }
}

/// The moment before which nothing counts.
#[cfg(feature = "analyze")]
fn counted_from(typed: Option<&str>, config: &Config) -> anyhow::Result<Option<i64>> {
    match typed {
        Some(typed) => time_ms("--counted-from", Some(typed)),
        None => time_ms("counted_from in the settings", config.counted_from.as_deref()),
    }
}

/// By what it is told who drives a rate.
#[cfg(feature = "analyze")]
fn contributors(
    config: &Config,
) -> anyhow::Result<Vec<bouncewatch_analyze::timeline::model::ScopeWord>> {
    use bouncewatch_analyze::timeline::model::ScopeWord;

    each_once(config.contributors.iter().map(|text| ScopeWord::of_contributors(text)))
        .context("contributors in the settings")
}

#[cfg(feature = "analyze")]
fn each_once<T: PartialEq>(
    all: impl Iterator<Item = Result<T, bouncewatch_analyze::error::AnalyzeError>>,
) -> anyhow::Result<Vec<T>> {
    let mut once = Vec::new();
    for one in all {
        let one = one?;
        if !once.contains(&one) {
            once.push(one);
        }
    }
    Ok(once)
}
