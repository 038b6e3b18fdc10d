//! `suppress --pull` and `--push`: compares with the account-level suppression list of SES, and changes it.

use std::collections::BTreeSet;

use anyhow::{Context, anyhow, bail};
use bouncewatch_analyze::suppress::AddressList;
use bouncewatch_analyze::suppress::formats::{SES_IMPORT_MAX, SesImportFile};
use bouncewatch_analyze::suppress::release_formats::SES_DELETE_MAX;
use bouncewatch_store::StoreUrl;
use bouncewatch_store::aws::{self, Buckets};
use indicatif::ProgressBar;

use super::ses_list::{ChangeResult, ListAction, ListChange, SesEntries, SesList};
use crate::cli::{SuppressArgs, Verbosity};
use crate::exit_code;
use crate::run::command_result::CommandResult;
use crate::run::progress::spinner;
use crate::run::store_access::block_on;

/// Number of addresses from which a file is imported if there is a bucket for it: about five minutes of single calls.
const IMPORT_MIN: usize = 300;

/// The list of SES, and what is done with it.
pub(super) struct SesSync<'a> {
    args: &'a SuppressArgs,
    /// Time of the run, part of the names of import files.
    now: i64,
    bar: ProgressBar,
    /// Bucket and prefix for import files.
    import_bucket: Option<(String, String)>,
    region: String,
    entries: SesEntries,
}

impl<'a> SesSync<'a> {
    /// Reads the list if an option needs it.
    ///
    /// # Errors
    /// If the list cannot be read, or the URL of the bucket is invalid.
    pub(super) fn read(
        args: &'a SuppressArgs,
        now: i64,
        verbosity: Verbosity,
    ) -> anyhow::Result<Option<Self>> {
        let options = &args.ses_list;
        if !options.pull && !options.push {
            return Ok(None);
        }
        let import_bucket = match options.import_bucket.as_deref().map(StoreUrl::parse) {
            None => None,
            Some(StoreUrl::Bucket { bucket, prefix }) => Some((bucket, prefix)),
            Some(StoreUrl::Folder(path)) => bail!(
                "--import-bucket: `{}` is not the URL of a bucket\n  hint: write s3://BUCKET/PREFIX",
                path.display()
            ),
        };
        let bar = spinner(verbosity);
        let (region, entries) = block_on(async {
            let mut list = open(args).await?;
            let entries = list.read(|number| show(&bar, "read", number, None)).await;
            Ok((list.region, entries.context("the suppression list of SES")?))
        })?;
        bar.finish_and_clear();
        Ok(Some(Self { args, now, bar, import_bucket, region, entries }))
    }

    /// Returns the list to compare with.
    pub(super) fn list(&self) -> AddressList {
        self.entries.list.clone()
    }

    /// Changes the list if --push is given: adds the addresses of an import file, or removes them with --release.
    ///
    /// # Errors
    /// If the settings of AWS cannot be loaded.
    pub(super) fn apply(
        &self,
        file: &SesImportFile,
        result: &mut CommandResult,
    ) -> anyhow::Result<()> {
        let options = &self.args.ses_list;
        if !options.push {
            return Ok(());
        }
        let change = self.change(file);
        let count = change.lines.len();
        let (list, verb) = (self.name(), verb(change.action));
        if count > options.push_max {
            result.exit_code = exit_code::ATTENTION;
            result.notes.push(format!(
                "error: nothing was changed: {count} addresses would be {verb} {list}, more than {}\n  \
                 hint: read the list, then raise --push-max",
                options.push_max
            ));
        } else if options.dry_run {
            let how = match self.import_bucket(count) {
                Some((bucket, _)) => format!("by an import job with a file in s3://{bucket}"),
                None => format!("by {count} calls"),
            };
            result
                .notes
                .push(format!("note: dry run: {count} addresses would be {verb} {list}, {how}"));
        } else if count == 0 {
            result.notes.push(format!("note: no address is {verb} {list}"));
        } else {
            let notes = block_on(self.changed(&change));
            self.bar.finish_and_clear();
            let notes = notes?;
            if notes.iter().any(|note| note.starts_with("error")) {
                result.exit_code = exit_code::ATTENTION;
            }
            result.notes.extend(notes);
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("the suppression list of SES in {}", self.region)
    }

    fn change(&self, file: &SesImportFile) -> ListChange {
        let lines = file.text.lines();
        if self.args.release {
            let lines = lines.flat_map(|address| self.entries.spellings(address));
            let lines = lines.map(str::to_owned).collect();
            return ListChange { action: ListAction::Remove, lines };
        }
        ListChange { action: ListAction::Add, lines: lines.map(str::to_owned).collect() }
    }

    /// The bucket for an import of `count` addresses; `None` if they are changed one by one.
    fn import_bucket(&self, count: usize) -> Option<&(String, String)> {
        self.import_bucket.as_ref().filter(|_| count > IMPORT_MIN)
    }

    /// Changes the list, and describes what was done.
    async fn changed(&self, change: &ListChange) -> anyhow::Result<Vec<String>> {
        let mut list = open(self.args).await?;
        let count = change.lines.len();
        let progress = |number| show(&self.bar, verb(change.action), number, Some(count));
        let changed = match self.import_bucket(count) {
            None => list.change(change, progress).await,
            Some(bucket) => self.imported(&mut list, change, bucket).await,
        };
        let mut notes = result_notes(&changed, change.action, count, &self.name());
        if change.action == ListAction::Add && changed.done > 0 {
            notes.extend(match list.reasons_in_force().await {
                Ok(in_force) => without_effect(change, &in_force),
                Err(error) => {
                    Some(format!("note: whether the entries have an effect is unknown: {error:#}"))
                }
            });
        }
        Ok(notes)
    }

    /// Lets SES import the addresses, in as many files as it needs.
    async fn imported(
        &self,
        list: &mut SesList,
        change: &ListChange,
        (bucket, prefix): &(String, String),
    ) -> ChangeResult {
        let maximum = match change.action {
            ListAction::Add => SES_IMPORT_MAX,
            ListAction::Remove => SES_DELETE_MAX,
        };
        let buckets = Buckets::load_on_first_use(self.args.aws.endpoint_url.as_deref());
        let mut all = ChangeResult::default();
        for (number, lines) in change.lines.chunks(maximum).enumerate() {
            let key = format!("{prefix}/bouncewatch-suppression-{}-{number}.csv", self.now);
            let file = ImportFile { buckets: &buckets, bucket, key: key.trim_start_matches('/') };
            let one = self.import_file(list, change.action, lines, file).await;
            all.done += one.done;
            all.refused += one.refused;
            if one.error.is_some() {
                all.error = one.error;
                break;
            }
        }
        all
    }

    /// Lets SES import some addresses. The file stays in the bucket if the import failed.
    async fn import_file(
        &self,
        list: &mut SesList,
        action: ListAction,
        lines: &[String],
        file: ImportFile<'_>,
    ) -> ChangeResult {
        let ImportFile { buckets, bucket, key } = file;
        let bytes = (lines.join("\n") + "\n").into_bytes();
        if let Err(error) = buckets.write(bucket, key, bytes).await {
            return ChangeResult { error: Some(anyhow!(error)), ..ChangeResult::default() };
        }
        let progress = |number| show(&self.bar, "processed", number, Some(lines.len()));
        let url = format!("s3://{bucket}/{key}");
        let mut result = list.import(action, &url, lines.len(), progress).await;
        result.error = match result.error {
            Some(error) => {
                Some(error.context(format!("the import of {url}, which stays in the bucket")))
            }
            None => buckets.remove(bucket, key).await.err().map(|error| {
                anyhow!(error).context(format!("the removal of {url}, which was imported"))
            }),
        };
        result
    }
}

/// A file with addresses in a bucket.
#[derive(Clone, Copy)]
struct ImportFile<'a> {
    buckets: &'a Buckets,
    bucket: &'a str,
    key: &'a str,
}

async fn open(args: &SuppressArgs) -> anyhow::Result<SesList> {
    SesList::new(&aws::load(None, args.aws.endpoint_url.as_deref()).await)
}

const fn verb(action: ListAction) -> &'static str {
    match action {
        ListAction::Add => "added to",
        ListAction::Remove => "removed from",
    }
}

fn show(bar: &ProgressBar, what: &str, number: usize, of: Option<usize>) {
    let of = of.map_or_else(String::new, |of| format!(" of {of}"));
    bar.set_message(format!("suppression list of SES: {number}{of} addresses {what}"));
    bar.tick();
}

fn result_notes(
    changed: &ChangeResult,
    action: ListAction,
    count: usize,
    list: &str,
) -> Vec<String> {
    let ChangeResult { done, refused, error } = changed;
    let mut notes = vec![format!("note: {done} of {count} addresses were {} {list}", verb(action))];
    if *refused > 0 {
        notes.push(format!(
            "error: SES does not accept {refused} addresses\n  hint: `suppress --pull --format csv` lists those that are missing"
        ));
    }
    if let Some(error) = error {
        notes.push(format!(
            "error: {error:#}\n  hint: the next run continues with the other addresses"
        ));
    }
    notes
}

/// States that entries have no effect, because the account does not suppress for their reason.
fn without_effect(change: &ListChange, in_force: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<&str> =
        change.reasons().into_iter().filter(|reason| !in_force.contains(*reason)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "error: the account does not suppress for the reason {}: these entries have no effect\n  \
             hint: aws sesv2 put-account-suppression-attributes --suppressed-reasons BOUNCE COMPLAINT",
            missing.join(" and ")
        )
    })
}
