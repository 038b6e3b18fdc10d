//! One call of AWS: paced, reported, and turned into a part of the snapshot.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_smithy_types::DateTime;
use bouncewatch_schemas::text::error_chain;

use crate::gather::action::Action;
use crate::gather::ses_pace::SesPace;
use crate::snapshot::part::{CallFailure, Part};
use crate::snapshot::time::Time;

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Number of calls before it.
    pub calls: usize,
    /// Its action.
    pub action: Action,
    /// The identity, topic, ... that it is about; empty for lists.
    pub subject: &'a str,
}

/// Pages of a list at most; the largest lists have 1,000 entries per page.
const PAGES_MAX: usize = 100;

/// Error codes for missing permission.
const DENIED: [&str; 8] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "KMSAccessDenied",
    "NotAuthorized",
    "UnauthorizedOperation",
    "UnauthorizedException",
];
/// Error codes for a resource that does not exist.
const ABSENT: [&str; 8] = [
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
    "ConfigurationSetDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "MailDomainNotFoundException",
    "OrganizationNotFoundException",
];

/// Makes calls, each with its action.
pub(super) struct Caller<'a> {
    pace: SesPace,
    calls: usize,
    progress: &'a mut (dyn FnMut(&Progress<'_>) + Send),
}

impl<'a> Caller<'a> {
    pub(super) fn new(pace: Duration, progress: &'a mut (dyn FnMut(&Progress<'_>) + Send)) -> Self {
        Self { pace: SesPace::new(pace), calls: 0, progress }
    }

    /// Makes a call. The future sends nothing before it is awaited here.
    pub(super) async fn call<T, E>(
        &mut self,
        action: Action,
        subject: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Part<T>
    where
        E: ProvideErrorMetadata + Error,
    {
        let Self { pace, calls, progress } = self;
        // calls of the SDK are large futures
        let call = Box::pin(call);
        let call = async {
            progress(&Progress { calls: *calls, action, subject });
            *calls += 1;
            call.await
        };
        let result = if action.is_ses() { pace.call(call).await } else { call.await };
        match result {
            Ok(value) => Part::Value(value),
            Err(error) => part_of_error(action, &error),
        }
    }

    /// Makes calls until a list is complete. `page` makes the call for a token, `split` returns entries and next token.
    pub(super) async fn list<T, E, I, F>(
        &mut self,
        action: Action,
        subject: &str,
        page: impl Fn(Option<String>) -> F,
        split: impl Fn(T) -> (Vec<I>, Option<String>),
    ) -> Part<Vec<I>>
    where
        E: ProvideErrorMetadata + Error,
        F: Future<Output = Result<T, E>>,
    {
        let mut all = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let (entries, next) = match self.call(action, subject, page(token)).await {
                Part::Value(value) => split(value),
                other => return other.map(|_| Vec::new()),
            };
            all.extend(entries);
            token = next.filter(|token| !token.is_empty());
            if token.is_none() {
                return Part::Value(all);
            }
        }
        let message = format!("the list has more than {PAGES_MAX} pages");
        Part::Error(CallFailure { action: action.as_str().to_owned(), message })
    }
}

fn part_of_error<T>(action: Action, error: &(impl ProvideErrorMetadata + Error)) -> Part<T> {
    let action = action.as_str().to_owned();
    match error.code() {
        Some(code) if DENIED.contains(&code) => Part::Denied(action),
        Some(code) if ABSENT.contains(&code) => Part::Absent(action),
        Some(code) => {
            let message = format!("{code} {}", error.message().unwrap_or_default());
            Part::Error(CallFailure { action, message: message.trim().to_owned() })
        }
        None => Part::Error(CallFailure { action, message: error_chain(error) }),
    }
}

/// A time of the SDK.
pub(super) fn time(time: &DateTime) -> Option<Time> {
    time.to_millis().ok().map(Time)
}

/// The text of an enum of the SDK, or of an optional string.
pub(super) fn text(value: Option<impl AsRef<str>>) -> String {
    value.map_or_else(String::new, |value| value.as_ref().to_owned())
}
