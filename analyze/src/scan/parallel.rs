//! Runs a function over items on all processors.

use std::sync::{Mutex, PoisonError};

use crate::error::AnalyzeError;

/// Calls `run` for each item, on as many threads as there are processors, and returns the results in the order of the
/// items.
pub(crate) fn parallel_map<T: Send, A: Send>(
    items: impl IntoIterator<Item = T>,
    run: impl Fn(T) -> Result<A, AnalyzeError> + Sync,
) -> Vec<Result<A, AnalyzeError>> {
    let items: Vec<T> = items.into_iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = Mutex::new(items.into_iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        loop {
            let item = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, item)) = item else { return done };
            done.push((number, run(item)));
        }
    };
    let mut all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended
            .flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    all.sort_unstable_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, result)| result).collect()
}
