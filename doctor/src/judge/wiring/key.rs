//! Keys of KMS: whether a service of AWS can use the key of a topic or queue.

use crate::finding::FindingLevel::{self, Warning};
use crate::finding::{Check, Finding};
use crate::judge::report::{Report, policy_problem};
use crate::judge::wiring::arn;
use crate::policy::{Decision, Request, RequestValue, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::{Key, key_arn};
use crate::snapshot::part::Part;

const SOURCE: &str = "SNS and SQS developer guides, key management";

/// Aliases of keys that AWS manages: their policies allow no other service and cannot be changed.
const MANAGED_ALIASES: [&str; 2] = ["alias/aws/sns", "alias/aws/sqs"];
/// What a service does to send to an encrypted topic or queue.
const ACTIONS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];

/// Use of a key by a service.
pub(super) struct KeyUse<'a> {
    pub(super) check: Check,
    /// Principal of the service.
    pub(super) service: &'a str,
    /// Account of the source for which the service acts; empty if it is not known.
    pub(super) source_account: &'a str,
    /// ARN of the topic or queue.
    pub(super) resource: &'a str,
    /// Level if the service cannot use the key.
    pub(super) level: FindingLevel,
    /// The problem in one sentence.
    pub(super) what: &'static str,
}

/// Judges the key of a topic or queue; none is no problem.
pub(super) fn judge_key(
    snapshot: &Snapshot,
    key: Option<&str>,
    key_use: &KeyUse<'_>,
    report: &mut Report,
) {
    let KeyUse { check, resource, .. } = *key_use;
    let Some(name) = key.filter(|key| !key.is_empty()) else {
        report.pass(check, resource, SOURCE);
        return;
    };
    if MANAGED_ALIASES.iter().any(|alias| name.ends_with(alias)) {
        report.add(managed(name, key_use));
        return;
    }
    let arn = key_arn(name, resource);
    let key = snapshot.keys.get(&arn);
    if matches!(key, Some(Part::Absent(_))) && !arn::is_foreign(snapshot, &arn) {
        let problem = problem(key_use, name).with("the key does not exist");
        report.add(
            problem.fix("Set another key, or switch to encryption with keys of SQS (SSE-SQS)"),
        );
        return;
    }
    let Some(key) = report.read(check, resource, key, SOURCE) else { return };
    if key.manager == "AWS" {
        report.add(managed(name, key_use));
        return;
    }
    if key.state != "Enabled" {
        let problem = problem(key_use, name).with(format!("KeyState = {}", key.state));
        report.add(problem.fix("Enable the key, or set another one"));
        return;
    }
    policy(name, key, key_use, report);
}

fn problem(key_use: &KeyUse<'_>, name: &str) -> Finding {
    key_use
        .check
        .found(key_use.level, key_use.what, SOURCE)
        .about(key_use.resource)
        .with(format!("key {name}"))
}

fn managed(name: &str, key_use: &KeyUse<'_>) -> Finding {
    problem(key_use, name)
        .with("AWS manages this key; its policy allows no other service and cannot be changed")
        .fix("Use a customer managed key with a statement for the service. For a queue, SSE-SQS works without a key policy")
}

fn policy(name: &str, key: &Key, key_use: &KeyUse<'_>, report: &mut Report) {
    let KeyUse { check, service, resource, source_account, .. } = *key_use;
    let Some(policy) = report.read(check, resource, &key.policy, SOURCE) else { return };
    let evaluations = ACTIONS.into_iter().map(|action| {
        // a key policy usually names `*`: the key itself
        let mut request = Request::new(service, action, RequestValue::Prefix(String::new()));
        if !source_account.is_empty() {
            request =
                request.with("aws:sourceaccount", RequestValue::Exact(source_account.to_owned()));
        }
        (action, evaluate(Some(policy), &request))
    });
    let refused = { evaluations }.find(|(_, evaluation)| evaluation.decision != Decision::Allowed);
    let problem = refused.and_then(|(action, evaluation)| {
        let denied =
            problem(key_use, name).with(format!("key policy: {action} for {service}")).fix(format!(
                "Add to the key policy: {{\"Effect\": \"Allow\", \"Principal\": {{\"Service\": \"{service}\"}}, \
                 \"Action\": [\"kms:GenerateDataKey*\", \"kms:Decrypt\"], \"Resource\": \"*\"}}"
            ));
        let undecided = Finding { level: key_use.level.min(Warning), ..denied.clone() }
            .with("the key policy may not allow it")
            .assuming("AWS does not document all condition keys of requests between services");
        policy_problem(evaluation, denied, undecided)
    });
    report.check(check, resource, SOURCE, problem);
}
