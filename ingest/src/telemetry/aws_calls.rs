//! [`AwsCalls`]: counts calls to AWS by service and action, and the requests that SQS charges for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::telemetry::billed_requests::{BilledCounter, BilledRequests, QueueKind};

/// Labels of a call to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    service: &'static str,
    action: &'static str,
}

/// Counts of calls to AWS.
#[derive(Debug, Default)]
pub struct AwsCalls {
    pub(super) requests: Family<CallLabels, Counter>,
    pub(super) failures: Family<CallLabels, Counter>,
    /// Copy of the counts for the summary, because a `Family` cannot be iterated.
    by_action: Mutex<BTreeMap<&'static str, u64>>,
    billed: BilledCounter,
}

impl AwsCalls {
    /// Counts a call. Called before the request is sent, so that a cancelled call is counted too.
    pub fn started(&self, service: &'static str, action: &'static str) {
        *self.lock_by_action().entry(action).or_default() += 1;
        self.requests.get_or_create(&CallLabels { service, action }).inc();
    }

    /// Counts a failed call. Call [`started`](Self::started) first.
    pub fn failed(&self, service: &'static str, action: &'static str) {
        self.failures.get_or_create(&CallLabels { service, action }).inc();
    }

    /// Adds requests that SQS charges for.
    pub fn add_billed(&self, kind: QueueKind, requests: u64) {
        self.billed.add(kind, requests);
    }

    /// Requests so far that SQS charges for.
    pub fn billed_requests(&self) -> BilledRequests {
        self.billed.get()
    }

    /// Calls so far, by action.
    pub fn by_action(&self) -> BTreeMap<&'static str, u64> {
        self.lock_by_action().clone()
    }

    fn lock_by_action(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.by_action.lock().expect("lock is never poisoned")
    }
}
