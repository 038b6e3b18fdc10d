//! Waiting for the store while a run shuts down.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::StoreError;
use crate::open::Store;

/// Resolves when the run is asked to stop.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    // if the sender is gone, no stop can be requested any more
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves `patience` after the run was asked to stop.
pub async fn overdue(mut stop: watch::Receiver<bool>, patience: Duration) {
    stopped(&mut stop).await;
    tokio::time::sleep(patience).await;
}

/// Result of `work` on a store, or [`StoreError::Overdue`] when it takes longer than `patience` after the run was asked
/// to stop. Without this limit, a bucket behind a lost network is retried for minutes.
pub async fn in_time<T>(
    store: &Store,
    stop: watch::Receiver<bool>,
    patience: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        done = work => done,
        () = overdue(stop, patience) => {
            Err(StoreError::Overdue { store: store.name().to_owned(), patience })
        }
    }
}
