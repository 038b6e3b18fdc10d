//! Opens the store that arguments or settings name.

#[cfg(feature = "analyze")]
use std::path::{Path, PathBuf};

use anyhow::Context;
#[cfg(feature = "analyze")]
use bouncewatch_store::aws;
use bouncewatch_store::aws::Buckets;
use bouncewatch_store::list::check_folder;
use bouncewatch_store::{Store, StoreError, StoreUrl};

#[cfg(feature = "analyze")]
use crate::cli::CacheArgs;
use crate::cli::{AwsArgs, StoreArgs};
use crate::config::Config;

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

/// Returns the folder to analyse: the store, or the local cache of a store in S3, which is updated.
///
/// # Errors
/// If no store is given, it has no events, or it cannot be fetched.
#[cfg(feature = "analyze")]
pub(super) fn analyzed_folder(
    store: &StoreArgs,
    aws: &AwsArgs,
    cache: &CacheArgs,
    config: &Config,
) -> anyhow::Result<PathBuf> {
    use bouncewatch_store::cache as bucket_cache;

    let location = store_location(store, config)?;
    let (bucket, prefix) = match StoreUrl::parse(&location) {
        StoreUrl::Folder(folder) => {
            anyhow::ensure!(!has_other_tables_only(&folder), no_events(&location));
            return Ok(folder);
        }
        StoreUrl::Bucket { bucket, prefix } => (bucket, prefix),
    };
    let cache = cache.cache.clone().or_else(|| config.cache.clone());
    let cache = cache.or_else(|| Some(crate::config::user_cache()?.join(crate::cli::NAME)));
    let cache = cache.context(
        "no cache folder for a store in S3\n  hint: use --cache DIR, or set `cache` in the settings file",
    )?;
    block_on(async {
        let aws = aws::load(None, aws.endpoint_url.as_deref()).await;
        let name = format!("s3://{bucket}/{prefix}").trim_end_matches('/').to_owned();
        let folder = cache.join(bucket_cache::folder_name(&name, aws.endpoint_url()));
        let objects = Buckets::new(aws)
            .open(&bucket)
            .await
            .with_context(|| format!("could not open the store `{location}`"))?;
        let store = Store::in_objects(objects, &prefix, &name);
        match bucket_cache::sync(&store, &folder).await {
            Ok(()) => Ok(folder),
            Err(StoreError::NoStore(_)) if !store.send_count_files().await?.is_empty() => {
                Err(anyhow::anyhow!(no_events(&name)))
            }
            Err(error) => Err(error.into()),
        }
    })
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
