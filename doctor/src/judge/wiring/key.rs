//! Keys of KMS: whether a service of AWS can use the key of a topic or queue.

use crate::finding::Check;
use crate::finding::FindingLevel::{self, Warning};
use crate::judge::report::{Problem, Report};
use crate::judge::wiring::arn;
use crate::policy::{Answer, Known, Request, evaluate};
use crate::snapshot::Snapshot;
use crate::snapshot::event_feed::Key;
use crate::snapshot::part::Part;

const SOURCE: &str = "SNS and SQS developer guides, key management";

/// Aliases of keys that AWS manages: their policies admit no other service and cannot be changed.
const MANAGED_ALIASES: [&str; 2] = ["alias/aws/sns", "alias/aws/sqs"];
/// What a service does to send to an encrypted topic or queue.
const ACTIONS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];

/// Use of a key by a service.
pub(super) struct KeyUse<'a> {
    pub(super) check: Check,
    /// Principal of the service.
    pub(super) service: &'a str,
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
    let missing = Part::default();
    let key = snapshot.keys.get(name).unwrap_or(&missing);
    if let Part::Absent(_) = key {
        let problem = problem(key_use, name).evidence("the key does not exist");
        report.add(
            problem.fix("set another key, or switch to encryption with keys of SQS (SSE-SQS)"),
        );
        return;
    }
    let Some(key) = report.read(check, resource, key, SOURCE) else { return };
    if key.manager == "AWS" {
        report.add(managed(name, key_use));
        return;
    }
    if key.state != "Enabled" {
        let problem = problem(key_use, name).evidence(format!("KeyState = {}", key.state));
        report.add(problem.fix("enable the key, or set another one"));
        return;
    }
    policy(snapshot, name, key, key_use, report);
}

fn problem(key_use: &KeyUse<'_>, name: &str) -> Problem {
    Problem::new(key_use.check, key_use.level, key_use.what, SOURCE)
        .about(key_use.resource)
        .evidence(format!("key {name}"))
}

fn managed(name: &str, key_use: &KeyUse<'_>) -> Problem {
    problem(key_use, name)
        .evidence("AWS manages this key; its policy admits no other service and cannot be changed")
        .fix("use an own key with a statement for the service; for a queue SSE-SQS needs no key")
}

fn policy(snapshot: &Snapshot, name: &str, key: &Key, key_use: &KeyUse<'_>, report: &mut Report) {
    let KeyUse { check, service, resource, .. } = *key_use;
    let Some(policy) = report.read(check, resource, &key.policy, SOURCE) else { return };
    let account =
        snapshot.account_id.value().map_or_else(|| arn::account(resource), String::as_str);
    for action in ACTIONS {
        // a key policy usually names `*`: the key itself
        let request = Request::new(service, action, Known::Start(String::new()))
            .with("aws:sourceaccount", Known::Text(account.to_owned()));
        let evaluation = evaluate(Some(policy), &request);
        let mut problem = match evaluation.answer {
            Answer::Allowed => continue,
            Answer::Denied => problem(key_use, name),
            Answer::Undecided => {
                let mut problem = problem(key_use, name).assuming(
                    "AWS does not document all condition keys of requests between services",
                );
                problem.level = Warning;
                problem.evidence("the key policy may not allow it")
            }
        }
        .evidence(format!("key policy: {action} for {service}"));
        problem.evidence.extend(evaluation.reasons);
        report.add(problem.fix(format!(
            "add to the key policy: {{\"Effect\": \"Allow\", \"Principal\": {{\"Service\": \"{service}\"}}, \
             \"Action\": [\"kms:GenerateDataKey*\", \"kms:Decrypt\"], \"Resource\": \"*\"}}"
        )));
        return;
    }
    report.pass(check, resource, SOURCE);
}
