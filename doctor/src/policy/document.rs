//! A resource policy as AWS stores it: JSON text in an attribute. Reading is tolerant: an element of an unexpected form is
//! kept as [`Element::Unreadable`], and its statement is then not decided.

use serde_json::{Map, Value};

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// Statements in order.
    pub(super) statements: Vec<Statement>,
}

/// Why a policy is not readable at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the policy is not readable: {0}")]
pub(super) struct PolicyError(String);

/// A list of values, or why it does not decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    /// The element is missing.
    Missing,
    /// Values.
    Values(Vec<String>),
    /// `NotAction`, `NotResource`, `NotPrincipal`, or an unexpected form.
    Unreadable,
}

/// `Principal` of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Principals {
    /// `"*"`, or `{"AWS": "*"}`.
    All,
    /// Services. Other kinds of principals never stand for a service.
    Services(Vec<String>),
    /// `NotPrincipal`, a missing principal, or an unexpected form.
    Unreadable,
}

/// A condition: operator, key, values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    /// Operator, such as `StringEquals`.
    pub(super) operator: String,
    /// Key in lower case, such as `aws:sourcearn`.
    pub(super) key: String,
    /// Values; `None` if the form is unexpected.
    pub(super) values: Option<Vec<String>>,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// `Sid`, or its number (`#1`).
    pub(super) name: String,
    /// `true` for `Allow`, `false` for `Deny`; `None` for another value.
    pub(super) allows: Option<bool>,
    /// `Principal`.
    pub(super) principals: Principals,
    /// `Action`.
    pub(super) actions: Element,
    /// `Resource`.
    pub(super) resources: Element,
    /// All conditions.
    pub(super) conditions: Vec<Condition>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// If the text is not JSON, or has no statements.
    pub(super) fn parse(json: &str) -> Result<Self, PolicyError> {
        let value: Value =
            serde_json::from_str(json).map_err(|error| PolicyError(error.to_string()))?;
        let statements = match value.get("Statement") {
            Some(Value::Array(statements)) => statements.iter().collect(),
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(PolicyError("no `Statement`".to_owned())),
        };
        let statements = statements.into_iter().enumerate().map(|(at, value)| {
            let empty = Map::new();
            statement(at, value.as_object().unwrap_or(&empty))
        });
        Ok(Self { statements: statements.collect() })
    }
}

fn statement(at: usize, fields: &Map<String, Value>) -> Statement {
    let name = fields.get("Sid").and_then(Value::as_str).filter(|sid| !sid.is_empty());
    Statement {
        name: name.map_or_else(|| format!("#{}", at + 1), str::to_owned),
        allows: match fields.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Some(true),
            Some("Deny") => Some(false),
            _ => None,
        },
        principals: principals(fields),
        actions: element(fields, "Action", "NotAction"),
        resources: element(fields, "Resource", "NotResource"),
        conditions: conditions(fields.get("Condition")),
    }
}

fn element(fields: &Map<String, Value>, name: &str, negated: &str) -> Element {
    if fields.contains_key(negated) {
        return Element::Unreadable;
    }
    match fields.get(name) {
        None => Element::Missing,
        Some(value) => strings(value).map_or(Element::Unreadable, Element::Values),
    }
}

fn principals(fields: &Map<String, Value>) -> Principals {
    match fields.get("Principal") {
        Some(_) if fields.contains_key("NotPrincipal") => Principals::Unreadable,
        Some(Value::String(text)) if text == "*" => Principals::All,
        Some(Value::Object(kinds)) => {
            let is_all = |value: &Value| {
                strings(value).is_some_and(|names| names.iter().any(|name| name == "*"))
            };
            if kinds.get("AWS").is_some_and(is_all) {
                return Principals::All;
            }
            let services = kinds.get("Service").map_or(Some(Vec::new()), strings);
            services.map_or(Principals::Unreadable, Principals::Services)
        }
        _ => Principals::Unreadable,
    }
}

fn conditions(value: Option<&Value>) -> Vec<Condition> {
    let unreadable = || Condition {
        operator: "unreadable".to_owned(),
        key: "condition".to_owned(),
        values: None,
    };
    let operators = match value {
        None => return Vec::new(),
        Some(Value::Object(operators)) => operators,
        Some(_) => return vec![unreadable()],
    };
    let mut found = Vec::new();
    for (operator, keys) in operators {
        let Value::Object(keys) = keys else {
            found.push(unreadable());
            continue;
        };
        found.extend(keys.iter().map(|(key, values)| Condition {
            operator: operator.clone(),
            key: key.to_ascii_lowercase(),
            values: strings(values),
        }));
    }
    found
}

/// A string or a list of strings; booleans and numbers count as their text.
fn strings(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        value => Some(vec![text(value)?]),
    }
}
