//! Content of the store, for a page: days, segments, quarantine.

use std::collections::BTreeMap;

use bouncewatch_schemas::table;
use bouncewatch_schemas::time::{format_day, format_ms};
use serde::Serialize;

use crate::cli::PageArgs;
use crate::config::Config;
use crate::run::store_access::{MissingStore, block_on, open_store};

/// Content of the store.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StoreDocument {
    pub(super) segments: usize,
    /// Stored rows, copies included.
    pub(super) rows: u64,
    pub(super) first_day: Option<String>,
    pub(super) last_day: Option<String>,
    /// Time of the first event.
    pub(super) history_from: Option<String>,
    pub(super) format_version: u32,
    pub(super) quarantine: Vec<QuarantineDocument>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct QuarantineDocument {
    reason: String,
    count: u64,
    newest: String,
}

pub(super) fn content(args: &PageArgs, config: &Config) -> anyhow::Result<StoreDocument> {
    block_on(async {
        let store = open_store(&args.store, &args.aws, config, MissingStore::Fail).await?;
        let segments = store.segments(table::EVENTS).await?;
        let days = || segments.iter().map(|segment| segment.day);
        let mut reasons: BTreeMap<String, (u64, i64)> = BTreeMap::new();
        for document in bouncewatch_store::quarantine::list(&store).await? {
            let (count, newest) = reasons.entry(document.reason).or_insert((0, i64::MIN));
            *count += 1;
            *newest = document.received_at.max(*newest);
        }
        let quarantine = reasons.into_iter().map(|(reason, (count, newest))| QuarantineDocument {
            reason,
            count,
            newest: format_ms(newest),
        });
        Ok(StoreDocument {
            segments: segments.len(),
            rows: 0,
            first_day: days().min().map(format_day),
            last_day: days().max().map(format_day),
            history_from: None,
            format_version: table::FORMAT_VERSION,
            quarantine: quarantine.collect(),
        })
    })
}
