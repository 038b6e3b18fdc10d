//! Many files of the table of volumes -> one, with of each point the row that holds. As with days: publish what
//! replaces, durably; then, when no reader can have them open any more, remove what was replaced.

use crate::compacted_name::SealedName;
use bouncewatch_schemas::volume::{VOLUMES, effective};

use crate::compact::plan::{Compacted, CompactedVolumes, Settings};
use crate::day::Day;
use crate::error::StoreError;
use crate::open::unique_name;
use crate::open::{Segment, Store};
use crate::send_counts::{encoded_instead, read_files, remove};

/// Makes one file of several.
pub(super) async fn compact(
    store: &Store,
    settings: &Settings,
    now: i64,
    done: &mut Compacted,
) -> Result<(), StoreError> {
    let mut room = Day::of(store, VOLUMES, store.volume_files().await?).await?;
    let is_due = |at: i64| now.saturating_sub(at) >= settings.grace_ms;
    let (due, waiting): (Vec<_>, Vec<_>) =
        std::mem::take(&mut room.replaced).into_iter().partition(|(_, at)| is_due(*at));
    room.replaced = waiting;
    done.inputs_removed += due.len();
    if !settings.dry_run && !due.is_empty() {
        remove(store, due.iter().map(|(file, _)| file)).await?;
    }
    if room.live.len() < 2 {
        done.inputs_waiting += room.replaced.len();
        return Ok(());
    }
    let rows = read_files(store, &room.live).await?;
    let rows_before = rows.len();
    let mut told = CompactedVolumes {
        files_before: room.live.len(),
        files_after: None,
        rows_before,
        rows_after: None,
        bytes_before: room.live.iter().map(|file| file.bytes).sum(),
        bytes_after: None,
    };
    if settings.dry_run {
        done.inputs_waiting += room.replaced.len();
        done.volumes = Some(told);
        return Ok(());
    }
    let rows = effective(rows);
    let inputs = room.names().into_iter().collect::<Vec<_>>().join("\n");
    let bytes = encoded_instead(&rows, inputs)?;
    told.files_after = Some(1);
    told.rows_after = Some(rows.len());
    told.bytes_after = u64::try_from(bytes.len()).ok();
    if !are_there(store, &room.live).await? {
        // retained or forgotten meanwhile: what is gone must not come back
        done.skipped.push(VOLUMES.to_owned());
        return Ok(());
    }
    let name = unique_name(now);
    store.publish_volumes(&SealedName { set: &name, part: 1, parts: 1 }.stem(), bytes).await?;
    done.volumes = Some(told);
    let replaced = room.replaced.iter().map(|(file, _)| file).chain(&room.live);
    if settings.grace_ms <= 0 {
        done.inputs_removed += replaced.clone().count();
        remove(store, replaced).await
    } else {
        done.inputs_waiting += replaced.count();
        Ok(())
    }
}

async fn are_there(store: &Store, files: &[Segment]) -> Result<bool, StoreError> {
    let listed = store.volume_files().await?;
    Ok(files.iter().all(|file| listed.iter().any(|other| other.path == file.path)))
}
