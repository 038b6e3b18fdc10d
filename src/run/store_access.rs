//! Opens the store that arguments or settings name.

#[cfg(feature = "analyze")]
use std::path::Path;
#[cfg(feature = "analyze")]
use std::sync::Arc;

use anyhow::Context;
#[cfg(feature = "analyze")]
use bouncewatch_store::aws;
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::list::check_folder;
#[cfg(feature = "analyze")]
use bouncewatch_store::{BucketFiles, CopyFolder, StoreFiles, folder_name};
use bouncewatch_store::{Store, StoreError, StoreUrl};

#[cfg(feature = "analyze")]
use crate::cli::CacheArgs;
use crate::cli::{AwsArgs, StoreArgs};
use crate::config::Config;

/// Threads that receive from S3 at the same time.
#[cfg(feature = "analyze")]
const DOWNLOAD_THREADS: usize = 2;

/// Returns the folder or URL of the store.
///
/// # Errors
/// If neither arguments nor settings name one.
pub(super) fn store_location(store: &StoreArgs, config: &Config) -> anyhow::Result<String> {
    store.store.clone().or_else(|| config.store.clone()).context(
        "no store given\n  hint: use --store DIR or --store s3://BUCKET/PREFIX, or set `store` in the settings file",
    )
}

/// What to do if a store does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingStore {
    /// Create its folder.
    Create,
    /// Fail: its name is probably mistyped.
    Fail,
}

/// Opens a store.
///
/// # Errors
/// If no store is given, it does not exist (with [`MissingStore::Fail`]), or it cannot be opened.
pub(super) async fn open_store(
    store: &StoreArgs,
    aws: &AwsArgs,
    config: &Config,
    missing: MissingStore,
) -> anyhow::Result<Store> {
    let location = store_location(store, config)?;
    let store = match StoreUrl::parse(&location) {
        StoreUrl::Folder(folder) => {
            match (check_folder(&folder), missing) {
                (Ok(()), _) | (Err(StoreError::NoStore(_)), MissingStore::Create) => {}
                (Err(error), _) => return Err(error.into()),
            }
            Store::in_folder(folder)?
        }
        StoreUrl::Bucket { bucket, prefix } => {
            let objects = Buckets::load_on_first_use(aws.endpoint_url.as_deref())
                .open(&bucket)
                .await
                .with_context(|| format!("could not open the store `{location}`"))?;
            Store::in_objects(objects, &prefix, location.trim_end_matches('/'))
        }
    };
    if missing == MissingStore::Fail {
        store.check_exists().await?;
    }
    Ok(store)
}

/// Returns the files to analyse: those of a folder, or the parts of a store in S3 that are fetched when they are needed.
///
/// # Errors
/// If no store is given, it has no events, or it cannot be listed.
#[cfg(feature = "analyze")]
pub(super) fn store_files(
    store: &StoreArgs,
    aws: &AwsArgs,
    cache: &CacheArgs,
    config: &Config,
) -> anyhow::Result<StoreFiles> {
    let location = store_location(store, config)?;
    let (bucket, prefix) = match StoreUrl::parse(&location) {
        StoreUrl::Folder(folder) => {
            anyhow::ensure!(!has_other_tables_only(&folder), no_events(&location));
            return Ok(StoreFiles::Folder(folder));
        }
        StoreUrl::Bucket { bucket, prefix } => (bucket, prefix),
    };
    let name = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(DOWNLOAD_THREADS)
        .enable_all()
        .build()
        .context("could not start the async runtime")?;
    let aws = runtime.block_on(aws::load(None, aws.endpoint_url.as_deref()));
    let cache = match cache.cache.clone().or_else(|| config.cache.clone()) {
        Some(cache) => Some(cache),
        None if cache.no_cache => None,
        None => crate::config::user_cache().map(|cache| cache.join(crate::cli::NAME)),
    };
    let folder = match cache {
        Some(cache) => CopyFolder::Kept(cache.join(folder_name(&name, aws.endpoint_url()))),
        None => CopyFolder::Temporary,
    };
    let opened = async {
        let objects = Buckets::new(aws)
            .open(&bucket)
            .await
            .with_context(|| format!("could not open the store `{location}`"))?;
        anyhow::Ok(Store::in_objects(objects, &prefix, &name))
    };
    let files = BucketFiles::open(runtime, folder, opened)?;
    anyhow::ensure!(files.has_events(), no_events(&name));
    Ok(StoreFiles::Bucket(Arc::new(files)))
}

/// Whether a folder is a store with send counts or quarantined documents, but without events.
#[cfg(feature = "analyze")]
fn has_other_tables_only(folder: &Path) -> bool {
    use bouncewatch_schemas::{send_counts, table};

    let has = |name: &str| folder.join(name).is_dir();
    !has(table::EVENTS) && (has(send_counts::SEND_COUNTS) || has(table::QUARANTINE))
}

#[cfg(feature = "analyze")]
fn no_events(location: &str) -> String {
    format!(
        "the store `{location}` has no events; send counts alone give no rate\n  hint: ingest bounce and complaint events: `bouncewatch ingest SOURCE --store {location}`; `bouncewatch store quarantine list` lists documents that could not be read"
    )
}

/// Runs a future on a runtime of its own.
pub(super) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    runtime()?.block_on(work)
}

/// Starts an async runtime. Connections belong to the runtime on which they were opened.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the async runtime")
}
