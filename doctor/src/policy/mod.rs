//! Decides whether a resource policy lets a service of AWS act: allowed, denied, or undecided.
//!
//! It knows the elements that policies of topics, queues and keys use. Everything else (`NotPrincipal`, unknown
//! operators, keys without a known value) makes the decision [`Decision::Undecided`], never `Allowed`.
//!
//! ```
//! use bouncewatch_doctor::policy::{Decision, RequestValue, Request, evaluate};
//!
//! let policy = r#"{"Statement": {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
//!   "Action": "sqs:SendMessage", "Resource": "*",
//!   "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu-west-1:123456789012:bounces"}}}}"#;
//! let queue = "arn:aws:sqs:eu-west-1:123456789012:bounces";
//! let from = |topic: &str| {
//!     Request::new("sns.amazonaws.com", "sqs:SendMessage", RequestValue::Exact(queue.to_owned()))
//!         .with("aws:sourcearn", RequestValue::Exact(topic.to_owned()))
//! };
//! let own = evaluate(Some(policy), &from("arn:aws:sns:eu-west-1:123456789012:bounces"));
//! assert_eq!(own.decision, Decision::Allowed);
//! let other = evaluate(Some(policy), &from("arn:aws:sns:eu-west-1:123456789012:other"));
//! assert_eq!(other.decision, Decision::Denied);
//! ```

mod condition;
mod document;
mod match_result;
mod pattern;
#[cfg(test)]
mod properties;

pub use condition::Context;
pub use pattern::RequestValue;

use document::{Element, Policy, Principals, Statement};
use match_result::Match;

/// A request of a service of AWS to a resource.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Principal of the service, such as `ses.amazonaws.com`.
    pub service: &'a str,
    /// Action, such as `sns:Publish`.
    pub action: &'a str,
    /// ARN of the resource; `Prefix` of an empty text if it is not known.
    pub resource: RequestValue,
    /// Values of condition keys.
    pub context: Context,
}

impl<'a> Request<'a> {
    /// A request of a service, with the condition keys that each of them has.
    pub fn new(service: &'a str, action: &'a str, resource: RequestValue) -> Self {
        let context = Context::new();
        Self { service, action, resource, context }
            .with("aws:securetransport", RequestValue::Exact("true".to_owned()))
            .with("aws:principalisawsservice", RequestValue::Exact("true".to_owned()))
    }

    /// Adds the value of a condition key; the key is in lower case.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: RequestValue) -> Self {
        self.context.insert(key, value);
        self
    }
}

/// Whether a policy allows a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// A statement allows it, none denies it.
    Allowed,
    /// No statement allows it, or one denies it.
    Denied,
    /// It depends on something that is not known here.
    Undecided,
}

/// The decision with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluation {
    /// The decision.
    pub decision: Decision,
    /// Whether a statement denies the request, so that no other statement can allow it.
    pub is_explicit_denial: bool,
    /// Statements that explain it, each with the reason.
    pub reasons: Vec<String>,
}

impl Evaluation {
    fn without_statement(decision: Decision, reason: String) -> Self {
        Self { decision, is_explicit_denial: false, reasons: vec![reason] }
    }
}

/// Decides whether a policy allows a request. A resource without a policy allows no service.
pub fn evaluate(policy: Option<&str>, request: &Request<'_>) -> Evaluation {
    let Some(policy) = policy else {
        return Evaluation::without_statement(Decision::Denied, "no policy".to_owned());
    };
    let policy = match Policy::parse(policy) {
        Ok(policy) => policy,
        Err(error) => {
            return Evaluation::without_statement(Decision::Undecided, error.to_string());
        }
    };
    let mut allow = Match::No;
    let mut deny = Match::No;
    let mut reasons = Vec::new();
    for statement in &policy.statements {
        let (applies, reason) = applies(statement, request);
        match statement.allows {
            Some(true) => allow = allow.or(applies),
            Some(false) => deny = deny.or(applies),
            // neither: at most it makes the decision undecided
            None => deny = deny.or(applies.and(Match::Maybe)),
        }
        let is_denial = statement.allows != Some(true) && applies != Match::No;
        if is_denial && reason.is_empty() {
            reasons.push(format!("statement `{}` denies it", statement.name));
        } else if !reason.is_empty() && (statement.allows == Some(true) || is_denial) {
            reasons.push(format!("statement `{}`: {reason}", statement.name));
        }
    }
    let decision = match (allow, deny) {
        (_, Match::Yes) | (Match::No, _) => Decision::Denied,
        (Match::Yes, Match::No) => Decision::Allowed,
        _ => Decision::Undecided,
    };
    if decision == Decision::Denied && reasons.is_empty() {
        reasons.push(format!("no statement allows {} for {}", request.action, request.service));
    }
    Evaluation { decision, is_explicit_denial: deny == Match::Yes, reasons }
}

/// The statements of a policy that allow something to every AWS account without a condition, by name.
///
/// # Errors
/// If the policy is not readable.
pub fn open_statements(policy: &str) -> Result<Vec<String>, String> {
    let policy = Policy::parse(policy).map_err(|error| error.to_string())?;
    let is_open = |one: &&Statement| {
        one.allows == Some(true) && one.principals == Principals::All && one.conditions.is_empty()
    };
    Ok(policy.statements.iter().filter(is_open).map(|one| one.name.clone()).collect())
}

/// Whether a statement applies to a request, and why it does not for a request that it is meant for.
fn applies(statement: &Statement, request: &Request<'_>) -> (Match, String) {
    let principal = principal(&statement.principals, request.service);
    let requested = RequestValue::Exact(request.action.to_ascii_lowercase());
    let action = element(&statement.actions, |pattern| {
        pattern::glob_value(&pattern.to_ascii_lowercase(), &requested)
    });
    let meant = principal.and(action);
    if meant == Match::No {
        return (Match::No, String::new());
    }
    let resource =
        element(&statement.resources, |pattern| pattern::glob_value(pattern, &request.resource));
    let mut result = meant.and(resource);
    let mut reasons = Vec::new();
    if resource == Match::No {
        reasons.push("names another resource".to_owned());
    }
    if meant.and(resource) == Match::Maybe {
        reasons.push("has an element that is not evaluated here".to_owned());
    }
    for condition in &statement.conditions {
        let holds = condition::holds(condition, &request.context);
        result = result.and(holds);
        let values = condition.values.as_deref().unwrap_or_default().join(", ");
        let verb = match holds {
            Match::Yes => continue,
            Match::No => "does not hold",
            Match::Maybe => "cannot be decided",
        };
        reasons.push(format!("{} {} = {values} {verb}", condition.operator, condition.key));
    }
    (result, reasons.join("; "))
}

fn principal(principals: &Principals, service: &str) -> Match {
    match principals {
        Principals::All => Match::Yes,
        Principals::Unreadable => Match::Maybe,
        Principals::Services(names) => {
            let name = service.split('.').next().unwrap_or(service);
            let matches = names.iter().map(|named| {
                if named == service {
                    Match::Yes
                } else if named == "*" || is_regional(named, name) {
                    Match::Maybe
                } else {
                    Match::No
                }
            });
            matches.fold(Match::No, Match::or)
        }
    }
}

/// Whether a principal is the regional form of a service, such as `sns.eu-south-1.amazonaws.com`.
fn is_regional(principal: &str, service: &str) -> bool {
    principal
        .strip_prefix(service)
        .is_some_and(|rest| rest.starts_with('.') && rest.contains(".amazonaws.com"))
}

fn element(element: &Element, matches: impl Fn(&str) -> Match) -> Match {
    match element {
        Element::Values(values) => {
            values.iter().map(|value| matches(value)).fold(Match::No, Match::or)
        }
        Element::Missing | Element::Unreadable => Match::Maybe,
    }
}
