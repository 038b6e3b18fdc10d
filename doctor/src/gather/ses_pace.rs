//! The pace of calls of SES.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// SES allows one call per second for all actions except sending (SES developer guide, "Service quotas"); this is a little
/// more.
pub const SES_PACE: Duration = Duration::from_millis(1_050);

/// A call that takes longer may have arrived late, for example after a retry.
const QUICK_CALL: Duration = Duration::from_millis(250);

/// Makes calls of SES one after the other, each as soon as SES accepts it.
#[derive(Debug)]
pub struct SesPace {
    /// Time between two calls.
    gap: Duration,
    /// When the next call may be made.
    next_call: Instant,
}

impl SesPace {
    /// Starts with a call at once; `gap` is the time between two calls.
    pub fn new(gap: Duration) -> Self {
        Self { gap, next_call: Instant::now() }
    }

    /// Makes a call. The future sends nothing before it is awaited here.
    pub async fn call<T>(&mut self, call: impl Future<Output = T>) -> T {
        sleep_until(self.next_call).await;
        let started = Instant::now();
        let result = call.await;
        let is_quick = started.elapsed() < QUICK_CALL;
        let arrived = if is_quick { started } else { Instant::now() };
        self.next_call = arrived + self.gap;
        result
    }
}
