//! Waiting for the store while a run shuts down.

use std::time::Duration;

use tokio::sync::watch;

use crate::error::StoreError;
use crate::open::Store;

/// Resolves when the run is asked to stop.
pub async fn stop_requested(stop: &mut watch::Receiver<bool>) {
    // if the sender is gone, no stop can be requested any more
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Resolves `grace_period` after the run was asked to stop.
pub async fn grace_period_over(mut stop: watch::Receiver<bool>, grace_period: Duration) {
    stop_requested(&mut stop).await;
    tokio::time::sleep(grace_period).await;
}

/// Runs `work` on a store, and returns its result, or [`StoreError::ShutdownTimeout`] if `work`
/// takes longer than `grace_period` after the stop request. Without this limit, requests to an
/// unreachable bucket are retried for minutes.
pub async fn with_grace_period<T>(
    store: &Store,
    stop: watch::Receiver<bool>,
    grace_period: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::select! {
        biased;
        done = work => done,
        () = grace_period_over(stop, grace_period) => {
            Err(StoreError::ShutdownTimeout { store: store.name().to_owned(), grace_period })
        }
    }
}
