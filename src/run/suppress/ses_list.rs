//! The account-level suppression list of SES: reads it, adds and removes addresses. Each region has a list of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_config::SdkConfig;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::get_import_job::GetImportJobOutput;
use aws_sdk_sesv2::types::{
    DataFormat, ImportDataSource, ImportDestination, JobStatus, SuppressionAttributes,
    SuppressionListDestination, SuppressionListImportAction, SuppressionListReason,
};
use bouncewatch_analyze::suppress::AddressList;
use bouncewatch_doctor::gather::{SES_PACE, SesPace};
use tokio::time::{Instant, sleep};

use crate::run::ses_error::ses_error;

/// Entries per page of the list.
const PAGE_SIZE: i32 = 1_000;
/// Time between two looks at an import job, and the longest time to wait for it.
const POLL: Duration = Duration::from_secs(5);
const IMPORT_MAX: Duration = Duration::from_mins(30);
/// Error codes that concern one address only; any other one ends a change.
const PER_ADDRESS_ERROR_CODES: [&str; 2] = ["BadRequestException", "NotFoundException"];

/// The list of a region.
#[derive(Debug)]
pub(super) struct SesList {
    client: Client,
    /// Region of the list.
    pub(super) region: String,
    pace: SesPace,
}

/// The entries of the list.
#[derive(Debug, Default)]
pub(super) struct SesEntries {
    /// The addresses in normal form.
    pub(super) list: AddressList,
    /// As they are in the list, by normal form: SES distinguishes upper and lower case in the local part.
    spellings: BTreeMap<String, BTreeSet<String>>,
}

/// What is done with addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListAction {
    /// They are added to the list, each with a reason.
    Add,
    /// They are removed from the list.
    Remove,
}

/// A change of the list.
#[derive(Debug)]
pub(super) struct ListChange {
    pub(super) action: ListAction,
    /// Lines of an import file for SES: `ADDRESS,REASON` to add, `ADDRESS` to remove.
    pub(super) lines: Vec<String>,
}

/// What a change did.
#[derive(Debug, Default)]
pub(super) struct ChangeResult {
    /// Number of addresses that were added or removed.
    pub(super) done: usize,
    /// Number of addresses that SES does not accept.
    pub(super) refused: usize,
    /// Why the change ended before its end.
    pub(super) error: Option<anyhow::Error>,
}

impl SesEntries {
    fn add(&mut self, address: &str, reason: &str, listed_at: Option<i64>) {
        let normal = self.list.add(address, Some(reason), listed_at);
        if let Some(normal) = normal {
            self.spellings.entry(normal).or_default().insert(address.to_owned());
        }
    }

    /// Returns an address, given in normal form, as it is in the list.
    pub(super) fn spellings(&self, address: &str) -> impl Iterator<Item = &str> {
        self.spellings.get(address).into_iter().flatten().map(String::as_str)
    }
}

impl ListAction {
    const fn import_action(self) -> SuppressionListImportAction {
        match self {
            Self::Add => SuppressionListImportAction::Put,
            Self::Remove => SuppressionListImportAction::Delete,
        }
    }
}

impl ListChange {
    /// The reasons of the addresses.
    pub(super) fn reasons(&self) -> BTreeSet<&str> {
        self.lines.iter().filter_map(|line| Some(line.rsplit_once(',')?.1)).collect()
    }
}

impl SesList {
    /// Returns the list in the region of the settings.
    ///
    /// # Errors
    /// If the settings have no region.
    pub(super) fn new(config: &SdkConfig) -> anyhow::Result<Self> {
        let region = config.region().context("no region\n  hint: set AWS_REGION")?.to_string();
        Ok(Self { client: Client::new(config), region, pace: SesPace::new(SES_PACE) })
    }

    /// Reads all entries. `progress` is called with the number of entries before each call.
    ///
    /// # Errors
    /// If a page cannot be read.
    pub(super) async fn read(&mut self, progress: impl Fn(usize)) -> anyhow::Result<SesEntries> {
        let mut entries = SesEntries::default();
        let mut number = 0;
        let mut token = None;
        loop {
            progress(number);
            let page = self.client.list_suppressed_destinations().page_size(PAGE_SIZE);
            let page = self.pace.call(page.set_next_token(token).send()).await;
            let page = page.map_err(|error| failed("ses:ListSuppressedDestinations", &error))?;
            for one in page.suppressed_destination_summaries() {
                number += 1;
                let listed_at = one.last_update_time().to_millis().ok();
                entries.add(one.email_address(), one.reason().as_str(), listed_at);
            }
            token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Ok(entries);
            }
        }
    }

    /// Adds or removes addresses one by one. `progress` is called before each.
    pub(super) async fn change(
        &mut self,
        change: &ListChange,
        progress: impl Fn(usize),
    ) -> ChangeResult {
        let mut result = ChangeResult::default();
        for (number, line) in change.lines.iter().enumerate() {
            progress(number);
            let changed = match change.action {
                ListAction::Add => self.add(line).await,
                ListAction::Remove => self.remove(line).await,
            };
            match changed {
                Ok(()) => result.done += 1,
                Err(None) => result.refused += 1,
                Err(error) => {
                    result.error = error;
                    break;
                }
            }
        }
        result
    }

    /// Adds an address; the error is `None` if SES does not accept the address.
    async fn add(&mut self, line: &str) -> Result<(), Option<anyhow::Error>> {
        let (address, reason) = line.rsplit_once(',').unwrap_or((line, "BOUNCE"));
        let call = self.client.put_suppressed_destination().email_address(address);
        let added = self.pace.call(call.reason(SuppressionListReason::from(reason)).send()).await;
        added.map(drop).map_err(|error| of_change("ses:PutSuppressedDestination", &error))
    }

    async fn remove(&mut self, address: &str) -> Result<(), Option<anyhow::Error>> {
        let call = self.client.delete_suppressed_destination().email_address(address);
        match self.pace.call(call.send()).await {
            Ok(_) => Ok(()),
            // another run removed it
            Err(error) if error.code() == Some("NotFoundException") => Ok(()),
            Err(error) => Err(of_change("ses:DeleteSuppressedDestination", &error)),
        }
    }

    /// Lets SES import a file with `count` addresses from a bucket, and waits for the end of the job. `progress` is called
    /// with the number of processed addresses.
    pub(super) async fn import(
        &mut self,
        action: ListAction,
        s3_url: &str,
        count: usize,
        progress: impl Fn(usize),
    ) -> ChangeResult {
        let end = Instant::now() + IMPORT_MAX;
        match self.finished_job(action, s3_url, end, progress).await {
            Ok(job) => import_result(&job, count),
            Err(error) => ChangeResult { error: Some(error), ..ChangeResult::default() },
        }
    }

    async fn finished_job(
        &mut self,
        action: ListAction,
        s3_url: &str,
        end: Instant,
        progress: impl Fn(usize),
    ) -> anyhow::Result<GetImportJobOutput> {
        let list = SuppressionListDestination::builder()
            .suppression_list_import_action(action.import_action());
        let destination =
            ImportDestination::builder().suppression_list_destination(list.build()?).build();
        let source = ImportDataSource::builder().s3_url(s3_url).data_format(DataFormat::Csv);
        let call = self.client.create_import_job().import_destination(destination);
        let created = self.pace.call(call.import_data_source(source.build()?).send()).await;
        let created = created.map_err(|error| failed("ses:CreateImportJob", &error))?;
        let id = created.job_id().context("ses:CreateImportJob returned no job ID")?;
        loop {
            let job = self.pace.call(self.client.get_import_job().job_id(id).send()).await;
            let job = job.map_err(|error| failed("ses:GetImportJob", &error))?;
            progress(count_of(job.processed_records_count()));
            if !matches!(job.job_status(), Some(JobStatus::Created | JobStatus::Processing)) {
                return Ok(job);
            }
            if Instant::now() >= end {
                return Err(anyhow!(
                    "the import job {id} still runs\n  hint: `aws sesv2 get-import-job --job-id {id}` shows its state; the file stays in the bucket"
                ));
            }
            sleep(POLL).await;
        }
    }

    /// Returns the reasons with which entries have an effect.
    ///
    /// # Errors
    /// If the settings of the account cannot be read.
    pub(super) async fn reasons_in_force(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let account = self.pace.call(self.client.get_account().send()).await;
        let account = account.map_err(|error| failed("ses:GetAccount", &error))?;
        let reasons = account.suppression_attributes().into_iter();
        let reasons = reasons.flat_map(SuppressionAttributes::suppressed_reasons);
        Ok(reasons.map(|reason| reason.as_str().to_owned()).collect())
    }
}

fn import_result(job: &GetImportJobOutput, count: usize) -> ChangeResult {
    let refused = count_of(job.failed_records_count());
    let info = job.failure_info();
    if job.job_status() == Some(&JobStatus::Completed) {
        return ChangeResult { done: count.saturating_sub(refused), refused, error: None };
    }
    let status = job.job_status().map_or("unknown", JobStatus::as_str);
    let message = info.and_then(|info| info.error_message()).unwrap_or_default();
    let error = anyhow!("the import job ended with the status {status} {message}");
    ChangeResult { done: 0, refused, error: Some(error) }
}

fn count_of(number: Option<i32>) -> usize {
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or_default()
}

/// The error of a change; `None` if it concerns one address only.
fn of_change<E, R>(action: &str, error: &SdkError<E, R>) -> Option<anyhow::Error>
where
    SdkError<E, R>: ProvideErrorMetadata + Error,
{
    let is_of_address = error.code().is_some_and(|code| PER_ADDRESS_ERROR_CODES.contains(&code));
    (!is_of_address).then(|| failed(action, error))
}

/// An error of a call.
fn failed<E, R>(action: &str, error: &SdkError<E, R>) -> anyhow::Error
where
    SdkError<E, R>: ProvideErrorMetadata + Error,
{
    ses_error(action, "suppression.json", error)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_http_client::test_util::infallible_client_fn;
    use aws_smithy_types::body::SdkBody;
    use serde_json::{Value, json};

    use super::*;

    const PATH: &str = "/v2/email/suppression/addresses";

    /// A list in memory that answers calls as the API reference of SES v2 describes.
    #[derive(Debug, Default)]
    struct FakeSes {
        /// Reason by address.
        entries: BTreeMap<String, String>,
        /// Method and path of each call, with its time.
        calls: Vec<(String, Instant)>,
        /// The response to every change.
        error: Option<(u16, &'static str)>,
        /// Responses to `GetImportJob`; the last one is repeated.
        jobs: Vec<Value>,
        import: Option<Value>,
    }

    impl FakeSes {
        fn respond(&mut self, method: &str, uri: &http::Uri, body: &Value) -> (u16, Value) {
            let path = uri.path();
            self.calls.push((format!("{method} {path}"), Instant::now()));
            let is_change = matches!(method, "PUT" | "DELETE");
            if let Some((status, code)) = self.error.filter(|_| is_change) {
                return (status, json!({"__type": code, "message": "bob@example.org"}));
            }
            match (method, path) {
                ("GET", PATH) => (200, self.page(uri.query().unwrap_or_default())),
                ("PUT", PATH) => {
                    let text = |key: &str| body[key].as_str().unwrap().to_owned();
                    self.entries.insert(text("EmailAddress"), text("Reason"));
                    (200, json!({}))
                }
                ("DELETE", path) => {
                    let address = path.rsplit('/').next().unwrap().replace("%40", "@");
                    match self.entries.remove(&address) {
                        Some(_) => (200, json!({})),
                        None => (404, json!({"__type": "NotFoundException"})),
                    }
                }
                ("POST", "/v2/email/import-jobs") => {
                    self.import = Some(body.clone());
                    (200, json!({"JobId": "job-1"}))
                }
                ("GET", "/v2/email/import-jobs/job-1") => {
                    let next = self.jobs.first().cloned().unwrap();
                    if self.jobs.len() > 1 {
                        self.jobs.remove(0);
                    }
                    (200, next)
                }
                ("GET", "/v2/email/account") => {
                    (200, json!({"SuppressionAttributes": {"SuppressedReasons": ["BOUNCE"]}}))
                }
                other => panic!("{other:?}"),
            }
        }

        /// Two entries per page; the token is the number of entries before the page.
        fn page(&self, query: &str) -> Value {
            let token = query.split('&').find_map(|part| part.strip_prefix("NextToken="));
            let start: usize = token.map_or(0, |token| token.parse().unwrap());
            let entry = |(address, reason): (&String, &String)| json!({"EmailAddress": address, "Reason": reason, "LastUpdateTime": 1_795_000_000});
            let page: Vec<Value> = self.entries.iter().skip(start).take(2).map(entry).collect();
            let next = (start + 2 < self.entries.len()).then(|| (start + 2).to_string());
            json!({"SuppressedDestinationSummaries": page, "NextToken": next})
        }
    }

    fn list_of(ses: &Arc<Mutex<FakeSes>>) -> SesList {
        let shared = Arc::clone(ses);
        let client = infallible_client_fn(move |request| {
            let body = serde_json::from_slice(request.body().bytes().unwrap_or_default());
            let uri: http::Uri = request.uri().to_string().parse().unwrap();
            let (status, response) = shared.lock().unwrap().respond(
                request.method().as_str(),
                &uri,
                &body.unwrap_or_default(),
            );
            let code = response["__type"].as_str().unwrap_or_default();
            http::Response::builder()
                .status(status)
                .header("x-amzn-errortype", code)
                .body(SdkBody::from(response.to_string()))
                .unwrap()
        });
        let credentials = Credentials::new("test", "test", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .http_client(client)
            .build();
        SesList::new(&config).unwrap()
    }

    fn ses(entries: &[(&str, &str)]) -> Arc<Mutex<FakeSes>> {
        let entries = entries.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Arc::new(Mutex::new(FakeSes { entries, ..FakeSes::default() }))
    }

    fn change(action: ListAction, lines: &[&str]) -> ListChange {
        ListChange { action, lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_are_read_and_spellings_are_kept() {
        let ses = ses(&[
            ("Bob@example.org", "BOUNCE"),
            ("bob@example.org", "COMPLAINT"),
            ("a@xn--bcher-kva.example", "BOUNCE"),
            ("c@example.org", "BOUNCE"),
            ("d@example.org", "BOUNCE"),
        ]);
        let entries = list_of(&ses).read(|_| {}).await.unwrap();
        let addresses: Vec<&str> = entries.list.addresses.iter().map(String::as_str).collect();
        let expected =
            ["a@xn--bcher-kva.example", "bob@example.org", "c@example.org", "d@example.org"];
        assert_eq!(addresses, expected);
        assert!(entries.list.complaints.contains("bob@example.org"));
        assert_eq!(entries.list.listed_at["c@example.org"], 1_795_000_000_000);
        let spellings: Vec<&str> = entries.spellings("bob@example.org").collect();
        assert_eq!(spellings, ["Bob@example.org", "bob@example.org"]);
        assert_eq!(ses.lock().unwrap().calls.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_added_and_removed_one_per_second() {
        let ses = ses(&[("Old@example.org", "BOUNCE")]);
        let mut list = list_of(&ses);
        let add = change(ListAction::Add, &["a@example.org,BOUNCE", "b@example.org,COMPLAINT"]);
        let result = list.change(&add, |_| {}).await;
        assert_eq!((result.done, result.refused), (2, 0), "{result:?}");
        // one of them was removed by another run
        let remove = change(ListAction::Remove, &["Old@example.org", "gone@example.org"]);
        let result = list.change(&remove, |_| {}).await;
        assert_eq!((result.done, result.refused), (2, 0), "{result:?}");
        let ses = ses.lock().unwrap();
        let entries: Vec<(&str, &str)> =
            ses.entries.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(entries, [("a@example.org", "BOUNCE"), ("b@example.org", "COMPLAINT")]);
        for pair in ses.calls.windows(2) {
            assert!(pair[1].1 - pair[0].1 >= SES_PACE, "{:?}", ses.calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_address_does_not_end_a_change_and_a_denied_call_does() {
        let add = change(ListAction::Add, &["a@example.org,BOUNCE", "b@example.org,BOUNCE"]);
        for (status, code, calls, refused, error) in [
            (400, "BadRequestException", 2, 2, None),
            (403, "AccessDeniedException", 1, 0, Some("access to ses:PutSuppressedDestination")),
            (429, "TooManyRequestsException", 1, 0, Some("failed: TooManyRequestsException")),
            (403, "ExpiredTokenException", 1, 0, Some("does not accept the credentials")),
        ] {
            let ses = ses(&[]);
            ses.lock().unwrap().error = Some((status, code));
            let result = list_of(&ses).change(&add, |_| {}).await;
            assert_eq!((result.done, result.refused), (0, refused), "{result:?}");
            let text = result.error.map(|error| error.to_string());
            assert_eq!(text.is_some(), error.is_some(), "{text:?}");
            assert!(
                text.clone().unwrap_or_default().contains(error.unwrap_or_default()),
                "{text:?}"
            );
            // invariant I-8
            assert!(!text.unwrap_or_default().contains("bob@"), "{code}");
            assert_eq!(ses.lock().unwrap().calls.len(), calls, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn import_waits_for_the_end_of_the_job() {
        let running = json!({"JobStatus": "PROCESSING", "ProcessedRecordsCount": 100});
        let done = json!({"JobStatus": "COMPLETED", "ProcessedRecordsCount": 400, "FailedRecordsCount": 3});
        let failed = json!({"JobStatus": "FAILED", "FailureInfo": {"ErrorMessage": "no access"}});
        let url = "s3://bucket/list.csv";
        for (jobs, expected, error) in [
            (vec![running.clone(), done], (397, 3), None),
            (vec![running.clone(), failed], (0, 0), Some("status FAILED no access")),
            (vec![running], (0, 0), Some("the import job job-1 still runs")),
        ] {
            let ses = ses(&[]);
            ses.lock().unwrap().jobs = jobs;
            let result = list_of(&ses).import(ListAction::Remove, url, 400, |_| {}).await;
            assert_eq!((result.done, result.refused), expected, "{result:?}");
            let text = result.error.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(error.unwrap_or_default()), "{text}");
            assert_eq!(text.is_empty(), error.is_none(), "{text}");
            let import = ses.lock().unwrap().import.clone().unwrap();
            assert_eq!(
                import["ImportDestination"]["SuppressionListDestination"],
                json!({"SuppressionListImportAction": "DELETE"})
            );
            assert_eq!(import["ImportDataSource"], json!({"S3Url": url, "DataFormat": "CSV"}));
        }
    }

    #[test]
    fn recommended_policy_allows_exactly_the_calls() {
        let policy = include_str!("../../../deploy/policies/suppression.json");
        let policy: Value = serde_json::from_str(policy).unwrap();
        let statements = policy["Statement"].as_array().unwrap();
        let allowed: BTreeSet<&str> = statements
            .iter()
            .flat_map(|statement| statement["Action"].as_array().unwrap())
            .map(|action| action.as_str().unwrap())
            .collect();
        let is_action = |text: &&str| {
            let name = text.strip_prefix("ses:").unwrap_or_default();
            !name.is_empty() && name.chars().all(char::is_alphanumeric)
        };
        let called = include_str!("ses_list.rs").split('"').filter(is_action);
        // the store package writes and removes import files
        let called: BTreeSet<&str> = called.chain(["s3:DeleteObject", "s3:PutObject"]).collect();
        assert_eq!(allowed, called);
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_in_force_are_those_of_the_account() {
        let reasons = list_of(&ses(&[])).reasons_in_force().await.unwrap();
        assert_eq!(reasons.into_iter().collect::<Vec<_>>(), ["BOUNCE"]);
    }
}
