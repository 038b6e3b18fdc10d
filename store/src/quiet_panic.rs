//! Catches expected panics of a library, without a report.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught by [`catch_quietly`].
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a function and returns its result; `None` if it panics. Does not call the panic hook of the
/// process, which reports a panic as a bug.
pub(crate) fn catch_quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                report(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(run)).ok();
    IS_QUIET.set(false);
    result
}
