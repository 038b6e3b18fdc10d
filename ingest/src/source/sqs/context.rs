//! [`QueueContext`]: state shared by the receivers and the deleter of a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_sqs::error::ProvideErrorMetadata;

use crate::source::objects::notifications::NotificationFollower;
use crate::source::sqs::error::QueueError;
use crate::source::sqs::in_flight::InFlight;
use crate::source::sqs::queue::{Queue, call_sqs};
use crate::source::sqs::settings::QueueSettings;
use crate::source::sqs::signature::{SignatureError, SnsVerifier};
use crate::telemetry::metrics::Telemetry;

/// State shared by the receivers and the deleter of a queue.
#[derive(Debug, Clone)]
pub(super) struct QueueContext {
    pub(super) queue: Queue,
    pub(super) settings: QueueSettings,
    /// Checks that messages are signed by SNS.
    pub(super) verifier: Option<Arc<SnsVerifier>>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) warnings: Arc<SettleWarnings>,
    pub(super) follower: Arc<NotificationFollower>,
    pub(super) telemetry: Arc<Telemetry>,
}

/// Warnings that are logged at most once per run.
#[derive(Debug, Default)]
pub(super) struct SettleWarnings {
    pub(super) visibility: WarnOnce,
    pub(super) delete: WarnOnce,
    pub(super) certificate: WarnOnce,
}

/// Flag that limits a warning to one log line.
#[derive(Debug, Default)]
pub(super) struct WarnOnce(AtomicBool);

impl WarnOnce {
    /// Returns true on the first call only.
    pub(super) fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

impl QueueContext {
    /// Makes a call to this queue, counts it, and converts its error.
    pub(super) async fn call<T, E>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, QueueError>
    where
        E: ProvideErrorMetadata + std::error::Error,
    {
        call_sqs(action, &self.queue.url, &self.telemetry, call).await
    }

    /// Checks the signature of a message; always succeeds if signatures are not checked. While a
    /// certificate cannot be loaded, its messages stay in the queue.
    pub(super) async fn check_signature(&self, body: &[u8]) -> Result<(), SignatureError> {
        let Some(verifier) = &self.verifier else { return Ok(()) };
        let result = verifier.check(body).await;
        if let Err(error @ SignatureError::Unavailable { .. }) = &result
            && self.warnings.certificate.is_first()
        {
            tracing::warn!(%error, "could not check the signature of messages; they stay in the queue");
        }
        result
    }

    pub(super) fn task_failed(&self, error: &tokio::task::JoinError) -> QueueError {
        QueueError::Failed {
            action: "reading",
            queue: self.queue.url.clone(),
            why: error.to_string(),
        }
    }
}
