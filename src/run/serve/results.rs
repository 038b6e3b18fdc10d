//! Results by arguments, computed at most once per interval, one at a time.

use std::collections::HashMap;
use std::time::Duration;

use bouncewatch_ingest::telemetry::http_server::Bytes;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Most results that are kept. Further arguments replace the oldest result.
const RESULTS_MAX: usize = 64;

/// A result: the body, or the error for the client.
pub(super) type Body = Result<Bytes, ResultError>;

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResultError {
    /// The request is wrong.
    Request(String),
    /// The command failed; the message is in the log.
    Failed,
}

/// The kept results.
pub(super) struct Results {
    every: Duration,
    by_arguments: Mutex<HashMap<Vec<String>, (Instant, Body)>>,
}

impl Results {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, by_arguments: Mutex::default() }
    }

    /// Returns the result of some arguments; computes it if it is older than the interval. Requests that arrive meanwhile
    /// wait, so that one result is computed at a time.
    pub(super) async fn get(
        &self,
        arguments: Vec<String>,
        compute: impl FnOnce(&[String]) -> Body + Send + 'static,
    ) -> Body {
        let mut results = self.by_arguments.lock().await;
        if let Some((at, body)) = results.get(&arguments)
            && at.elapsed() < self.every
        {
            return body.clone();
        }
        let copy = arguments.clone();
        let computed = tokio::task::spawn_blocking(move || compute(&copy)).await;
        let body = computed.unwrap_or(Err(ResultError::Failed));
        results.retain(|_, (at, _)| at.elapsed() < self.every);
        if results.len() >= RESULTS_MAX {
            let oldest = results.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.and_then(|key| results.remove(&key));
        }
        results.insert(arguments, (Instant::now(), body.clone()));
        body
    }

    /// Whether the newest result has no failure of the command.
    pub(super) async fn is_healthy(&self) -> bool {
        let results = self.by_arguments.lock().await;
        let newest = results.values().max_by_key(|(at, _)| *at);
        newest.is_none_or(|(_, body)| *body != Err(ResultError::Failed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn result_is_computed_once_per_interval() {
        let results = Results::new(Duration::from_mins(1));
        let runs = Arc::new(AtomicUsize::new(0));
        let get = |arguments: &str| {
            let runs = Arc::clone(&runs);
            results.get(vec![arguments.to_owned()], move |_| {
                Ok(vec![u8::try_from(runs.fetch_add(1, Ordering::Relaxed)).unwrap()].into())
            })
        };
        assert_eq!(get("a").await.unwrap()[..], [0]);
        assert_eq!(get("a").await.unwrap()[..], [0]);
        assert_eq!(get("b").await.unwrap()[..], [1]);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(get("a").await.unwrap()[..], [2]);
        for number in 0..200 {
            get(&number.to_string()).await.unwrap();
        }
        assert!(results.by_arguments.lock().await.len() <= RESULTS_MAX);
        assert!(results.is_healthy().await);
        tokio::time::advance(Duration::from_secs(1)).await;
        let failed = results.get(vec!["c".to_owned()], |_| Err(ResultError::Failed)).await;
        assert_eq!(failed, Err(ResultError::Failed));
        assert!(!results.is_healthy().await);
    }
}
